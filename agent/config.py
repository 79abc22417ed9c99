"""What an agent is told once, in a file of its own: its name, where its coordinator is, where it spools."""

import os
from pathlib import Path

import msgspec

from osbench.common.error import InputError


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent's configuration.

    Attributes:
        name: unique among the agents of a coordinator; letters, digits, dot, dash, underscore.
        control, bulk: ZeroMQ endpoints of the coordinator.
        spool: folder for records not yet acknowledged.
        workers: processes that run iterations; 0 for one per core.
        spool_limit_bytes: above it rows of calls are given up and their histograms kept.
        labels: free words by which tasks choose agents.
        linger_s: without any run and without its coordinator for so long, the agent ends by itself; 0 for never.
    """

    name: str
    control: str
    bulk: str
    spool: str
    workers: int = 0
    spool_limit_bytes: int = 4 * 1024**3
    labels: tuple[str, ...] = ()
    linger_s: float = 0.0

    @property
    def worker_count(self) -> int:
        """How many workers: as asked, or one per core this process may use."""
        return self.workers or len(os.sched_getaffinity(0))


def read_config(path: Path) -> AgentConfig:
    """The configuration in a JSON file.

    Raises:
        InputError: not there, not JSON, or not this configuration; the message names the key.
    """
    try:
        config = msgspec.json.decode(path.read_bytes(), type=AgentConfig)
    except OSError as error:
        raise InputError(f"agent configuration {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"agent configuration {path}: {error}") from error
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    if not 1 <= len(config.name) <= 64 or not set(config.name) <= allowed:
        raise InputError(
            f"agent configuration {path}: name {config.name!r} must be 1 to 64 letters, digits, '.', '-' or '_'"
        )
    if not 0 <= config.workers <= 1024:
        raise InputError(f"agent configuration {path}: workers {config.workers} must be 0 (one per core) to 1024")
    return config
