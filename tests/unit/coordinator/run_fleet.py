"""Agents as a run sees them, for tests that tell a `RunState` what they say."""

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.messages import PastWorker, RunReport, ShareProgress, WorkerReport
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, RateStage, Schedule
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.run_events import (
    AgentWelcomed,
    BatchesCommitted,
    FinishRun,
    JobBuilt,
    NoteEvent,
    ReportReceived,
    RunEvent,
    RunInstruction,
    RunPhase,
    RunSettings,
    SaveRun,
    SendOrders,
    StoredBatch,
    Ticked,
)
from osbench.coordinator.run_state import RunState

S = NS_PER_S
NOISE = (SaveRun, NoteEvent)
CLOSED = ClosedLoop(concurrency=2, iterations=10)
OPEN = OpenLoop(stages=(RateStage(numerator=10, denominator=1),), iterations=100)


def plan(schedule: Schedule) -> Plan:
    return Plan(run="r", task="t", scenario="Dummy.dummy", arguments={}, schedule=schedule, seed=1, drain_ns=60 * S)


def run_state(schedule: Schedule = CLOSED, expected: str = "ab", min_agents: int = 0) -> RunState:
    return RunState(plan(schedule), RunSettings(expected=tuple(expected), min_agents=min_agents))


class Fleet:
    """Agents of one worker each, as far as a run sees them."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.sequence = 0
        self.said: list[RunInstruction] = []

    def tell(self, event: RunEvent) -> list[RunInstruction]:
        """An event; what it answers is kept, too."""
        said = self.state.handle(event)
        self.state.validate()
        self.said += said
        return said

    def welcome(self, agent: str, now_ns: int, life: int = 1) -> list[RunInstruction]:
        return self.tell(AgentWelcomed(now_ns=now_ns, agent=agent, life=life, workers=1))

    def report(
        self,
        agent: str,
        now_ns: int,
        state: str,
        *workers: WorkerReport,
        life: int = 1,
        past: tuple[PastWorker, ...] = (),
        unacked: int = 0,
        revision: int | None = None,
        error_ns: int = NS_PER_MS,
    ) -> list[RunInstruction]:
        """A report that is newer than all before; it acts on the newest orders unless told otherwise."""
        self.sequence += 1
        orders = self.state.parts[agent].orders
        newest = orders.revision if orders else 0
        run = RunReport(
            run="r",
            revision=newest if revision is None else revision,
            has_job=True,
            state=state,
            workers=workers,
            unacked=unacked,
        )
        return self.tell(
            ReportReceived(
                now_ns=now_ns,
                agent=agent,
                life=life,
                sequence=self.sequence,
                run=run,
                past=past,
                offset_error_ns=error_ns,
            )
        )

    def is_deleted(self, agent: str, now_ns: int) -> list[RunInstruction]:
        """It holds nothing of the run any more."""
        self.sequence += 1
        return self.tell(ReportReceived(now_ns=now_ns, agent=agent, life=1, sequence=self.sequence, run=None))

    def commit(self, agent: str, now_ns: int, seq: int, ok: int, life: int = 1) -> list[RunInstruction]:
        batch = StoredBatch(seq=seq, ok=ok, last_ns=S)
        event = BatchesCommitted(now_ns=now_ns, agent=agent, life=life, worker=0, batches=(batch,))
        return self.tell(event)

    def ready(self, now_ns: int = 0, agents: str = "ab") -> None:
        """All agents join and are ready."""
        self.tell(JobBuilt(now_ns=now_ns))
        for agent in agents:
            self.welcome(agent, now_ns)
        for agent in agents:
            self.report(agent, now_ns, "ready", worker("ready"))

    def running(self, agents: str = "ab") -> None:
        """The run has started, at 2 s, and everybody knows its orders."""
        self.ready(0, agents)
        self.tell(Ticked(now_ns=2 * S))
        for agent in agents:
            self.report(agent, 2 * S, "running", worker("running"))

    def phase(self) -> RunPhase:
        """Where the run is now."""
        return self.state.phase

    def accounting(self) -> Accounting:
        """The last that was handed out."""
        return [said for said in self.said if isinstance(said, FinishRun)][-1].accounting


def worker(state: str, *started: int, number: int = 0, last_seq: int = 0, error: str = "") -> WorkerReport:
    """A worker's report; `started` in its shares of epoch 1, 2, …"""
    shares = tuple(ShareProgress(epoch=epoch, started=count) for epoch, count in enumerate(started, start=1))
    return WorkerReport(worker=number, state=state, shares=shares, last_seq=last_seq, error=error)


def fleet(schedule: Schedule = CLOSED, expected: str = "ab", min_agents: int = 0) -> Fleet:
    return Fleet(run_state(schedule, expected, min_agents))


def ended(schedule: Schedule = CLOSED) -> Fleet:
    """Everything was started, and both workers have ended with one batch each."""
    agents = fleet(schedule)
    agents.running()
    for agent in "ab":
        agents.report(agent, 3 * S, "running", worker("running", 5))
    for agent in "ab":
        agents.report(agent, 4 * S, "ended", worker("ended", 5, last_seq=1), unacked=1)
    assert agents.state.phase is RunPhase.ENDING
    return agents


def orders_in(said: list[RunInstruction]) -> dict[str, SendOrders]:
    return {send.agent: send for send in said if isinstance(send, SendOrders)}


def kinds_in(said: list[RunInstruction]) -> list[str]:
    return [note.kind for note in said if isinstance(note, NoteEvent)]
