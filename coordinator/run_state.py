"""The state of one run, from planned to done: told what happened and what time it is, it answers what to do.

Rules: no socket, file, clock or chance in here. Orders are absolute and have a revision for each agent; they are said
again, ever more rarely, while an agent's report shows an older one. Every decision that was told to anybody is in the
snapshot, which is handed out before it (`SaveRun`), so that a restarted coordinator goes on where the old one was.

What becomes of an index is decided by these rules; ledger.py keeps the books.

- A worker that died, ended early or belongs to an earlier life of its agent tells exactly what it started: its marks
  survive it. The rest is divided over all workers that are ready or running, and its slots go to them. If nobody is
  there, it waits for a replacement, but not for ever.
- A worker that lives gives an end of a share away only by its own word: it drains, or was told a limit because others
  have nothing to do (movement.py), and says from which rank on it starts nothing more.
- In open loop what would be late in another worker is not run: its intended start is past, and to run it now would
  put a load on the cloud that nobody planned.
- An agent whose lease is over has drained by itself by then, since its own lease counts from an earlier moment (see
  roster.py). But what it started until then is not known. In closed loop nothing of its share is given away: any of
  its indices may have been run. In open loop an index cannot have been started before it was due, so what is due from
  now on was started by nobody, and is divided anew, if the agent had confirmed the share: one that is still under way
  to it would reach it whole. When the agent comes back its progress and its batches count, and what it left is divided
  as that of any worker that ended. If it does not, what nobody knows of counts as lost.
- With a cap on iterations in flight, those of a lost agent may go on beside the ones of who took its share.
- An agent that comes later takes part from when it is ready; one that has ended its part may begin again.
"""

from msgspec.structs import replace

