"""The state of an agent's supervisor: told what happened and what time it is, it answers what to do.

Rules: no socket, process, file, clock or chance in here. One run at a time has workers; runs that ended keep their
spool until the coordinator says `forget`. Orders are absolute; older ones than those at hand are ignored, and so are
orders to run while the lease is over or the coordinator's clock is not known (before it welcomed this connection, it
may be another process with another clock): they come again.

The lease: it counts from when the last probe that the coordinator answered was sent. When it is over, whatever runs is
drained and never runs again, since the coordinator may give to others what it can know was not started. An agent whose
workers have all ended, for that or because it was to be drained, may be told to prepare once more (a later revision of
`Prepare`): that begins another stint, with new workers and new shares.
Probes are told apart from those to an earlier process of the coordinator by being sent after the latest welcome.
"""

from collections import deque

from msgspec.structs import replace

from osbench.agent.agent_events import (
    AgentEvent,
    AgentInstruction,
    AgentSettings,
    ClockReplied,
    Connected,
    DeleteRun,
    ExtendLease,
    LeaveAsked,
    LifeFound,
    OrdersReceived,
    PrepareReceived,
    Refused,
    SendHello,
    SendProbe,
    SendReport,
    SpoolChanged,
    TimePassed,
    Welcomed,
    WriteLog,
)
from osbench.agent.agent_parts import AgentPhase, AgentRun
from osbench.agent.clock_fit import PROBE_EVERY_NS, ClockFit
from osbench.agent.foreman import AgentAnswer, Foreman
from osbench.common.clock import NS_PER_S
from osbench.common.messages import GOALS, PastWorker, Report, RunReport

#: The lease counts from an answered probe, so several are sent within one, however short it is.
PROBES_A_LEASE = 5
#: How many deleted runs are remembered, so that a late word does not bring one back.
REMEMBERED_RUNS = 256


