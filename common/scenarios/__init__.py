"""What an iteration does: one module per service."""
