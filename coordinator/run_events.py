"""What a run is told and what it answers: the values that go into and come out of `RunState`.

Rules: events are past tense and carry the time they are told at, on the coordinator's clock; instructions are
imperative. Whoever drives a `RunState` carries out its instructions in their order, each before the next: what `SaveRun`
hands out must be durable before anything that stands behind it is sent, else a restarted coordinator would divide
indices again that were given away already.
"""

from dataclasses import dataclass
from enum import Enum

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.messages import Orders, PastWorker, Report, RunReport
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.run_snapshot import RunSnapshot


class RunPhase(Enum):
    """Where a run is. `RUN_TRANSITIONS` in run_state says which follows which."""

    PLANNED = "planned"
    PREPARING = "preparing"
    ARMING = "arming"
    RUNNING = "running"
    DRAINING = "draining"
    ENDING = "ending"
    DONE = "done"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How patient a run is. All times in nanoseconds.

    Attributes:
        expected: names of the agents that are waited for at the start. Whoever else is welcomed takes part too, from
            when it is ready: only who may is told to a run.
        min_agents: with fewer ready after `join_timeout_ns` the run is aborted; 0 means as many as are expected.
        join_timeout_ns: how long after the job was built agents may take to be ready.
        start_margin_ns: least time from the decision to start until the start; at least ten times the worst bound of
            a clock error is taken.
        delivery_ns: how long orders may take to reach a worker: what is due earlier is not given to another worker.
        resend_ns, resend_max_ns: first and longest pause before the same is said again.
        takeover_wait_ns: how long the rest of a dead worker waits for somebody who can take it.
        worth_ns: how long the run must at least have something to start for an agent to begin again in it, or for shares
            to be moved to workers that have nothing to do.
        move_margin_ns: how long it takes at most, mostly, until a share that is moved has found its new owner; more than
            4 times `delivery_ns`.
        move_pause_ns: least time between two times that shares are moved.
        move_wait_ns: how long what is moved waits for the slots that go with it.
        lost_wait_ns: how long the run waits, when all else is done, for agents whose lease is over.
        drain_grace_ns: what is added to the plan's own time for draining before `stop` is ordered.
        stop_wait_ns: how long after `stop` workers may take to end before they are given up.
        collect_wait_ns: how long the run waits for batches while none comes.
        forget_wait_ns: how long the run waits for agents to confirm that they deleted it.
    """

    expected: tuple[str, ...]
    min_agents: int = 0
    join_timeout_ns: int = 60 * NS_PER_S
    start_margin_ns: int = 2 * NS_PER_S
    delivery_ns: int = 500 * NS_PER_MS
    resend_ns: int = NS_PER_S
    resend_max_ns: int = 5 * NS_PER_S
    takeover_wait_ns: int = 30 * NS_PER_S
    worth_ns: int = 10 * NS_PER_S
    move_margin_ns: int = 3 * NS_PER_S
    move_pause_ns: int = 5 * NS_PER_S
    move_wait_ns: int = 15 * NS_PER_S
    lost_wait_ns: int = 60 * NS_PER_S
    drain_grace_ns: int = 10 * NS_PER_S
    stop_wait_ns: int = 30 * NS_PER_S
    collect_wait_ns: int = 600 * NS_PER_S
    forget_wait_ns: int = 10 * NS_PER_S

    @property
    def needed(self) -> int:
        """How many agents must be ready at least."""
        return self.min_agents or len(self.expected) or 1


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBuilt:
    """Contexts are set up and users are signed in: the agents can be told to prepare."""

    now_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWelcomed:
    """An agent has said hello and was taken, for the first time, again, or in a new life.

    One that the run does not know yet is admitted by this, as long as there is something to start.
    """

    now_ns: int
    agent: str
    life: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived:
    """An agent has said all there is to know of it. `run` None: it knows nothing of this run in this life."""

    now_ns: int
    agent: str
    life: int
    sequence: int
    run: RunReport | None
    past: tuple[PastWorker, ...] = ()
    offset_ns: int = 0
    offset_error_ns: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLost:
    """An agent's lease is over: it has not been heard for so long that it must have drained by itself."""

    now_ns: int
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch in the store: its number, its iterations by outcome, its time relative to the start of the run."""

    seq: int
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    dropped: int = 0
    first_ns: int = 0
    last_ns: int = 0

    @property
    def iterations(self) -> int:
        """Iteration records in it."""
        return self.ok + self.failed + self.unknown + self.dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchesCommitted:
    """Batches of one worker are in the store. May be told twice, and is told of all that is stored after a restart."""

    now_ns: int
    agent: str
    life: int
    worker: int
    batches: tuple[StoredBatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRejected:
    """A batch can never be stored; `iterations` as its header says, 0 if it cannot be read."""

    now_ns: int
    agent: str
    life: int
    worker: int
    seq: int
    iterations: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDrainRequested:
    """An agent shall start nothing more: what is in flight there may end, the rest goes to the others."""

    now_ns: int
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDrainRevoked:
    """An agent that was to be drained may take part again."""

    now_ns: int
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequested:
    """Somebody wants the run to end: nothing more is started, what is in flight may end."""

    now_ns: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """Somebody wants the run to end now, with what is in flight."""

    now_ns: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """Time has passed; told a few times a second (100 to 500 ms)."""

    now_ns: int


RunEvent = (
    JobBuilt
    | AgentWelcomed
    | ReportReceived
    | AgentLost
    | BatchesCommitted
    | BatchRejected
    | AgentDrainRequested
    | AgentDrainRevoked
    | DrainRequested
    | StopRequested
    | Ticked
)


def report_received(report: Report, run: str, now_ns: int) -> ReportReceived:
    """What of an agent's report concerns one run."""
    return ReportReceived(
        now_ns=now_ns,
        agent=report.agent,
        life=report.life,
        sequence=report.sequence,
        run=next((part for part in report.runs if part.run == run), None),
        past=tuple(past for past in report.past if past.run == run),
        offset_ns=report.offset_ns,
        offset_error_ns=report.offset_error_ns,
    )


# Instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPrepare:
    """Send the job. May come again: the agent ignores a second one."""

    agent: str
    life: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOrders:
    """Send orders, which are absolute. May come again with the same revision."""

    agent: str
    life: int
    orders: Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRun:
    """Make this durable in place of what was saved of the run before, and only then go on."""

    snapshot: RunSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEvent:
    """Write down what the verdict may have to name.

    Attributes:
        kind: agent_late, agent_failed, agent_joined, agent_lost, agent_back, agent_restarted, agent_draining,
            agent_drained, agent_undrained, worker_died, worker_forgotten, rest_divided, shares_moving, batches_lost,
            batch_rejected, overrun, abort, drain_timeout, stop_timeout, collect_timeout, forget_timeout.
        agent: empty, worker: -1 where none is meant.
        at_ns: after the start of the run, negative before it, 0 if there is no start yet.
    """

    kind: str
    agent: str = ""
    worker: int = -1
    at_ns: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncePhase:
    """Tell whoever watches."""

    phase: RunPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRun:
    """The run is over; this is what became of every index.

    Comes again if records of an agent that was given up reach the store later: the newer accounting holds.
    """

    accounting: Accounting
    aborted: str


RunInstruction = SendPrepare | SendOrders | SaveRun | NoteEvent | AnnouncePhase | FinishRun
