"""What an agent's supervisor is told and what it answers: the values that go into and come out of `AgentState`.

Rules: events are past tense and carry the time they are told at, on the agent's clock; instructions are imperative and
are carried out in their order. What the driver of an `AgentState` owes it:

- `LifeFound` comes first, once, and only when no process of an earlier life is left (their mark files are locked for as
  long as they live): a mark that still moves is no progress to be relied on.
- `WorkerExited` comes when the process is reaped, never earlier, with what its marks and its spool segment tell.
- A worker that has said it ended starts nothing more, whatever it is told later.
- A worker with nothing left to start waits for orders and does not end by itself: it may yet be given the rest of a
  dead one. It ends when told `drain` (once nothing is in flight) or `stop`.
- A worker obeys limits and slots as soon as it is told, and its reports say what it obeys, with the revision it has from:
  a `limit` of a share is the first rank it will never start, `slots` the most it has in flight from now on.
- After the time of the last `ExtendLease` a worker starts nothing more, so that also a frozen supervisor is fenced.
"""

from dataclasses import dataclass

from osbench.common.clock import NS_PER_S
from osbench.common.messages import LostBatches, Orders, PastWorker, Report, ShareLimit, WorkerReport
from osbench.common.share import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Numbers of an agent. All times in nanoseconds.

    Attributes:
        workers: processes per run.
        replacements: how many workers may be started again in one run for such as died.
        report_every_ns, hello_every_ns: pauses.
        kill_after_ns: how long a worker may take to end after `stop`, and beyond the plan's time for draining.
        stalled_after_ns: how long a worker's loop may stand still.
        busy_note_ns: how long a refused run is reported as waiting.
    """

    workers: int
    replacements: int = 3
    report_every_ns: int = NS_PER_S
    hello_every_ns: int = 2 * NS_PER_S
    kill_after_ns: int = 10 * NS_PER_S
    stalled_after_ns: int = 30 * NS_PER_S
    busy_note_ns: int = 30 * NS_PER_S


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeFound:
    """At the start of this life: workers of earlier ones with anything left on this disk, exact and final."""

    now_ns: int
    past: tuple[PastWorker, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The control link is up, for the first time or again."""

    now_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcomed:
    """The coordinator has taken this life of the agent."""

    now_ns: int
    life: int
    lease_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The coordinator has not taken the agent, or does not know it any more: hello is said again."""

    now_ns: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReplied:
    """A probe came back at `now_ns`: the fields of `ClockReply`. This, and nothing else, extends the lease.

    The lease counts from when the probe was sent, not from when its answer came: only so it is over here, for
    certain, before the coordinator believes it to be, however late messages are.
    """

    now_ns: int
    probe_sent_ns: int
    received_ns: int
    replied_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareReceived:
    """The job of a run has come. The driver keeps it in memory, for `SpawnWorkers`, until `DeleteRun`.

    `drain_ns`: the plan's time for iterations in flight to end.
    """

    now_ns: int
    run: str
    revision: int
    drain_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersReceived:
    """Orders have come, new or old."""

    now_ns: int
    orders: Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPrepared:
    """A worker is ready to start."""

    now_ns: int
    run: str
    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFailed:
    """A worker cannot be made ready, and a second try would not help (unknown scenario, bad argument)."""

    now_ns: int
    run: str
    worker: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgressed:
    """Counters of a worker; its `state` is ignored. Several times a second, and at once when its shares are used up.

    `alive_ns`: when the worker's loop turned last, by its own marks, any axis that grows; 0 if it does not say. One
    that has not moved for `stalled_after_ns` is killed, so that others can have what it leaves.
    """

    now_ns: int
    run: str
    report: WorkerReport
    alive_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnded:
    """A worker has ended by order, its last batch is in the spool, and `report` is final."""

    now_ns: int
    run: str
    report: WorkerReport


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerExited:
    """A worker's process is gone, after `WorkerEnded` or without. `report`: what its marks and its spool tell.

    Of `report` the shares, `last_seq`, `iterations_written`, `lost` and `error` (how it exited) are taken.
    """

    now_ns: int
    run: str
    report: WorkerReport


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoss:
    """Batches that are gone from the spool segment of one worker, of this life or an earlier one; absolute."""

    life: int
    worker: int
    lost: tuple[LostBatches, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolChanged:
    """The spool of a run, all lives together; absolute. At most a few times a second, and at once when it is empty."""

    now_ns: int
    run: str
    unacked: int
    spool_bytes: int
    losses: tuple[WorkerLoss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveAsked:
    """This life is to end soon, by a signal: what runs is drained, and nothing new is taken."""

    now_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Told a few times a second (50 to 250 ms)."""

    now_ns: int


AgentEvent = (
    LifeFound
    | Connected
    | Welcomed
    | Refused
    | ClockReplied
    | PrepareReceived
    | OrdersReceived
    | WorkerPrepared
    | WorkerFailed
    | WorkerProgressed
    | WorkerEnded
    | WorkerExited
    | SpoolChanged
    | LeaveAsked
    | TimePassed
)


# Instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class SendHello:
    """Say hello, with these runs."""

    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendProbe:
    """Send one clock probe, stamped when it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """Send the report; the driver adds what it knows of the host (cpu, memory)."""

    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnWorkers:
    """Start one process for each of these numbers and hand it the job. Numbers are never used twice in a run."""

    run: str
    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWorker:
    """Tell a worker what it shall be doing from now on; absolute.

    Attributes:
        goal: run, drain or stop. start_ns: start of the run on this agent's clock.
        shares: all it owns or owned, oldest first; of some only the ranks below their limit.
        limits, slots: as in `WorkerShares`.
        revision: of the orders this comes from; it says so when it acts on them.
    """

    run: str
    worker: int
    goal: str
    start_ns: int = 0
    shares: tuple[Share, ...] = ()
    limits: tuple[ShareLimit, ...] = ()
    slots: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendLease:
    """Tell all workers of a run that they may start iterations until this time on the agent's clock."""

    run: str
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KillWorker:
    """SIGKILL; `WorkerExited` follows."""

    run: str
    worker: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun:
    """Delete the run's spool, marks and job, of all lives: everything of it is stored. Done before the next."""

    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLog:
    """One line for the agent's log."""

    text: str


AgentInstruction = (
    SendHello | SendProbe | SendReport | SpawnWorkers | OrderWorker | ExtendLease | KillWorker | DeleteRun | WriteLog
)
