"""Contexts: what is set up on the cloud before a run and taken down after it, in a process of its own."""
