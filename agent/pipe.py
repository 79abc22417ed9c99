"""What a supervisor and its workers say to each other, over the worker's standard input and output (common/framing).

Rules: a command is absolute, like the orders it comes from. A worker that reads the end of its input has lost its
supervisor and drains.
"""

import asyncio
from typing import Any, cast

import msgspec

from osbench.common.framing import read_frame
from osbench.common.messages import ShareLimit
from osbench.common.share import Share


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """First message to a worker: who it is and what it will run.

    Attributes:
        job: packed common/job.Job. clock_offset_ns: of the agent's life.
        spool: folder of the run. request_ids: which server ids to keep.
    """

    agent: str
    life: int
    worker: int
    job: bytes
    clock_offset_ns: int
    spool: str


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """What to do from now on, absolute as Orders are.

    Attributes:
        goal: run, drain or stop. start_ns: on the agent's clock.
        shares: all it owns or owned, oldest first. limits, slots: as in `WorkerShares`.
        revision: of the orders it comes from.
    """

    goal: str
    start_ns: int = 0
    shares: tuple[Share, ...] = ()
    limits: tuple[ShareLimit, ...] = ()
    slots: int | None = None
    revision: int = 0


class Lease(msgspec.Struct, frozen=True, kw_only=True, tag="lease"):
    """Iterations may be started until this moment on the agent's clock, and none after it."""

    until_ns: int


class Pressure(msgspec.Struct, frozen=True, kw_only=True, tag="pressure"):
    """The spool is (no longer) full: give rows of calls up, keep their histograms."""

    is_full: bool


class Prepared(msgspec.Struct, frozen=True, kw_only=True, tag="prepared"):
    """From a worker: ready to start."""


class Wrote(msgspec.Struct, frozen=True, kw_only=True, tag="wrote"):
    """From a worker: a batch is in its spool.

    Attributes:
        segment, offset: where. seq, iterations, first_ns, last_ns: as in its header, should it be gone from there.
    """

    segment: int
    offset: int
    seq: int
    iterations: int
    first_ns: int
    last_ns: int


class UsedUp(msgspec.Struct, frozen=True, kw_only=True, tag="used_up"):
    """From a worker: nothing is left to start in the shares it has, nothing is in flight, and all is in its spool.

    It waits for orders: it may yet be given what a dead worker left.
    """


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """From a worker: it was told to drain or to stop, has done so, and starts nothing more, whatever it is told."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """From a worker: it cannot go on, and why."""

    error: str


ToWorker = Setup | Command | Lease | Pressure
FromWorker = Prepared | Wrote | UsedUp | Ended | Failed

_to_worker: Any = msgspec.msgpack.Decoder(ToWorker)
_from_worker: Any = msgspec.msgpack.Decoder(FromWorker)


async def read_to_worker(stream: asyncio.StreamReader) -> ToWorker | None:
    """The next message to a worker; None at the end of the pipe."""
    return cast(ToWorker | None, await read_frame(stream, _to_worker))


async def read_from_worker(stream: asyncio.StreamReader) -> FromWorker | None:
    """The next message from a worker; None at the end of the pipe."""
    return cast(FromWorker | None, await read_frame(stream, _from_worker))
