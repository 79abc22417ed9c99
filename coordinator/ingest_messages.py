"""What the coordinator and its ingest process say to each other over that process's standard input and output.

Rules: common/framing carries them. The end of the input means that the coordinator is gone: the process ends too, for
nobody would say what to do with a run that is over.
"""

from typing import Any

import msgspec

from osbench.coordinator.ingest import Committed


class IngestSetup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """First message to the process.

    Attributes:
        database: URL of the store; may hold a password. endpoint: where to bind the bulk channel.
    """

    database: str
    endpoint: str


class IngestReady(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The bulk channel is bound."""


class IngestCommitted(msgspec.Struct, frozen=True, kw_only=True, tag="committed"):
    """One commit: the batches that were new in it, and what they added."""

    committed: Committed


class IngestRejected(msgspec.Struct, frozen=True, kw_only=True, tag="rejected"):
    """A batch that can never be stored; `seq` 0 if not even its header could be read."""

    run: str
    agent: str
    life: int
    worker: int
    seq: int
    iterations: int
    reason: str


class IngestTrouble(msgspec.Struct, frozen=True, kw_only=True, tag="trouble"):
    """The store did not take batches; they stay with the agents and are tried again. Empty: it takes them again."""

    error: str


FromIngest = IngestReady | IngestCommitted | IngestRejected | IngestTrouble

to_ingest: Any = msgspec.msgpack.Decoder(IngestSetup)
from_ingest: Any = msgspec.msgpack.Decoder(FromIngest)
