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

import dataclasses
from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from osbench.agent.agent_events import (
    AgentEvent,
    AgentInstruction,
    AgentSettings,
    ClockReplied,
    Connected,
    DeleteRun,
    ExtendLease,
    KillWorker,
    LeaveAsked,
    LifeFound,
    OrdersReceived,
    OrderWorker,
    PrepareReceived,
    Refused,
    SendHello,
    SendProbe,
    SendReport,
    SpawnWorkers,
    SpoolChanged,
    TimePassed,
    Welcomed,
    WorkerEnded,
    WorkerExited,
    WorkerFailed,
    WorkerPrepared,
    WorkerProgressed,
    WriteLog,
)
from osbench.agent.agent_parts import AgentPhase, AgentRun, WorkerSeat
from osbench.agent.clock_fit import PROBE_EVERY_NS, ClockFit
from osbench.common.clock import NS_PER_S
from osbench.common.messages import GOALS, PastWorker, Report, RunReport, WorkerReport

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
        #: Something has changed that the coordinator is told at once.
        self._changed = False
        #: Answer to the event being handled.
        self._said: list[AgentInstruction] = []

    # Outside

    def handle(self, event: AgentEvent) -> list[AgentInstruction]:
        """Take an event in, and say what is to be done."""
        self._said = []
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
                self._on_worker(event)
        for run in list(self.runs.values()):
            self._advance(run, event.now_ns)
        self._report(event.now_ns)
        return self._said

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
        self._said.append(SendHello(runs=tuple(sorted(names))))

    def _on_welcome(self, event: Welcomed) -> None:
        if event.life != self.life:
            return
        self.lease_ns = event.lease_ns
        self.fit.probe_every_ns = min(PROBE_EVERY_NS, event.lease_ns // PROBES_A_LEASE)
        if self.is_welcomed:
            return
        self.is_welcomed, self._changed = True, True
        self.fit.restart(event.now_ns)
        if not any(run.goal == "run" for run in self.runs.values()):
            # Nothing runs that could have to be fenced, and nothing will before a probe was answered.
            self.heard_ns = max(self.heard_ns, event.now_ns)

    def _on_clock(self, event: ClockReplied) -> None:
        known = self.fit.estimate(event.now_ns) is not None
        if not self.fit.add(event.probe_sent_ns, event.received_ns, event.replied_ns, event.now_ns):
            return
        self._changed |= not known
        if event.probe_sent_ns > self.heard_ns:
            self.heard_ns = event.probe_sent_ns
            for run in self.runs.values():
                if run.goal == "run" and run.alive:
                    self._said.append(ExtendLease(run=run.run, until_ns=self.heard_ns + self.lease_ns))

    def _is_lease_over(self, now_ns: int) -> bool:
        return now_ns >= self.heard_ns + self.lease_ns

    def _watch_lease(self, now_ns: int) -> None:
        """Before anything else, at each event: what comes late must not find the agent still believing in its lease."""
        if not self._is_lease_over(now_ns):
            return
        for run in self.runs.values():
            if run.goal == "run":
                silent_s = (now_ns - self.heard_ns) / NS_PER_S
                run.is_fenced, run.goal_since_ns, self._changed = True, now_ns, True
                run.error = f"drained by itself: no probe was answered for {silent_s:.1f} s"
                self._said.append(WriteLog(text=f"run {run.run}: {run.error}"))

    def _on_leave(self, now_ns: int) -> None:
        """As if the lease were over: nothing more is started in this life, and others can have the rest."""
        self.is_leaving, self._changed = True, True
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
            self._changed |= event.run not in self.refused
            self.refused[event.run] = event.now_ns
            return
        self.refused.pop(event.run, None)
        if run is not None:
            run.begin_stint(event.revision, event.now_ns)
            self._enter(run, AgentPhase.PREPARING)
        else:
            numbers = [worker for name, _, worker in self.past if name == event.run]
            run = AgentRun(run=event.run, drain_ns=event.drain_ns, next_number=max(numbers, default=-1) + 1)
            run.goal_since_ns, run.stint = event.now_ns, event.revision
            # The first orders of a run are of revision 1, as the first `Prepare` is; later ones share no number.
            run.floor = event.revision if event.revision > 1 else 0
            self.runs[event.run] = run
        self._spawn(run, self.settings.workers)

    def _spawn(self, run: AgentRun, count: int) -> None:
        numbers = tuple(range(run.next_number, run.next_number + count))
        run.next_number += count
        for number in numbers:
            run.seats[number] = WorkerSeat(report=WorkerReport(worker=number, state="preparing"))
        self._said.append(SpawnWorkers(run=run.run, workers=numbers))
        self._changed = True

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
        self._changed = True
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
            self._said.append(DeleteRun(run=name))
        self._changed = True

    def _on_spool(self, event: SpoolChanged) -> None:
        run = self.runs.get(event.run)
        for loss in event.losses:
            seat = run.seats.get(loss.worker) if run is not None and loss.life == self.life else None
            past = self.past.get((event.run, loss.life, loss.worker))
            if seat is not None and seat.report.lost != loss.lost:
                seat.report, self._changed = replace(seat.report, lost=loss.lost), True
            if past is not None and past.worker.lost != loss.lost:
                worker = replace(past.worker, lost=loss.lost)
                self.past[event.run, loss.life, loss.worker] = replace(past, worker=worker)
                self._changed = True
        if run is not None:
            self._changed |= bool(run.unacked) != bool(event.unacked)
            run.unacked, run.spool_bytes = event.unacked, event.spool_bytes

    # Workers

    def _on_worker(self, event: WorkerPrepared | WorkerFailed | WorkerProgressed | WorkerEnded | WorkerExited) -> None:
        number = event.worker if isinstance(event, WorkerPrepared | WorkerFailed) else event.report.worker
        run = self.runs.get(event.run)
        seat = run.seats.get(number) if run is not None else None
        if run is None or seat is None:
            return
        match event:
            case WorkerPrepared() if seat.report.state == "preparing":
                seat.set_state("ready")
                self._changed = True
            case WorkerFailed() if seat.is_alive:
                self._on_failed(run, seat, event)
            case WorkerProgressed() if seat.is_alive:
                self._changed |= seat.take(event.report, seat.report.state)
                if event.alive_ns != seat.alive_ns:
                    seat.alive_ns, seat.seen_ns = event.alive_ns, event.now_ns
            case WorkerEnded() if seat.is_alive:
                seat.take(event.report, "ended")
                self._changed = True
            case WorkerExited():
                self._on_exited(run, seat, event)
            case _:
                return

    def _on_failed(self, run: AgentRun, seat: WorkerSeat, event: WorkerFailed) -> None:
        seat.set_state("died", event.error)
        self._kill([seat], run, event.now_ns, "it cannot be made ready")
        self._changed = True
        if run.goal == "prepare":
            self._fail(run, f"worker {seat.number}: {event.error}", event.now_ns)

    def _fail(self, run: AgentRun, error: str, now_ns: int) -> None:
        run.error = error
        for seat in run.alive:
            seat.set_state("died", "the agent cannot prepare the run")
            self._kill([seat], run, now_ns, error)
        self._enter(run, AgentPhase.FAILED)

    def _on_exited(self, run: AgentRun, seat: WorkerSeat, event: WorkerExited) -> None:
        seat.has_exited, self._changed = True, True
        if not seat.is_alive:
            return
        told = event.report
        seat.take(
            replace(
                seat.report,
                shares=told.shares,
                last_seq=told.last_seq,
                iterations_written=told.iterations_written,
                lost=told.lost,
                error=seat.killed_for or told.error or "its process is gone",
                in_flight=0,
            ),
            "died",
        )
        self._said.append(WriteLog(text=f"run {run.run}: worker {seat.number} died: {seat.report.error}"))
        if run.goal in ("prepare", "run") and run.replaced < self.settings.replacements:
            run.replaced += 1
            self._spawn(run, 1)
        elif run.goal == "prepare" and not run.alive:
            self._fail(run, f"all workers died, the last of: {seat.report.error}", event.now_ns)

    def _kill(self, seats: Iterable[WorkerSeat], run: AgentRun, now_ns: int, reason: str) -> None:
        for seat in seats:
            if not seat.has_exited and seat.killed_ns is None:
                seat.killed_ns, seat.killed_for = now_ns, reason
                self._said.append(KillWorker(run=run.run, worker=seat.number, reason=reason))

    # Time

    def _on_time(self, now_ns: int) -> None:
        if not self.is_welcomed:
            if self._hello_ns is not None and now_ns >= self._hello_ns + self.settings.hello_every_ns:
                self._greet(now_ns)
        else:
            while self.fit.take_probe(now_ns):
                self._said.append(SendProbe())
        for name, since_ns in list(self.refused.items()):
            if now_ns >= since_ns + self.settings.busy_note_ns:
                del self.refused[name]
        asleep_ns = max(now_ns - (self._passed_ns or now_ns) - self.settings.report_every_ns, 0)
        self._passed_ns = now_ns
        for run in self.runs.values():
            self._watch_patience(run, now_ns)
            self._watch_stalls(run, now_ns, asleep_ns)

    def _watch_patience(self, run: AgentRun, now_ns: int) -> None:
        """Workers that do not end are stopped, and those that do not stop are killed."""
        waited_ns = now_ns - run.goal_since_ns
        if run.goal == "drain" and run.alive and waited_ns >= run.drain_ns + self.settings.kill_after_ns:
            run.is_overdue, run.goal_since_ns = True, now_ns
        elif run.goal == "stop" and waited_ns >= self.settings.kill_after_ns:
            self._kill(run.alive, run, now_ns, "it did not stop")
        elif run.phase is AgentPhase.ENDED and waited_ns >= self.settings.kill_after_ns:
            self._kill((s for s in run.seats.values() if not s.is_alive), run, now_ns, "it ended and did not exit")

    def _watch_stalls(self, run: AgentRun, now_ns: int, asleep_ns: int) -> None:
        """Kill workers whose loop stands still; the time this process itself did not run does not count."""
        for seat in run.alive:
            seat.seen_ns += asleep_ns if seat.seen_ns else 0
            if seat.seen_ns and now_ns >= seat.seen_ns + self.settings.stalled_after_ns:
                self._kill([seat], run, now_ns, f"its loop stood still for {(now_ns - seat.seen_ns) / NS_PER_S:.0f} s")

    def _advance(self, run: AgentRun, now_ns: int) -> None:
        """Bring workers and phase in line with what is to be done."""
        if run.goal == "forget":
            self._kill(run.seats.values(), run, now_ns, "the run is deleted")
            if all(seat.has_exited for seat in run.seats.values()):
                self._delete(run.run)
                return
        elif run.phase is not AgentPhase.FAILED:
            for seat in run.alive:
                self._order(run, seat)
        phase = self._phase_of(run, now_ns)
        if phase is not run.phase:
            self._enter(run, phase)
        if run.orders is not None and not run.has_started_all:
            run.has_started_all = all(seat.has_started_all(run.shares_of(seat.number)) for seat in run.alive)
            self._changed |= run.has_started_all

    def _order(self, run: AgentRun, seat: WorkerSeat) -> None:
        """Tell a worker what is to be done, if that is news to it."""
        if run.goal == "prepare" or (run.goal == "run" and seat.report.state == "preparing"):
            return
        if seat.looked == (run.revision, run.goal):
            return
        seat.looked = (run.revision, run.goal)
        entry, before = run.shares_of(seat.number), seat.told
        told = OrderWorker(
            run=run.run,
            worker=seat.number,
            goal=run.goal,
            start_ns=run.start_ns,
            shares=entry.shares,
            limits=entry.limits,
            slots=entry.slots,
            revision=run.revision,
        )
        if before is not None and told == dataclasses.replace(before, revision=run.revision):
            return
        if run.goal == "run" and seat.told is None:
            self._said.append(ExtendLease(run=run.run, until_ns=self.heard_ns + self.lease_ns))
        seat.told = told
        seat.set_state("running" if run.goal == "run" else "draining")
        self._said.append(told)
        self._changed = True

    @staticmethod
    def _phase_of(run: AgentRun, now_ns: int) -> AgentPhase:
        if run.phase is AgentPhase.FAILED:
            return run.phase
        if run.goal == "prepare":
            ready = run.alive and all(seat.report.state == "ready" for seat in run.alive)
            return AgentPhase.READY if ready else AgentPhase.PREPARING
        if not run.alive:
            ended = run.phase in (AgentPhase.ARMED, AgentPhase.RUNNING, AgentPhase.DRAINING, AgentPhase.ENDED)
            return AgentPhase.ENDED if ended else AgentPhase.DRAINING
        if run.goal == "run":
            is_early = now_ns < run.start_ns and run.phase is not AgentPhase.RUNNING
            return AgentPhase.ARMED if is_early else AgentPhase.RUNNING
        return AgentPhase.DRAINING

    def _enter(self, run: AgentRun, phase: AgentPhase) -> None:
        assert phase in AGENT_TRANSITIONS[run.phase], f"{run.phase} cannot become {phase}"
        run.phase, self._changed = phase, True

    # The report

    def _report(self, now_ns: int) -> None:
        if not self.is_welcomed:
            return
        due = self._reported_ns is None or now_ns >= self._reported_ns + self.settings.report_every_ns
        if not (due or self._changed):
            return
        self._changed, self._reported_ns = False, now_ns
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
        self._said.append(SendReport(report=report))
