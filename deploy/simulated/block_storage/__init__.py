"""Cinder v3: volumes, snapshots, backups, volume types and quotas."""
