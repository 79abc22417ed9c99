"""What the command line can do with tasks, deployments and agents: here on this machine, or by a coordinator's API."""
