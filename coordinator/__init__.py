"""Control node: plans the load, fans it out, ingests, stores, judges and shows the results."""
