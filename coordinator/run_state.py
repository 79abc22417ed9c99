"""The state of one run, from planned to done: told what happened and what time it is, it answers what to do.

Rules: no socket, file, clock or chance in here. Orders are absolute and have a revision for each agent; they are said
again, ever more rarely, while an agent's report shows an older one. Every decision that was told to anybody is in the
snapshot, which is handed out before it (`SaveRun`), so that a restarted coordinator goes on where the old one was.

What becomes of an index is decided by these rules; ledger.py keeps the books.

- A worker that died, ended early or belongs to an earlier life of its agent tells exactly what it started: its marks
  survive it. The rest is divided over all workers that are ready or running, its slots with it; no existing share is
  touched. If nobody is there, it waits for a replacement, but not for ever.
- In open loop what would be late in another worker is not run: its intended start is past, and to run it now would
  put a load on the cloud that nobody planned.
- An agent whose lease is over has drained by itself by then, since its own lease counts from an earlier moment (see
  roster.py). But what it started until then is not known. In closed loop nothing of its share is given away: any of
  its indices may have been run. In open loop an index cannot have been started before it was due, so what is due from
  now on was started by nobody, and is divided anew, if the agent had confirmed the share: one that is still under way
  to it would reach it whole. When the agent comes back its progress and its batches count, and what it left is divided
  as that of any worker that ended. If it does not, what nobody knows of counts as lost.
- With a cap on iterations in flight, those of a lost agent may go on beside the ones of who took its share.
"""

from msgspec.structs import replace

from osbench.common.clock import NS_PER_S
from osbench.common.messages import GOALS, WorkerReport
from osbench.common.plan import ClosedLoop, OpenLoop, Plan
from osbench.common.record import SUPERVISOR
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.reckoning import draw_up
from osbench.coordinator.run_events import (
    AgentLost,
    AgentWelcomed,
    AnnouncePhase,
    BatchesCommitted,
    BatchRejected,
    DrainRequested,
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
    SendPrepare,
    StopRequested,
    Ticked,
)
from osbench.coordinator.run_orders import renew_orders, say_again
from osbench.coordinator.run_parts import AgentPart, WorkerPart
from osbench.coordinator.run_snapshot import SNAPSHOT_VERSION, RunSnapshot, WorkerKey, WorkerPlace

#: From each phase, what leads to which other.
RUN_TRANSITIONS: dict[RunPhase, dict[RunPhase, str]] = {
    RunPhase.PLANNED: {RunPhase.PREPARING: "job built", RunPhase.ABORTED: "abort"},
    RunPhase.PREPARING: {RunPhase.ARMING: "enough agents ready", RunPhase.DRAINING: "too few agents, or abort"},
    RunPhase.ARMING: {RunPhase.RUNNING: "start reached", RunPhase.DRAINING: "abort"},
    RunPhase.RUNNING: {RunPhase.DRAINING: "all started, duration over, or abort"},
    RunPhase.DRAINING: {RunPhase.ENDING: "every worker ended, died or given up"},
    RunPhase.ENDING: {RunPhase.DONE: "all stored and forgotten", RunPhase.ABORTED: "the same, after an abort"},
    RunPhase.DONE: {},
    RunPhase.ABORTED: {},
}
OVER = (RunPhase.DONE, RunPhase.ABORTED)


