"""What an agent's supervisor knows of a run and of its workers: plain state, decided upon in agent_state.

Rules: a worker is `died` or `ended` for ever; its number is never used again. What a report says is made of this.
"""

from dataclasses import dataclass, field
from enum import Enum

from msgspec.structs import replace

from osbench.agent.agent_events import OrderWorker
from osbench.common.messages import GOALS, Orders, RunReport, ShareProgress, WorkerReport, WorkerShares

#: States in which a worker's process has work or may get some.
ALIVE = ("preparing", "ready", "running", "draining")


class AgentPhase(Enum):
    """Where an agent is with a run; the value is what it reports. `AGENT_TRANSITIONS` says which follows which."""

    PREPARING = "preparing"
    READY = "ready"
    ARMED = "armed"
    RUNNING = "running"
    DRAINING = "draining"
    ENDED = "ended"
    FAILED = "failed"


#: From each phase of a run at an agent, what leads to which other. A run is deleted from any, by `forget`.
AGENT_TRANSITIONS: dict[AgentPhase, dict[AgentPhase, str]] = {
    AgentPhase.PREPARING: {
        AgentPhase.READY: "all workers ready",
        AgentPhase.FAILED: "a worker cannot be made ready",
        AgentPhase.ARMED: "orders to run",
        AgentPhase.RUNNING: "orders to run, start is past",
        AgentPhase.DRAINING: "orders to drain or stop",
    },
    AgentPhase.READY: {
        AgentPhase.PREPARING: "a worker died, another takes its place",
        AgentPhase.FAILED: "no worker left",
        AgentPhase.ARMED: "orders to run",
        AgentPhase.RUNNING: "orders to run, start is past",
        AgentPhase.DRAINING: "orders to drain or stop",
    },
    AgentPhase.ARMED: {
        AgentPhase.RUNNING: "start reached",
        AgentPhase.DRAINING: "orders to drain or stop, or lease over",
        AgentPhase.ENDED: "no worker left",
    },
    AgentPhase.RUNNING: {
        AgentPhase.DRAINING: "orders to drain or stop, or lease over",
        AgentPhase.ENDED: "no worker left",
    },
    AgentPhase.DRAINING: {AgentPhase.ENDED: "every worker ended or died"},
    AgentPhase.ENDED: {AgentPhase.PREPARING: "told to prepare once more"},
    AgentPhase.FAILED: {},
}


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerSeat:
    """One worker of this life."""

    #: What is reported of it; its state is kept by the machine, counters are the worker's own.
    report: WorkerReport
    #: What it was told last; None before the first.
    told: OrderWorker | None = None
    #: Revision and goal of the orders that it was looked at with last; None before the first.
    looked: tuple[int, str] | None = None
    #: Its process is gone.
    has_exited: bool = False
    #: When it was killed, and why; None if it was not.
    killed_ns: int | None = None
    killed_for: str = ""
    #: Its last sign of life by its own word, and when that was new; 0 before the first.
    alive_ns: int = 0
    seen_ns: int = 0

    @property
    def number(self) -> int:
        """Its number."""
        return self.report.worker

    @property
    def is_alive(self) -> bool:
        """Whether it may start something, now or later."""
        return self.report.state in ALIVE

    def set_state(self, state: str, error: str = "") -> None:
        """Change what is reported of it."""
        self.report = replace(self.report, state=state, error=error or self.report.error)

    def take(self, told: WorkerReport, state: str) -> bool:
        """Take the worker's word, or that of its marks; whether it says what it obeys, or leaves, for the first time.

        Of progress the highest counts, of limits the lowest.
        """
        known = {place.epoch: place for place in self.report.shares}
        before, limits = self.report, sum(place.limit >= 0 for place in self.report.shares)
        for place in told.shares:
            known[place.epoch] = _further(place, known.get(place.epoch, place))
        self.report = replace(
            told,
            worker=self.number,
            state=state,
            shares=tuple(known[epoch] for epoch in sorted(known)),
            last_seq=max(told.last_seq, self.report.last_seq),
            lost=told.lost or self.report.lost,
            error=told.error or self.report.error,
        )
        left = sum(place.limit >= 0 for place in self.report.shares) != limits
        return left or (before.revision, before.slots) != (told.revision, told.slots)

    def has_started_all(self, entry: WorkerShares) -> bool:
        """Whether nothing of these shares is left to start."""
        ends = {share.epoch: share.size() for share in entry.shares}
        limits = [(bound.epoch, bound.limit) for bound in entry.limits]
        limits += [(place.epoch, place.limit) for place in self.report.shares if place.limit >= 0]
        for epoch, limit in limits:
            if epoch in ends:
                end = ends[epoch]
                ends[epoch] = limit if end is None else min(limit, end)
        started = {place.epoch: place.started for place in self.report.shares}
        return all(end is not None and started.get(epoch, 0) >= end for epoch, end in ends.items())


