"""What of a run must outlive the coordinator's process, as one value.

Rules: everything in it was decided here and can be learnt from nobody else: divisions above all. What agents report
again each second and what the store knows is left out or may be old. `pack` and `unpack` give and take bytes.
"""

from typing import NamedTuple

import msgspec

from osbench.common.error import ProtocolError
from osbench.common.messages import LostBatches


class WorkerKey(NamedTuple):
    """What makes a worker unique in a run."""

    agent: str
    life: int
    worker: int


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """One division: by it and the plan all its shares can be made again.

    Attributes:
        epoch: its number, from 1.
        source_epoch, source_owner: the share that is divided, by its epoch and its position in there; 0, 0 for the
            first, which divides the plan itself.
        begin: first rank of the source that is divided. end: the first that is not; None for all (since version 2).
        takers: who owns the parts, in order.
        weights: of the takers; none where all weigh the same, and the source's slots go with it (since version 2).
        revision: of the first orders that hand them out.
    """

    epoch: int
    source_epoch: int
    source_owner: int
    begin: int
    takers: tuple[WorkerKey, ...]
    revision: int
    end: int | None = None
    weights: tuple[int, ...] = ()


class Heir(NamedTuple):
    """Who is to have a part of what a share loses, and its weight."""

    key: WorkerKey
    weight: int


class SharePlace(msgspec.Struct, frozen=True, kw_only=True):
    """How far a share is: see `HeldShare` in ledger. `limit` (-1 for none) and `heirs`: since version 2."""

    epoch: int
    owner: int
    started: int
    until: int | None
    closed: bool
    limit: int = -1
    heirs: tuple[Heir, ...] = ()


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """Indices that were certainly never started, and never will be; `key` is who owned them last, None for nobody."""

    key: WorkerKey | None
    count: int
    at_ns: int
    reason: str


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker left of a share and nobody has taken yet: ranks from `begin` on.

    `end` None: to the share's end. `heirs`: for whom it is meant, none for whoever can take it. Both since version 2.
    """

    epoch: int
    owner: int
    begin: int
    since_ns: int
    reason: str
    end: int | None = None
    heirs: tuple[Heir, ...] = ()


class SlotPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's slots: see `SlotBook` in slots."""

    key: WorkerKey
    asked: int
    bound: int
    raised: int


class RejectedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that can never be stored; nobody says so again."""

    seq: int
    iterations: int
    reason: str


class WorkerPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A worker: whether its progress is final, and what is known of its end. `rejected`: since version 2."""

    key: WorkerKey
    state: str
    last_seq: int
    since_ns: int
    error: str
    lost: tuple[LostBatches, ...] = ()
    rejected: tuple[RejectedBatch, ...] = ()


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run, saved. Times are on the clock of the coordinator that saved it.

    Attributes:
        lives: of all agents that take part, -1 where it is not known.
        drained: agents that shall start nothing more (since version 2).
        slots: of workers that may have something in flight; None where shares bring them along (before version 2).
        stints: revision of the `Prepare` that an agent is to heed, where it is not the first (since version 2).
    """

    version: int
    run: str
    phase: str
    goal: str
    revision: int
    start_ns: int
    aborted: str
    collected: bool
    lives: dict[str, int]
    divisions: tuple[Division, ...]
    shares: tuple[SharePlace, ...]
    workers: tuple[WorkerPlace, ...]
    rests: tuple[Rest, ...]
    not_run: tuple[NotRun, ...]
    drained: tuple[str, ...] = ()
    stints: dict[str, int] = {}
    slots: tuple[SlotPlace, ...] | None = None


#: Written here. Every version from 1 on is read: fields that came later have defaults that mean what was before.
SNAPSHOT_VERSION = 2


class _Versioned(msgspec.Struct):
    """What every version of a snapshot has."""

    version: int


def pack_snapshot(snapshot: RunSnapshot) -> bytes:
    """A snapshot as bytes (msgpack)."""
    return msgspec.msgpack.encode(snapshot)


def unpack_snapshot(data: bytes) -> RunSnapshot:
    """Bytes to a snapshot.

    Raises:
        ProtocolError: of a version not known here, or not a snapshot.
    """
    try:
        version = msgspec.msgpack.decode(data, type=_Versioned).version
        if not 1 <= version <= SNAPSHOT_VERSION:
            raise ProtocolError(
                f"the saved run is of version {version}, this release reads 1 to {SNAPSHOT_VERSION}; resume the task with "
                "the release that ran it"
            )
        return msgspec.msgpack.decode(data, type=RunSnapshot)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the saved run cannot be read: {error!s:.300}") from error