from osbench.common.clock import NS_PER_S
from osbench.common.messages import GOALS
from osbench.common.plan import ClosedLoop, OpenLoop, Plan
from osbench.common.record import SUPERVISOR
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.movement import Movement
from osbench.coordinator.outlook import time_left_ns
from osbench.coordinator.reckoning import draw_up
from osbench.coordinator.run_agents import RunAgents
from osbench.coordinator.run_answer import RunAnswer
from osbench.coordinator.run_events import (
    AgentDrainRequested,
    AgentDrainRevoked,
    AgentLost,
    AgentWelcomed,
    AnnouncePhase,
    BatchesCommitted,
    BatchRejected,
    DrainRequested,
    FinishRun,
    JobBuilt,
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
from osbench.coordinator.run_parts import AgentPart
from osbench.coordinator.run_snapshot import SNAPSHOT_VERSION, RunSnapshot
from osbench.coordinator.slots import SlotBook
from osbench.coordinator.takeover import Takeover, takers

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
#: How often it is looked whether somebody has nothing to do: it takes milliseconds in a large fleet.
LOOK_NS = NS_PER_S


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
        #: What is answered to the event at hand.
        self._answer = RunAnswer()
        #: Who may have how many in flight.
        self.slots = SlotBook(self.ledger.asked_slots)
        self._agents = RunAgents(settings, self.ledger, self.slots, self._answer)
        #: By name: all that are expected, and whoever was admitted.
        self.parts = self._agents.parts
        self._takeover = Takeover(self.parts, self.ledger, self.slots, self._answer, settings)
        self._movement = Movement(
            plan.schedule, self.parts, self.ledger, self.slots, self._takeover, self._answer, settings
        )
        #: When the phase, the goal, or `collected` changed last.
        self._since_ns = 0
        #: When it was last looked whether somebody has nothing to do.
        self._looked_ns = 0
        #: Since when only lost agents have something left to start; None if that is not so.
        self._alone_ns: int | None = None

    # Outside

    def handle(self, event: RunEvent) -> list[RunInstruction]:
        """Take an event in, and say what is to be done."""
        self._answer.begin(event.now_ns, self.start_ns)
        match event:
            case JobBuilt():
                self._on_job(event)
            case AgentWelcomed():
                self._agents.welcome(event, is_open=self.goal in ("prepare", "run") and self.phase not in OVER)
            case ReportReceived():
                self._agents.report(event)
            case AgentLost():
                self._on_lost(event)
            case BatchesCommitted():
                self._agents.commit(event)
            case BatchRejected():
                self._agents.reject(event)
            case AgentDrainRequested() | AgentDrainRevoked():
                self._agents.drain(event.agent, is_drained=isinstance(event, AgentDrainRequested))
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
        saves = [SaveRun(snapshot=self.snapshot())] if self._answer.is_dirty else []
        return [*saves, *self._answer.said, *sends]

    @property
    def holders(self) -> tuple[str, ...]:
        """Agents that are there and hold something of the run, or have not said yet whether they do."""
        return tuple(part.agent for part in self.parts.values() if part.is_spoken_to and not part.holds_nothing)

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
            workers=self._agents.places(),
            rests=tuple(self.ledger.rests),
            not_run=tuple(self.ledger.not_run),
            slots=self.slots.places(),
            stints={part.agent: part.stint for part in self.parts.values() if part.stint > 1},
            drained=tuple(part.agent for part in self.parts.values() if part.is_drained),
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
        state = cls(plan, settings)
        state.phase = RunPhase(snapshot.phase)
        state.goal, state.revision, state.aborted = snapshot.goal, snapshot.revision, snapshot.aborted
        state.start_ns = snapshot.start_ns + shift_ns if snapshot.start_ns else 0
        state.collected, state._answer.is_outdated = snapshot.collected, True
        state._since_ns = state._answer.moved_ns = now_ns
        state.ledger.restore(
            snapshot.divisions,
            snapshot.shares,
            [replace(rest, since_ns=rest.since_ns + shift_ns) for rest in snapshot.rests],
            [replace(piece, at_ns=piece.at_ns + shift_ns) for piece in snapshot.not_run],
        )
        state.slots.restore(state.ledger.slots_before() if snapshot.slots is None else snapshot.slots)
        state._agents.restore(snapshot, shift_ns)
        return state

    def validate(self) -> None:
        """Check all invariants."""
        self.ledger.validate()
        self.slots.validate()
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

    def _on_lost(self, event: AgentLost) -> None:
        is_fenced = self.goal == "run" and isinstance(self.plan.schedule, OpenLoop)
        self._agents.lose(event, self._due_ns(event.now_ns) if is_fenced else None)

    def _due_ns(self, now_ns: int) -> int:
        """What is due earlier, after the start of the run, cannot be with another worker in time any more."""
        return now_ns - self.start_ns + self.settings.delivery_ns

    def _on_abort(self, event: DrainRequested | StopRequested) -> None:
        is_stop = isinstance(event, StopRequested)
        match self.phase:
            case RunPhase.PLANNED:
                self.goal = "stop"
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
            self._answer.is_dirty = True
            self._answer.note("abort", text=reason)

    # Time

    def _advance(self, now_ns: int) -> None:
        """Go on as far as is possible now."""
        if self.ledger.rests or self.slots.free:
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
        ready = [part for part in self.parts.values() if part.is_ready and not part.is_drained]
        coming = [part.agent for part in self.parts.values() if part.is_coming]
        is_enough = len(ready) >= self.settings.needed
        is_awaited = any(agent in self.settings.expected for agent in coming)
        # Where nobody in particular is expected, somebody may come until the waiting is over.
        is_hopeless = not is_enough and not coming and any(part.is_out for part in self.parts.values())
        is_hopeless = is_hopeless and bool(self.settings.expected)
        can_wait = now_ns < self._since_ns + self.settings.join_timeout_ns
        if can_wait and not is_hopeless and (is_awaited or not is_enough):
            return
        for part in self.parts.values():
            if not part.is_ready and not part.is_drained:
                why = part.report.error if part.report is not None and part.report.error else "it is not ready in time"
                kind = "agent_failed" if part.has_failed else "agent_late"
                self._answer.note(kind, part.agent, text=f"agent {part.agent} is not there at the start: {why}")
        if is_enough:
            self._start(ready, now_ns)
            return
        asked = f"{len(ready)} of {len(self.parts)} agents are ready, at least {self.settings.needed} are asked"
        missing = ", ".join(
            f"{part.agent} (drained)" if part.is_drained else part.agent
            for part in self.parts.values()
            if part not in ready
        )
        self._abort(f"{asked}; not ready: {missing or 'nobody'}", now_ns)
        self._drain("drain", now_ns)

    def _start(self, ready: list[AgentPart], now_ns: int) -> None:
        """All that are needed are ready: divide everything among them, and say when it starts."""
        worst_ns = max(part.offset_error_ns for part in ready)
        self.start_ns = now_ns + max(self.settings.start_margin_ns, 10 * worst_ns)
        self.ledger.divide_plan(takers(self.parts.values()), self.revision + 1)
        self.slots.restore(self.ledger.slots_before())
        self._order("run", now_ns)
        self._enter(RunPhase.ARMING, now_ns)

    def _take_in(self) -> None:
        """Agents that drained, and could go on, begin again."""
        for part in self.parts.values():
            if part.can_begin_again:
                self.revision += 1
                self._agents.begin_again(part, self.revision)

    def _is_worth_joining(self, now_ns: int) -> bool:
        left_ns = time_left_ns(self.plan.schedule, self.ledger, self.slots, now_ns - self.start_ns)
        return bool(self.ledger.rests) or left_ns is None or left_ns >= self.settings.worth_ns

    def _arm(self, now_ns: int) -> None:
        if now_ns >= self.start_ns:
            self._enter(RunPhase.RUNNING, now_ns)

    def _run(self, now_ns: int) -> None:
        if self._is_duration_over(now_ns) or (not self.ledger.rests and self._is_all_started(now_ns)):
            self._drain("drain", now_ns)
        elif now_ns >= self._looked_ns + LOOK_NS:
            self._looked_ns = now_ns
            if self._is_worth_joining(now_ns):
                self._take_in()
                self._movement.plan(self._takeover.takers())

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
                self._answer.is_outdated = True
        return all(part.is_given_up for part in waiting)

    def _watch_drain(self, now_ns: int) -> None:
        waiting = [part for part in self.parts.values() if part.live and not part.is_given_up]
        if self._give_up(waiting, self._since_ns, now_ns):
            self._enter(RunPhase.ENDING, now_ns)
            self._answer.moved_ns = now_ns
        elif self.goal == "drain" and now_ns >= self._since_ns + self.plan.drain_ns + self.settings.drain_grace_ns:
            self._answer.note("drain_timeout", text=f"iterations are in flight on {_names(waiting)}: they are stopped")
            self._order("stop", now_ns)
        elif self.goal == "stop" and now_ns >= self._since_ns + self.settings.stop_wait_ns:
            self._answer.note("stop_timeout", text=f"workers do not end on {_names(waiting)}")
            self._enter(RunPhase.ENDING, now_ns)
            self._answer.moved_ns = now_ns

    def _watch_end(self, now_ns: int) -> None:
        if not self.collected:
            waiting = [part for part in self.parts.values() if not part.is_settled and not part.is_given_up]
            if self._give_up(waiting, self._since_ns, now_ns):
                self._collect(now_ns)
            elif now_ns >= self._answer.moved_ns + self.settings.collect_wait_ns:
                self._answer.note("collect_timeout", text=f"batches of {_names(waiting)} do not arrive")
                self._collect(now_ns)
        if self.collected:
            waiting = [part for part in self.parts.values() if self._must_confirm(part)]
            if waiting and now_ns < self._since_ns + self.settings.forget_wait_ns:
                return
            if waiting:
                self._answer.note("forget_timeout", text=f"{_names(waiting)} did not say that the run is deleted")
            self._finish(RunPhase.ABORTED if self.aborted else RunPhase.DONE, now_ns)

    def _must_confirm(self, part: AgentPart) -> bool:
        return part.is_asked and part.is_settled and not part.is_lost and not part.holds_nothing

    def _collect(self, now_ns: int) -> None:
        """What became of every batch is known, or waiting for the others is over."""
        self.collected, self._answer.is_dirty, self._since_ns = True, True, now_ns
        for part in self.parts.values():
            part.is_stale = True

    def _review(self, now_ns: int) -> None:
        """After the end: records that arrive late change the account, and after a restart it is handed out again."""
        if self.phase in OVER and self._answer.is_outdated:
            self._answer.is_outdated = False
            self._answer.said.append(FinishRun(accounting=self.accounting(now_ns), aborted=self.aborted))

    def _finish(self, phase: RunPhase, now_ns: int) -> None:
        self._enter(phase, now_ns)
        self._answer.is_outdated = True
        self._review(now_ns)

    def _enter(self, phase: RunPhase, now_ns: int) -> None:
        assert phase in RUN_TRANSITIONS[self.phase], f"{self.phase} cannot become {phase}"
        self.phase, self._since_ns, self._answer.is_dirty = phase, now_ns, True
        self._answer.said.append(AnnouncePhase(phase=phase))

    def _drain(self, goal: str, now_ns: int) -> None:
        """Nothing more is to be started: because all is, because the time is over, or because somebody said so."""
        self._order(goal, now_ns)
        if not self.ledger.divisions:
            self.ledger.give_up_plan(now_ns, f"aborted: {self.aborted}")
        self._enter(RunPhase.DRAINING, now_ns)

    def _order(self, goal: str, now_ns: int) -> None:
        assert GOALS.index(goal) >= GOALS.index(self.goal), f"goal {self.goal} cannot become {goal}"
        if goal != self.goal:
            self.goal, self._since_ns, self._answer.is_dirty = goal, now_ns, True
            for part in self.parts.values():
                part.is_stale = True

    def _settle_rests(self, now_ns: int) -> None:
        """Find somebody for what others left."""
        if self.goal != "run" or self._is_duration_over(now_ns):
            aborted = f"aborted: {self.aborted}" if self.aborted else ""
            self._takeover.give_up(aborted or "the run was over before anybody could take it")
        else:
            self._takeover.settle(self._due_ns(now_ns), self.revision + 1)

    # Words

    def _speak(self, part: AgentPart, now_ns: int) -> list[SendPrepare | SendOrders]:
        goal = self._goal_of(part)
        if self.phase is RunPhase.PLANNED or (part.is_drained and goal == "prepare"):
            return []
        is_stale = part.is_stale or self.collected
        if is_stale and renew_orders(
            part, self.ledger, self.slots, self.plan.run, goal, self.start_ns, self.revision + 1
        ):
            self.revision += 1
            self._answer.is_dirty = True
        return list(say_again(part, goal, now_ns, self.settings))

    def _goal_of(self, part: AgentPart) -> str:
        """What one agent shall do: what all do, or more than that."""
        if self.collected and part.is_settled:
            return "forget"
        return "drain" if part.is_drained and self.goal == "run" else self.goal


def _names(parts: list[AgentPart]) -> str:
    return ", ".join(part.agent for part in parts)
