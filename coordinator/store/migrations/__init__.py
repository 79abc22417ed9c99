"""Migrations of the schema, packaged with the code that needs them."""
