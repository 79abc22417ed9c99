"""The coordinator as a daemon: many agents over the network, many tasks one after another, an API for the command line."""
