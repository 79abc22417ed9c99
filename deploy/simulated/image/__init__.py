"""Glance v2: images, their data and tags."""
