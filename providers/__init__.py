"""Hand out servers and take them back."""
