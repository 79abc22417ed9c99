"""Which release of OSBench this is, for messages that two releases say to each other."""

from functools import cache


@cache
def release() -> str:
    """The version of the installed package, e.g. `0.1.0`."""
    from importlib.metadata import version  # Looked up when it is needed: it takes some milliseconds.

    return version("osbench")