class RunState:
    """One run."""

    def __init__(self, plan: Plan, settings: RunSettings) -> None:
        self.plan = plan
        self.settings = settings
        #: Where the run is; changes only by RUN_TRANSITIONS.
        self.phase = RunPhase.PLANNED
        #: What agents are told to do: one of messages.GOALS, in their order, never back; `forget` is said to each
        #: agent apart, and never stands here.
        self.goal = "prepare"
        #: Newest revision of orders, of all agents together; only grows.
        self.revision = 0
        #: Start on the coordinator's clock; 0 before it is decided.
        self.start_ns = 0
        #: Why the run was aborted; empty if it was not.
        self.aborted = ""
        #: It is settled what became of every batch, or waiting for it was given up.
        self.collected = False
        #: Who owns which index.
        self.ledger = Ledger(plan.schedule)
        #: By name; exactly those of `settings.expected`.
        self.parts = {agent: AgentPart(agent=agent) for agent in settings.expected}
        #: When the phase, the goal, or `collected` changed last.
        self._since_ns = 0
        #: When the last news of a batch came.
        self._moved_ns = 0
        #: Since when only lost agents have something left to start; None if that is not so.
        self._alone_ns: int | None = None
        #: The accounting was handed out and does not hold any more.
        self._outdated = False
        #: Something is decided that is not saved.
        self._dirty = False
        #: Answer to the event being handled: what others are told, without orders.
        self._said: list[RunInstruction] = []

    # Outside

    def handle(self, event: RunEvent) -> list[RunInstruction]:
        """Take an event in, and say what is to be done."""
        self._said, self._dirty = [], False
        match event:
            case JobBuilt():
                self._on_job(event)
            case AgentWelcomed():
                self._on_welcome(event)
            case ReportReceived():
                self._on_report(event)
            case AgentLost():
                self._on_lost(event)
            case BatchesCommitted():
                self._on_committed(event)
            case BatchRejected():
                self._on_rejected(event)
            case DrainRequested() | StopRequested():
                self._on_abort(event)
            case Ticked():
                self._review(event.now_ns)
        told = (self.goal, self.collected)
        self._advance(event.now_ns)
        everybody = isinstance(event, Ticked | JobBuilt) or told != (self.goal, self.collected)
        concerned = None if everybody else getattr(event, "agent", None)
        sends = [
            send
            for part in self.parts.values()
            if everybody or part.is_stale or part.agent == concerned
            for send in self._speak(part, event.now_ns)
        ]
        saves = [SaveRun(snapshot=self.snapshot())] if self._dirty else []
        return [*saves, *self._said, *sends]

    def accounting(self, now_ns: int) -> Accounting:
        """What became of every index, as far as is known now."""
        workers = (
            worker
            for part in self.parts.values()
            for worker in part.workers.values()
            if worker.key.worker != SUPERVISOR
        )
        return draw_up(self.ledger, workers, self.start_ns, now_ns)

    def snapshot(self) -> RunSnapshot:
        """All that a restarted coordinator must know."""
        return RunSnapshot(
            version=SNAPSHOT_VERSION,
            run=self.plan.run,
            phase=self.phase.value,
            goal=self.goal,
            revision=self.revision,
            start_ns=self.start_ns,
            aborted=self.aborted,
            collected=self.collected,
            lives={part.agent: part.life for part in self.parts.values()},
            divisions=tuple(self.ledger.divisions),
            shares=self.ledger.places(),
            workers=tuple(
                WorkerPlace(
                    key=worker.key,
                    state=worker.state,
                    last_seq=worker.last_seq,
                    since_ns=worker.since_ns,
                    error=worker.error,
                    lost=worker.lost,
                )
                for part in self.parts.values()
                for worker in part.workers.values()
            ),
            rests=tuple(self.ledger.rests),
            not_run=tuple(self.ledger.not_run),
        )

    @classmethod
    def restore(
        cls, plan: Plan, settings: RunSettings, snapshot: RunSnapshot, now_ns: int, shift_ns: int = 0
    ) -> "RunState":
        """A run as it was saved; what is in the store must be told to it next (`BatchesCommitted`).

        Args:
            plan, settings: as before.
            snapshot: what was saved last.
            now_ns: on the present clock.
            shift_ns: what the present clock shows minus what the clock of the saving process would show.
        """
        assert snapshot.run == plan.run, f"snapshot of run {snapshot.run}, not of {plan.run}"
        assert snapshot.version == SNAPSHOT_VERSION, f"snapshot version {snapshot.version}, known {SNAPSHOT_VERSION}"
        state = cls(plan, settings)
        state.phase = RunPhase(snapshot.phase)
        state.goal, state.revision, state.aborted = snapshot.goal, snapshot.revision, snapshot.aborted
        state.start_ns = snapshot.start_ns + shift_ns if snapshot.start_ns else 0
        state.collected, state._outdated = snapshot.collected, True
        state._since_ns = state._moved_ns = now_ns
        state.ledger.restore(
            snapshot.divisions,
            snapshot.shares,
            [replace(rest, since_ns=rest.since_ns + shift_ns) for rest in snapshot.rests],
            [replace(piece, at_ns=piece.at_ns + shift_ns) for piece in snapshot.not_run],
        )
        for agent, life in snapshot.lives.items():
            part = state.parts[agent]
            part.life, part.is_stale, part.is_asked = life, True, life >= 0
        for place in snapshot.workers:
            state._restore_worker(place, shift_ns)
        return state

    def _restore_worker(self, place: WorkerPlace, shift_ns: int) -> None:
        part = self.parts[place.key.agent]
        worker = part.worker(place.key.life, place.key.worker)
        worker.state, worker.last_seq, worker.error, worker.lost = place.state, place.last_seq, place.error, place.lost
        if worker.is_final:
            worker.since_ns = place.since_ns + shift_ns
            part.live.discard(worker.key)
        if worker.state == "forgotten":
            self.ledger.forget(worker.key)

    def validate(self) -> None:
        """Check all invariants."""
        self.ledger.validate()
        assert self.phase in (RunPhase.PLANNED, RunPhase.PREPARING) or self.goal != "prepare", f"{self.phase} prepares"
        assert bool(self.ledger.divisions) <= bool(self.start_ns), "what is divided has a start"
        assert self.phase not in OVER or self.collected or not self.ledger.divisions, "over, and batches are awaited"
        assert (self.phase is RunPhase.ABORTED) <= bool(self.aborted), "an abort has a reason"
        for part in self.parts.values():
            assert part.orders is None or part.orders.revision <= self.revision, f"{part.agent}: orders of the future"
            assert part.live <= part.workers.keys(), f"{part.agent}: unknown workers live"
            for key, worker in part.workers.items():
                expected = not worker.is_final and key.worker != SUPERVISOR
                assert (key in part.live) == expected, f"{key}: {worker.state}, live {key in part.live}"

    # Events

    def _on_job(self, event: JobBuilt) -> None:
        if self.phase is RunPhase.PLANNED:
            self._enter(RunPhase.PREPARING, event.now_ns)

    def _on_welcome(self, event: AgentWelcomed) -> None:
        part = self.parts.get(event.agent)
        if part is None or event.life < part.life:
            return
        self._meet(part, event.life, event.now_ns)
        # Its connection is new: what was said on the old one may be lost, so nothing is waited for.
        part.said = ("", 0, 0)

    def _on_report(self, event: ReportReceived) -> None:
        part = self.parts.get(event.agent)
        if part is None:
            return
        for past in event.past:
            if past.life < max(event.life, part.life):
                self._hear(part, past.life, past.worker, event.now_ns)
        if event.life < part.life or (event.life == part.life and event.sequence <= part.sequence):
            return
        self._meet(part, event.life, event.now_ns)
        part.sequence, part.report, part.past = event.sequence, event.run, len(event.past)
        part.offset_error_ns = event.offset_error_ns
        if event.run is not None:
            part.is_asked = True
            for worker in event.run.workers:
                self._hear(part, event.life, worker, event.now_ns)
        self._forget_missing(part, event)
        part.is_stale = part.is_stale or self.collected

    def _meet(self, part: AgentPart, life: int, now_ns: int) -> None:
        """An agent is there, in this life or a new one."""
        if life > part.life:
            if part.life >= 0:
                self._note("agent_restarted", now_ns, part.agent, text=f"agent {part.agent} began life {life}")
                self._dirty = True
            part.begin_life(life)
        part.is_here = True
        if part.is_lost:
            part.is_lost = part.is_given_up = False
            text = f"agent {part.agent} is back after {(now_ns - part.lost_ns) / NS_PER_S:.1f} s"
            self._note("agent_back", now_ns, part.agent, text=text)

    def _hear(self, part: AgentPart, life: int, report: WorkerReport, now_ns: int) -> None:
        """What an agent says of one of its workers."""
        worker = part.worker(life, report.worker)
        lost_before = worker.lost
        has_ended = worker.hear(report, now_ns)
        if worker.lost != lost_before:
            self._news(now_ns)
            seqs = ", ".join(f"{span.first_seq}-{span.last_seq}" for span in worker.lost)
            self._note("batches_lost", now_ns, part.agent, report.worker, f"batches {seqs} are gone from the spool")
        overrun = self.ledger.advance(worker.key, report.shares)
        if overrun and has_ended:
            text = f"started {overrun} iterations that had been given to others"
            self._note("overrun", now_ns, part.agent, report.worker, text)
        if has_ended:
            self._end_worker(part, worker, now_ns)

    def _end_worker(self, part: AgentPart, worker: WorkerPart, now_ns: int) -> None:
        """A worker's progress is final: its rest leaves it."""
        part.live.discard(worker.key)
        name = f"worker {worker.key.worker} of agent {part.agent}"
        why = f"{name} {worker.state}" + (f": {worker.error}" if worker.error else "")
        rests = len(self.ledger.rests)
        self.ledger.close(worker.key, now_ns, why)
        if worker.state != "ended":
            self._note("worker_died", now_ns, part.agent, worker.key.worker, why)
        self._dirty = self._dirty or worker.state != "ended" or len(self.ledger.rests) != rests
        self._outdated = True

    def _forget_missing(self, part: AgentPart, event: ReportReceived) -> None:
        """Workers of earlier lives that the agent found nothing of: nothing will ever be known of them."""
        if not any(key.life < event.life for key in part.live):
            return
        told = {(past.life, past.worker.worker) for past in event.past}
        for key in sorted(part.live):
            if key.life < event.life and (key.life, key.worker) not in told:
                part.workers[key].end("forgotten", "", event.now_ns)
                part.live.discard(key)
                self.ledger.forget(key)
                self._dirty = self._outdated = True
                if self.ledger.owned(key):
                    text = f"agent {part.agent} found no mark of worker {key.worker} of its life {key.life}"
                    self._note("worker_forgotten", event.now_ns, part.agent, key.worker, text)

    def _on_lost(self, event: AgentLost) -> None:
        part = self.parts.get(event.agent)
        if part is None or part.is_lost:
            return
        part.is_lost, part.lost_ns = True, event.now_ns
        if part.live:
            self._note("agent_lost", event.now_ns, part.agent, text=f"agent {part.agent}: its lease is over")
        if self.goal == "run" and isinstance(self.plan.schedule, OpenLoop):
            due_ns = event.now_ns - self.start_ns + self.settings.delivery_ns
            why = f"agent {part.agent} was lost"
            for key in sorted(part.live):
                confirmed = part.revision if key.life == part.life else 0
                self._dirty |= self.ledger.cut(key, due_ns, confirmed, event.now_ns, why)

    def _on_committed(self, event: BatchesCommitted) -> None:
        part = self.parts.get(event.agent)
        if part is None:
            return
        worker = part.worker(event.life, event.worker)
        if sum(worker.store(batch) for batch in event.batches):
            self._news(event.now_ns)

    def _on_rejected(self, event: BatchRejected) -> None:
        part = self.parts.get(event.agent)
        if part is None:
            return
        worker = part.worker(event.life, event.worker)
        if event.seq not in worker.rejected and event.seq not in worker.committed:
            worker.rejected[event.seq] = (event.iterations, event.reason)
            self._news(event.now_ns)
            text = f"batch {event.seq} was rejected: {event.reason}"
            self._note("batch_rejected", event.now_ns, part.agent, event.worker, text)

    def _news(self, now_ns: int) -> None:
        """Something of what became of the batches is known now."""
        self._moved_ns = now_ns
        self._outdated = True

    def _on_abort(self, event: DrainRequested | StopRequested) -> None:
        is_stop = isinstance(event, StopRequested)
        match self.phase:
            case RunPhase.PLANNED:
                self._abort(event.reason, event.now_ns)
                self.ledger.give_up_plan(event.now_ns, f"aborted: {event.reason}")
                self._finish(RunPhase.ABORTED, event.now_ns)
            case RunPhase.PREPARING | RunPhase.ARMING | RunPhase.RUNNING:
                self._abort(event.reason, event.now_ns)
                self._drain("stop" if is_stop else "drain", event.now_ns)
            case RunPhase.DRAINING if is_stop:
                self._abort(event.reason, event.now_ns)
                self._order("stop", event.now_ns)
            case RunPhase.ENDING if is_stop and not self.collected:
                self._abort(event.reason, event.now_ns)
                self._collect(event.now_ns)
            case _:
                pass

    def _abort(self, reason: str, now_ns: int) -> None:
        if not self.aborted:
            self.aborted = reason
            self._dirty = True
            self._note("abort", now_ns, text=reason)

    # Time

    def _advance(self, now_ns: int) -> None:
        """Go on as far as is possible now."""
        if self.ledger.rests:
            self._settle_rests(now_ns)
        step = {
            RunPhase.PREPARING: self._prepare,
            RunPhase.ARMING: self._arm,
            RunPhase.RUNNING: self._run,
            RunPhase.DRAINING: self._watch_drain,
            RunPhase.ENDING: self._watch_end,
        }.get(self.phase)
        phase = self.phase
        if step is not None:
            step(now_ns)
        if self.phase is not phase:
            self._advance(now_ns)

    def _prepare(self, now_ns: int) -> None:
        ready = [part for part in self.parts.values() if part.is_ready]
        waiting = [part for part in self.parts.values() if not part.is_ready and not part.has_failed]
        if waiting and now_ns < self._since_ns + self.settings.join_timeout_ns:
            return
        for part in self.parts.values():
            if not part.is_ready:
                why = part.report.error if part.report is not None and part.report.error else "it is not ready in time"
                kind = "agent_failed" if part.has_failed else "agent_late"
                self._note(kind, now_ns, part.agent, text=f"agent {part.agent} does not take part: {why}")
        if ready and len(ready) >= self.settings.needed:
            self._start(ready, now_ns)
            return
        asked = f"{len(ready)} of {len(self.parts)} agents are ready, at least {self.settings.needed} are asked"
        missing = ", ".join(part.agent for part in self.parts.values() if not part.is_ready)
        self._abort(f"{asked}; not ready: {missing}", now_ns)
        self._drain("drain", now_ns)

    def _start(self, ready: list[AgentPart], now_ns: int) -> None:
        """All that are needed are ready: divide everything among them, and say when it starts."""
        worst_ns = max(part.offset_error_ns for part in ready)
        self.start_ns = now_ns + max(self.settings.start_margin_ns, 10 * worst_ns)
        self.ledger.divide_plan(self._takers(), self.revision + 1)
        self._order("run", now_ns)
        self._enter(RunPhase.ARMING, now_ns)

    def _arm(self, now_ns: int) -> None:
        if now_ns >= self.start_ns:
            self._enter(RunPhase.RUNNING, now_ns)

    def _run(self, now_ns: int) -> None:
        if self._is_duration_over(now_ns) or (not self.ledger.rests and self._is_all_started(now_ns)):
            self._drain("drain", now_ns)

    def _is_duration_over(self, now_ns: int) -> bool:
        schedule = self.plan.schedule
        return (
            isinstance(schedule, ClosedLoop)
            and schedule.duration_ns is not None
            and now_ns >= self.start_ns + schedule.duration_ns
        )

    def _is_all_started(self, now_ns: int) -> bool:
        """Whether nobody has anything left to start, those apart that were waited for in vain."""
        busy = [
            part for part in self.parts.values() if not part.is_given_up and not self.ledger.all_started(part.agent)
        ]
        if any(not part.is_lost for part in busy):
            self._alone_ns = None
            return False
        if self._alone_ns is None:
            self._alone_ns = now_ns
        return self._give_up(busy, self._alone_ns, now_ns)

    def _give_up(self, waiting: list[AgentPart], since_ns: int, now_ns: int) -> bool:
        """Give up those lost agents that were waited for long enough; whether that is all of them."""
        for part in waiting:
            if part.is_lost and now_ns >= max(part.lost_ns, since_ns) + self.settings.lost_wait_ns:
                part.is_given_up = True
                self._outdated = True
        return all(part.is_given_up for part in waiting)

    def _watch_drain(self, now_ns: int) -> None:
        waiting = [part for part in self.parts.values() if part.live and not part.is_given_up]
        if self._give_up(waiting, self._since_ns, now_ns):
            self._enter(RunPhase.ENDING, now_ns)
            self._moved_ns = now_ns
        elif self.goal == "drain" and now_ns >= self._since_ns + self.plan.drain_ns + self.settings.drain_grace_ns:
            self._note("drain_timeout", now_ns, text=f"iterations are in flight on {_names(waiting)}: they are stopped")
            self._order("stop", now_ns)
        elif self.goal == "stop" and now_ns >= self._since_ns + self.settings.stop_wait_ns:
            self._note("stop_timeout", now_ns, text=f"workers do not end on {_names(waiting)}")
            self._enter(RunPhase.ENDING, now_ns)
            self._moved_ns = now_ns

    def _watch_end(self, now_ns: int) -> None:
        if not self.collected:
            waiting = [part for part in self.parts.values() if not part.is_settled and not part.is_given_up]
            if self._give_up(waiting, self._since_ns, now_ns):
                self._collect(now_ns)
            elif now_ns >= self._moved_ns + self.settings.collect_wait_ns:
                self._note("collect_timeout", now_ns, text=f"batches of {_names(waiting)} do not arrive")
                self._collect(now_ns)
        if self.collected:
            waiting = [part for part in self.parts.values() if self._must_confirm(part)]
            if waiting and now_ns < self._since_ns + self.settings.forget_wait_ns:
                return
            if waiting:
                self._note("forget_timeout", now_ns, text=f"{_names(waiting)} did not say that the run is deleted")
            self._finish(RunPhase.ABORTED if self.aborted else RunPhase.DONE, now_ns)

    def _must_confirm(self, part: AgentPart) -> bool:
        return part.is_asked and part.is_settled and not part.is_lost and not part.holds_nothing

    def _collect(self, now_ns: int) -> None:
        """What became of every batch is known, or waiting for the others is over."""
        self.collected, self._dirty, self._since_ns = True, True, now_ns
        for part in self.parts.values():
            part.is_stale = True

    def _review(self, now_ns: int) -> None:
        """After the end: records that arrive late change the account, and after a restart it is handed out again."""
        if self.phase in OVER and self._outdated:
            self._outdated = False
            self._said.append(FinishRun(accounting=self.accounting(now_ns), aborted=self.aborted))

    def _finish(self, phase: RunPhase, now_ns: int) -> None:
        self._enter(phase, now_ns)
        self._outdated = True
        self._review(now_ns)

    def _enter(self, phase: RunPhase, now_ns: int) -> None:
        assert phase in RUN_TRANSITIONS[self.phase], f"{self.phase} cannot become {phase}"
        self.phase, self._since_ns, self._dirty = phase, now_ns, True
        self._said.append(AnnouncePhase(phase=phase))

    def _drain(self, goal: str, now_ns: int) -> None:
        """Nothing more is to be started: because all is, because the time is over, or because somebody said so."""
        self._order(goal, now_ns)
        if not self.ledger.divisions:
            self.ledger.give_up_plan(now_ns, f"aborted: {self.aborted}")
        self._enter(RunPhase.DRAINING, now_ns)

    def _order(self, goal: str, now_ns: int) -> None:
        assert GOALS.index(goal) >= GOALS.index(self.goal), f"goal {self.goal} cannot become {goal}"
        if goal != self.goal:
            self.goal, self._since_ns, self._dirty = goal, now_ns, True
            for part in self.parts.values():
                part.is_stale = True

    # Rests

    def _settle_rests(self, now_ns: int) -> None:
        """Find somebody for what dead workers left."""
        count, due_ns = len(self.ledger.rests), now_ns - self.start_ns + self.settings.delivery_ns
        if self.goal != "run" or self._is_duration_over(now_ns):
            why = f"aborted: {self.aborted}" if self.aborted else "the run was over before anybody could take it"
            self.ledger.give_up(now_ns, why)
        elif takers := self._takers():
            for division in self.ledger.hand_out(takers, now_ns, due_ns, self.revision + 1):
                source = self.ledger.held[division.source_epoch, division.source_owner].key
                text = f"rest of worker {source.worker} of agent {source.agent} goes to {len(takers)} workers"
                self._note("rest_divided", now_ns, source.agent, source.worker, text)
                for key in division.takers:
                    self.parts[key.agent].is_stale = True
        else:
            why = "no worker was left that could take it"
            self.ledger.give_up(now_ns, why, older_than_ns=now_ns - self.settings.takeover_wait_ns)
        self._dirty |= len(self.ledger.rests) != count

    def _takers(self) -> list[WorkerKey]:
        """Workers that can take something, spread over agents first, so that few slots go to many hosts."""
        found = []
        for part in self.parts.values():
            report = part.report
            if not part.is_spoken_to or report is None or report.state not in ("ready", "armed", "running"):
                continue
            able = sorted(
                WorkerKey(part.agent, part.life, worker.worker)
                for worker in report.workers
                if worker.state in ("ready", "running")
            )
            # The newest report may still be older than what is known: after a restart nothing is known of sequences.
            found += [(place, key) for place, key in enumerate(able) if key in part.live]
        return [key for _, key in sorted(found)]

    # Words

    def _speak(self, part: AgentPart, now_ns: int) -> list[SendPrepare | SendOrders]:
        if self.phase is RunPhase.PLANNED:
            return []
        goal = "forget" if self.collected and part.is_settled else self.goal
        if part.is_stale and renew_orders(part, self.ledger, self.plan.run, goal, self.start_ns, self.revision + 1):
            self.revision += 1
            self._dirty = True
        return list(say_again(part, goal, now_ns, self.settings))

    def _note(self, kind: str, now_ns: int, agent: str = "", worker: int = -1, text: str = "") -> None:
        at_ns = now_ns - self.start_ns if self.start_ns else 0
        self._said.append(NoteEvent(kind=kind, agent=agent, worker=worker, at_ns=at_ns, text=text))


def _names(parts: list[AgentPart]) -> str:
    return ", ".join(part.agent for part in parts)
