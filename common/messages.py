"""What is said on the control channel, in both directions, as typed values.

Rules: the protocol is level-triggered. `Orders` say what an agent shall be doing and `Report` what it is doing; both
are absolute, carry all that matters, and may be lost, doubled or come late without harm: an older revision is ignored,
a newer one replaces what was before. Whoever hears nothing says it again. New fields get defaults; none is reused.
All stamps are nanoseconds on the clock of the one who says them, unless a field says otherwise.
"""

from typing import Annotated

import msgspec

from osbench.common.share import Share

#: What the database and every clock of ours can hold: a larger number is refused where it comes in, not where it is stored.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: Spoken here: every version from the lowest to the highest. An agent and a coordinator speak the highest that both know,
#: and refuse each other where there is none.
PROTOCOL_VERSION = 1
PROTOCOL_MIN = 1

#: What an agent can be told to do with a run, in the order of a run's life.
GOALS = ("prepare", "run", "drain", "stop", "forget")


class ClockProbe(msgspec.Struct, frozen=True, kw_only=True, tag="clock_probe"):
    """Agent to coordinator: `sent_ns` on the agent's clock."""

    sent_ns: Int64


class ClockReply(msgspec.Struct, frozen=True, kw_only=True, tag="clock_reply"):
    """Coordinator to agent: the probe's stamp, and when it came and left by the coordinator's clock (RFC 5905)."""

    probe_sent_ns: Int64
    received_ns: Int64
    replied_ns: Int64


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """Agent to coordinator, at each connection and every few seconds until welcomed.

    Attributes:
        agent: its name; life: number of this life of its process, larger than all before.
        protocol_min, protocol: the lowest and the highest version it speaks; version: release.
        workers: how many it runs; labels: free words.
        nofile: limit on open files; cores; memory_bytes.
        runs: runs it still holds records or work of.
    """

    agent: str
    life: Int64
    protocol: Int64
    version: str
    workers: Int64
    cores: Int64
    memory_bytes: Int64
    nofile: Int64
    labels: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    protocol_min: Int64 = 1


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """Coordinator to agent: taken. After `lease_ns` without a word from the coordinator the agent drains by itself.

    `protocol` is the version that is spoken from now on.
    """

    life: Int64
    lease_ns: Int64
    protocol: Int64 = 1


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """Coordinator to agent: not taken, and why, for the agent's log."""

    reason: str


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """Coordinator to agent: the job of a run (common/job.Job, packed): plan, sign-ins, tokens. Holds secrets.

    `plugins` are hashes of code that the run needs; an agent that cannot have one says that the run failed.
    """

    run: str
    revision: Int64
    job: bytes
    plugins: tuple[str, ...] = ()


class ShareLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Of a share only the ranks below `limit` are the worker's, and what it has started already."""

    epoch: Int64
    limit: Int64


class WorkerShares(msgspec.Struct, frozen=True, kw_only=True):
    """All shares a worker owns or owned in a run, oldest first.

    Attributes:
        limits: of the shares that are not wholly its own any more; once said, a limit only falls.
        slots: iterations it may have in flight at once, in all its shares; None: as many as its shares bring along.
    """

    worker: Int64
    shares: tuple[Share, ...] = ()
    limits: tuple[ShareLimit, ...] = ()
    slots: int | None = None


class Orders(msgspec.Struct, frozen=True, kw_only=True, tag="orders"):
    """Coordinator to agent: what to do with a run from now on.

    Attributes:
        revision: grows with each change; the agent ignores orders older than those it has.
        goal: one of GOALS. `prepare`: get ready. `run`: start at `start_ns` and run the shares. `drain`: start nothing
            more, let what is in flight end. `stop`: end what is in flight too. `forget`: all is stored, delete it.
        start_ns: start of the run by the coordinator's clock, which the agent turns into its own by its offset;
            0 before it is known.
        shares: by worker; none for any other goal than `run`.
        life: of the agent for which they are; another life of it ignores them. -1: for whichever life.
    """

    run: str
    revision: Int64
    goal: str
    start_ns: Int64 = 0
    shares: tuple[WorkerShares, ...] = ()
    life: Int64 = -1


class ShareProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a worker is in one share: ranks 0 … started - 1 were started (or dropped), no other was.

    `limit`: it will never start this rank, nor any later one; -1 where it knows of no such rank but the share's end.
    """

    epoch: Int64
    started: Int64
    limit: Int64 = -1


class LostBatches(msgspec.Struct, frozen=True, kw_only=True):
    """Batches that were written and are gone from the spool: sequence numbers, iterations in them, and their time.

    `first_ns` and `last_ns` are relative to the start of the run.
    """

    first_seq: Int64
    last_seq: Int64
    iterations: Int64
    first_ns: Int64
    last_ns: Int64


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One worker in a run.

    Attributes:
        worker: its number, unique within the agent's life; a replacement has a number of its own.
        state: preparing, ready, running, draining, ended, died.
        shares: progress in each share it was given.
        started, ended, failed, dropped, in_flight: iterations.
        last_seq: sequence number of the last batch written, 0 for none.
        iterations_written: iteration records in all batches written, so `ended + dropped` once it has ended.
        lag_max_ns: worst lag in the last second; stall_ns: longest stall of its loop in the last second.
        start_error_ns: how late after the intended start it was ready to start, -1 if not yet known.
        lost: batches gone from its spool.
        error: why it died or could not be made ready.
        revision: of the orders it acts on, 0 for none.
        slots: it has no more in flight than this, and will not until newer orders allow it; -1 where that is not known.
    """

    worker: Int64
    state: str
    shares: tuple[ShareProgress, ...] = ()
    started: Int64 = 0
    ended: Int64 = 0
    failed: Int64 = 0
    dropped: Int64 = 0
    in_flight: Int64 = 0
    last_seq: Int64 = 0
    iterations_written: Int64 = 0
    lag_max_ns: Int64 = 0
    stall_ns: Int64 = 0
    start_error_ns: Int64 = -1
    lost: tuple[LostBatches, ...] = ()
    error: str = ""
    revision: Int64 = 0
    slots: Int64 = -1


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's part in a run.

    Attributes:
        revision: of the orders it acts on; 0 if it has none.
        has_job: the job has come.
        state: idle, preparing, ready, armed, running, draining, ended, failed.
        life: of the agent's process whose workers these are: after a restart a run has workers of several lives.
        workers: those of this life that are or were.
        unacked: batches in the spool that are not acknowledged yet; spool_bytes: size of the spool.
        error: why it failed.
    """

    run: str
    revision: Int64
    has_job: bool
    state: str
    workers: tuple[WorkerReport, ...] = ()
    unacked: Int64 = 0
    spool_bytes: Int64 = 0
    error: str = ""


class PastWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of an earlier life of this agent, as its marks and its spool tell after the restart."""

    run: str
    life: Int64
    worker: WorkerReport


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """Agent to coordinator, each second and at once on every change: all there is to know.

    Attributes:
        sequence: grows by one; the coordinator ignores a report older than one it has of the same life.
        runs: those of this life. past: workers of earlier lives with records or progress not yet accounted for.
        offset_ns, offset_error_ns: this agent's clock minus the coordinator's, and the bound of its error, -1 unknown.
        cpu_permille, memory_permille: of the host.
    """

    agent: str
    life: Int64
    sequence: Int64
    runs: tuple[RunReport, ...] = ()
    past: tuple[PastWorker, ...] = ()
    offset_ns: Int64 = 0
    offset_error_ns: Int64 = -1
    cpu_permille: Int64 = 0
    memory_permille: Int64 = 0


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag="ack"):
    """Ingest to agent, on the bulk channel: these batches are committed. `credit`: batches that may be under way."""

    run: str
    life: Int64
    worker: Int64
    seqs: tuple[int, ...]
    credit: Int64


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag="rejected"):
    """Ingest to agent, on the bulk channel: this batch cannot be taken, ever, and why. It counts as lost."""

    run: str
    life: Int64
    worker: Int64
    seq: Int64
    reason: str


def common_protocol(lowest: int, highest: int) -> int | None:
    """The version to speak with a peer that speaks `lowest` to `highest`; None if there is none."""
    version = min(highest, PROTOCOL_VERSION)
    return version if version >= max(lowest, PROTOCOL_MIN) else None


def protocol_mismatch(peer: str, peer_release: str, lowest: int, highest: int, release: str) -> str:
    """Why a peer and this coordinator cannot speak with each other: both ranges, both releases, and the cure."""
    theirs, ours = _versions(lowest, highest), _versions(PROTOCOL_MIN, PROTOCOL_VERSION)
    return (
        f"{peer} (release {peer_release:.40}) speaks protocol {theirs}, "
        f"this coordinator (release {release}) speaks {ours}: install releases that have one in "
        "common, best the same on both"
    )


def _versions(lowest: int, highest: int) -> str:
    return f"{highest}" if lowest == highest else f"{lowest} to {highest}"


ToCoordinator = Hello | ClockProbe | Report
ToAgent = Welcome | Refusal | ClockReply | Prepare | Orders
ToUplink = Ack | Rejected