class AgentState:
    """One life of an agent."""

    def __init__(self, agent: str, life: int, settings: AgentSettings) -> None:
        self.agent = agent
        self.life = life
        self.settings = settings
        #: The coordinator has taken this life, on this connection.
        self.is_welcomed = False
        #: The coordinator's clock.
        self.fit = ClockFit()
        #: As told by the coordinator; 0 before the first welcome.
        self.lease_ns = 0
        #: When the newest probe that was answered was sent: the coordinator heard it then or later.
        self.heard_ns = 0
        #: Runs whose job has come, by id, until they are deleted.
        self.runs: dict[str, AgentRun] = {}
        #: Workers of earlier lives, by (run, life, worker), until their run is deleted.
        self.past: dict[tuple[str, int, int], PastWorker] = {}
        #: Runs that found the agent busy, and when they were refused last.
        self.refused: dict[str, int] = {}
        #: Runs that were deleted.
        self.deleted: deque[str] = deque(maxlen=REMEMBERED_RUNS)
        #: This life was told to end: it takes no run.
        self.is_leaving = False
        #: Number of the last report.
        self.sequence = 0
        #: When the last report, the last hello was made; None if there is none on this connection.
        self._reported_ns: int | None = None
        self._hello_ns: int | None = None
        #: When time was told last; None before the first.
        self._passed_ns: int | None = None
        #: Answer to the event being handled.
        self._answer = AgentAnswer()
        self._foreman = Foreman(settings, self._answer)

    # Outside

    def handle(self, event: AgentEvent) -> list[AgentInstruction]:
        """Take an event in, and say what is to be done."""
        self._answer.said = []
        self._watch_lease(event.now_ns)
        match event:
            case LifeFound():
                self._on_life(event)
            case Connected():
                self.is_welcomed = False
                self._greet(event.now_ns)
            case Welcomed():
                self._on_welcome(event)
            case Refused():
                self.is_welcomed = False
            case ClockReplied():
                self._on_clock(event)
            case PrepareReceived():
                self._on_prepare(event)
            case OrdersReceived():
                self._on_orders(event)
            case SpoolChanged():
                self._on_spool(event)
            case LeaveAsked():
                self._on_leave(event.now_ns)
            case TimePassed():
                self._on_time(event.now_ns)
            case _:
                if event.run in self.runs:
                    self._foreman.hear(self.runs[event.run], event)
        for run in list(self.runs.values()):
            self._advance(run, event.now_ns)
        self._report(event.now_ns)
        return self._answer.said

    def validate(self) -> None:
        """Check all invariants."""
        active = [run.run for run in self.runs.values() if run.is_active]
        assert len(active) <= 1, f"runs {active} are active at once"
        for name, run in self.runs.items():
            assert name not in self.deleted, f"run {name} is deleted and there"
            assert run.replaced <= self.settings.replacements, f"{run.replaced} workers were replaced"
            assert all(number < run.next_number for number in run.seats), f"numbers {sorted(run.seats)} come again"
            if run.phase in (AgentPhase.ENDED, AgentPhase.FAILED):
                assert not run.alive or run.phase is AgentPhase.FAILED, f"{run.phase} with workers alive"
            if run.phase in (AgentPhase.ARMED, AgentPhase.RUNNING):
                assert run.goal == "run", f"{run.phase} with goal {run.goal}"
            for seat in run.alive:
                assert seat.told is None or GOALS.index(seat.told.goal) <= GOALS.index(run.goal), "told too much"
                assert not (run.is_fenced and seat.is_alive and seat.told and seat.told.goal == "run"), "not fenced"
        for (name, life, worker), past in self.past.items():
            assert life < self.life, f"worker {worker} of life {life} is past"
            assert past.worker.state in ("ended", "died"), f"{past} of run {name} is not over"

    # The link

    def _greet(self, now_ns: int) -> None:
        self._hello_ns = now_ns
        names = {*self.runs, *(name for name, _, _ in self.past)}
        self._answer.said.append(SendHello(runs=tuple(sorted(names))))

    def _on_welcome(self, event: Welcomed) -> None:
        if event.life != self.life:
            return
        self.lease_ns = event.lease_ns
        self.fit.probe_every_ns = min(PROBE_EVERY_NS, event.lease_ns // PROBES_A_LEASE)
        if self.is_welcomed:
            return
        self.is_welcomed, self._answer.is_news = True, True
        self.fit.restart(event.now_ns)
        if not any(run.goal == "run" for run in self.runs.values()):
            # Nothing runs that could have to be fenced, and nothing will before a probe was answered.
            self.heard_ns = max(self.heard_ns, event.now_ns)

    def _on_clock(self, event: ClockReplied) -> None:
        known = self.fit.estimate(event.now_ns) is not None
        if not self.fit.add(event.probe_sent_ns, event.received_ns, event.replied_ns, event.now_ns):
            return
        self._answer.is_news |= not known
        if event.probe_sent_ns > self.heard_ns:
            self.heard_ns = event.probe_sent_ns
            for run in self.runs.values():
                if run.goal == "run" and run.alive:
                    self._answer.said.append(ExtendLease(run=run.run, until_ns=self.heard_ns + self.lease_ns))

    def _is_lease_over(self, now_ns: int) -> bool:
        return now_ns >= self.heard_ns + self.lease_ns

    def _watch_lease(self, now_ns: int) -> None:
        """Before anything else, at each event: what comes late must not find the agent still believing in its lease."""
        if not self._is_lease_over(now_ns):
            return
        for run in self.runs.values():
            if run.goal == "run":
                silent_s = (now_ns - self.heard_ns) / NS_PER_S
                run.is_fenced, run.goal_since_ns, self._answer.is_news = True, now_ns, True
                run.error = f"drained by itself: no probe was answered for {silent_s:.1f} s"
                self._answer.said.append(WriteLog(text=f"run {run.run}: {run.error}"))

    def _on_leave(self, now_ns: int) -> None:
        """As if the lease were over: nothing more is started in this life, and others can have the rest."""
        self.is_leaving, self._answer.is_news = True, True
        for run in self.runs.values():
            if run.goal in ("prepare", "run"):
                run.is_fenced, run.goal_since_ns = True, now_ns
                run.error = run.error or "drained by itself: the agent was told to end"

    # Runs

    def _on_life(self, event: LifeFound) -> None:
        for past in event.past:
            worker = past.worker if past.worker.state == "ended" else replace(past.worker, state="died")
            self.past[past.run, past.life, worker.worker] = PastWorker(run=past.run, life=past.life, worker=worker)

    def _on_prepare(self, event: PrepareReceived) -> None:
        run = self.runs.get(event.run)
        is_again = (
            run is not None and run.phase is AgentPhase.ENDED and not run.is_active and event.revision > run.stint
        )
        if event.run in self.deleted or (run is not None and not is_again):
            return
        active = next((run.run for run in self.runs.values() if run.is_active), None)
        if active is not None or self.is_leaving:
            self._answer.is_news |= event.run not in self.refused
            self.refused[event.run] = event.now_ns
            return
        self.refused.pop(event.run, None)
        if run is not None:
            run.begin_stint(event.revision, event.now_ns)
            run.enter(AgentPhase.PREPARING)
        else:
            numbers = [worker for name, _, worker in self.past if name == event.run]
            run = AgentRun(run=event.run, drain_ns=event.drain_ns, next_number=max(numbers, default=-1) + 1)
            run.goal_since_ns, run.stint = event.now_ns, event.revision
            # The first orders of a run are of revision 1, as the first `Prepare` is; later ones share no number.
            run.floor = event.revision if event.revision > 1 else 0
            self.runs[event.run] = run
        self._foreman.spawn(run, self.settings.workers)

    def _on_orders(self, event: OrdersReceived) -> None:
        orders = event.orders
        if orders.life not in (-1, self.life):
            return
        run = self.runs.get(orders.run)
        if run is None:
            if orders.goal == "forget":
                self._delete(orders.run)
            return
        if orders.revision <= run.revision:
            return
        clock = self.fit.estimate(event.now_ns)
        if orders.goal == "run":
            if not self.is_welcomed or clock is None or self._is_lease_over(event.now_ns):
                return
            run.start_ns = run.start_ns or orders.start_ns + clock.offset_ns
        goal = run.goal
        run.obey(orders)
        self._answer.is_news = True
        if run.goal != goal:
            run.goal_since_ns = event.now_ns

    def _delete(self, name: str) -> None:
        """All of a run is stored: nothing of it is kept."""
        self.runs.pop(name, None)
        self.refused.pop(name, None)
        for key in [key for key in self.past if key[0] == name]:
            del self.past[key]
        if name not in self.deleted:
            self.deleted.append(name)
            self._answer.said.append(DeleteRun(run=name))
        self._answer.is_news = True

    def _on_spool(self, event: SpoolChanged) -> None:
        run = self.runs.get(event.run)
        for loss in event.losses:
            seat = run.seats.get(loss.worker) if run is not None and loss.life == self.life else None
            past = self.past.get((event.run, loss.life, loss.worker))
            if seat is not None and seat.report.lost != loss.lost:
                seat.report, self._answer.is_news = replace(seat.report, lost=loss.lost), True
            if past is not None and past.worker.lost != loss.lost:
                worker = replace(past.worker, lost=loss.lost)
                self.past[event.run, loss.life, loss.worker] = replace(past, worker=worker)
                self._answer.is_news = True
        if run is not None:
            self._answer.is_news |= bool(run.unacked) != bool(event.unacked)
            run.unacked, run.spool_bytes = event.unacked, event.spool_bytes

    # Time

    def _on_time(self, now_ns: int) -> None:
        if not self.is_welcomed:
            if self._hello_ns is not None and now_ns >= self._hello_ns + self.settings.hello_every_ns:
                self._greet(now_ns)
        else:
            while self.fit.take_probe(now_ns):
                self._answer.said.append(SendProbe())
        for name, since_ns in list(self.refused.items()):
            if now_ns >= since_ns + self.settings.busy_note_ns:
                del self.refused[name]
        asleep_ns = max(now_ns - (self._passed_ns or now_ns) - self.settings.report_every_ns, 0)
        self._passed_ns = now_ns
        for run in self.runs.values():
            self._foreman.watch_patience(run, now_ns)
            self._foreman.watch_stalls(run, now_ns, asleep_ns)

    def _advance(self, run: AgentRun, now_ns: int) -> None:
        """Bring workers and phase in line with what is to be done."""
        if run.goal == "forget":
            self._foreman.kill(run.seats.values(), run, now_ns, "the run is deleted")
            if all(seat.has_exited for seat in run.seats.values()):
                self._delete(run.run)
                return
        elif run.phase is not AgentPhase.FAILED:
            for seat in run.alive:
                self._foreman.order(run, seat, self.heard_ns + self.lease_ns)
        phase = run.phase_at(now_ns)
        if phase is not run.phase:
            run.enter(phase)
            self._answer.is_news = True
        if run.orders is not None and not run.has_started_all:
            run.has_started_all = all(seat.has_started_all(run.shares_of(seat.number)) for seat in run.alive)
            self._answer.is_news |= run.has_started_all

    # The report

    def _report(self, now_ns: int) -> None:
        if not self.is_welcomed:
            return
        due = self._reported_ns is None or now_ns >= self._reported_ns + self.settings.report_every_ns
        if not (due or self._answer.is_news):
            return
        self._answer.is_news, self._reported_ns = False, now_ns
        self.sequence += 1
        clock = self.fit.estimate(now_ns)
        busy = ", ".join(run.run for run in self.runs.values() if run.is_active)
        why = "agent was told to end" if self.is_leaving else f"agent is busy with run {busy}"
        waiting = (RunReport(run=name, revision=0, has_job=False, state="idle", error=why) for name in self.refused)
        report = Report(
            agent=self.agent,
            life=self.life,
            sequence=self.sequence,
            runs=(*(run.report() for run in self.runs.values()), *waiting),
            past=tuple(self.past.values()),
            offset_ns=clock.offset_ns if clock else 0,
            offset_error_ns=clock.error_ns if clock else -1,
        )
        self._answer.said.append(SendReport(report=report))
