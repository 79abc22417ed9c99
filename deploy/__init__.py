"""Put a cloud, or agents, on servers."""
