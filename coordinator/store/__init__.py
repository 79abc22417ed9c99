"""The store: what is known of deployments, tasks, runs and records, behind one port."""