def _further(one: ShareProgress, other: ShareProgress) -> ShareProgress:
    """What is known of a share by two words of its worker."""
    limits = [place.limit for place in (one, other) if place.limit >= 0]
    return ShareProgress(epoch=one.epoch, started=max(one.started, other.started), limit=min(limits, default=-1))


@dataclass(slots=True, kw_only=True, eq=False)
class AgentRun:
    """A run whose job has come."""

    run: str
    #: The plan's time for iterations in flight to end.
    drain_ns: int
    #: Number of the next worker: above all of all lives, so that orders for an earlier life name nobody here.
    next_number: int
    #: Revision of the newest `Prepare` that was heeded: a later one, when all has ended here, begins another stint.
    stint: int = 0
    phase: AgentPhase = AgentPhase.PREPARING
    #: Newest orders of this stint; None before the first.
    orders: Orders | None = None
    #: Orders up to this revision are of an earlier stint.
    floor: int = 0
    #: The furthest goal that was ordered in this stint: none goes back behind it.
    ordered: str = "prepare"
    #: Start of the run on this agent's clock; 0 before it is known. Once known it stays.
    start_ns: int = 0
    #: By number.
    seats: dict[int, WorkerSeat] = field(default_factory=dict)
    #: Workers started in place of such as died.
    replaced: int = 0
    #: The lease was over while it ran: nothing more is started in this stint, whatever is ordered.
    is_fenced: bool = False
    #: Draining took too long: it is stopped.
    is_overdue: bool = False
    #: When the goal became what it is.
    goal_since_ns: int = 0
    #: Everything that was handed out is started.
    has_started_all: bool = False
    unacked: int = 0
    spool_bytes: int = 0
    error: str = ""

    @property
    def goal(self) -> str:
        """What is to be done: the coordinator's word, or more than that."""
        if not (self.is_overdue or self.is_fenced):
            return self.ordered
        return max(self.ordered, "stop" if self.is_overdue else "drain", key=GOALS.index)

    @property
    def revision(self) -> int:
        """Of the orders it acts on, or of those it acts on none before."""
        return self.orders.revision if self.orders else self.floor

    @property
    def alive(self) -> list[WorkerSeat]:
        """Workers that have not come to their end."""
        return [seat for seat in self.seats.values() if seat.is_alive]

    @property
    def is_active(self) -> bool:
        """Whether it keeps others out."""
        return bool(self.alive) or any(not seat.has_exited for seat in self.seats.values())

    def obey(self, orders: Orders) -> None:
        """Newer orders are to be heeded."""
        self.orders = orders
        self.ordered = max(self.ordered, orders.goal, key=GOALS.index)
        self.has_started_all = False

    def begin_stint(self, revision: int, now_ns: int) -> None:
        """All has ended here, and it shall take part once more: with new workers, which get shares of their own."""
        assert self.phase is AgentPhase.ENDED, f"stint {revision} begins in {self.phase}"
        assert not self.is_active, f"stint {revision} begins while workers are there"
        self.stint = self.floor = revision
        self.orders, self.ordered, self.error = None, "prepare", ""
        self.is_fenced = self.is_overdue = self.has_started_all = False
        self.goal_since_ns = now_ns

    def shares_of(self, number: int) -> WorkerShares:
        """What a worker owns or owned, by the newest orders."""
        entries = self.orders.shares if self.orders else ()
        return next((entry for entry in entries if entry.worker == number), WorkerShares(worker=number))

    def phase_at(self, now_ns: int) -> AgentPhase:
        """Where it is, by its workers, its goal and the time."""
        if self.phase is AgentPhase.FAILED:
            return self.phase
        if self.goal == "prepare":
            ready = self.alive and all(seat.report.state == "ready" for seat in self.alive)
            return AgentPhase.READY if ready else AgentPhase.PREPARING
        if not self.alive:
            ended = self.phase in (AgentPhase.ARMED, AgentPhase.RUNNING, AgentPhase.DRAINING, AgentPhase.ENDED)
            return AgentPhase.ENDED if ended else AgentPhase.DRAINING
        if self.goal == "run":
            is_early = now_ns < self.start_ns and self.phase is not AgentPhase.RUNNING
            return AgentPhase.ARMED if is_early else AgentPhase.RUNNING
        return AgentPhase.DRAINING

    def enter(self, phase: AgentPhase) -> None:
        """Be there from now on."""
        assert phase in AGENT_TRANSITIONS[self.phase], f"{self.phase} cannot become {phase}"
        self.phase = phase

    def report(self) -> RunReport:
        """What is said of it."""
        return RunReport(
            run=self.run,
            revision=self.revision,
            has_job=True,
            state=self.phase.value,
            workers=tuple(self.seats[number].report for number in sorted(self.seats)),
            unacked=self.unacked,
            spool_bytes=self.spool_bytes,
            error=self.error,
        )
