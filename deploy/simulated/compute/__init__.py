"""Nova 2.1 with microversions: servers and their actions, flavors, key pairs, limits, hypervisors, server groups."""
