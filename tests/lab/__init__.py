"""Test hosts on this machine: namespaces joined by a bridge, which can be slow, far, off in time, cut off, or killed."""
