"""What the coordinator and its ingest process say to each other over that process's standard input and output.

Rules: common/framing carries them. The end of the input means that the coordinator is gone: the process ends too, for
nobody would say what to do with a run that is over.
"""

from typing import Any

import msgspec

from osbench.common.curve import KeyPair
from osbench.coordinator.ingest import Committed


class IngestSetup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """First message to the process.

    Attributes:
        database: URL of the store; may hold a password. endpoint: where to bind the bulk channel.
        server: keys of the coordinator, for tcp; None for ipc. names: agents by public key, for tcp.
    """

    database: str
    endpoint: str
    server: KeyPair | None = None
    names: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"IngestSetup(endpoint={self.endpoint!r}, {len(self.names)} names)"


class IngestKeys(msgspec.Struct, frozen=True, kw_only=True, tag="keys"):
    """To the process: agents by public key, from now on; whoever is not among them is shut out."""

    names: dict[str, str]


class IngestReady(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The bulk channel is bound; `endpoint` with the port that the system chose if it was asked to."""

    endpoint: str = ""


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

ToIngest = IngestSetup | IngestKeys

to_ingest: Any = msgspec.msgpack.Decoder(ToIngest)
from_ingest: Any = msgspec.msgpack.Decoder(FromIngest)
