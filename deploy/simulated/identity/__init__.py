"""Keystone v3: sign-in, tokens, catalogue, and the administration of domains, projects, users and roles."""
