"""Keeps the workers of an agent's runs: starts them, tells them what to do, hears them, and ends those that will not end.

Rules: a worker's end is final and its number never comes again; one that dies is replaced a few times. Nobody is killed
but who cannot be made ready, stands still, does not end, or whose run is deleted.
"""

import dataclasses
from collections.abc import Iterable

from msgspec.structs import replace

from osbench.agent.agent_events import (
    AgentInstruction,
    AgentSettings,
    ExtendLease,
    KillWorker,
    OrderWorker,
    SpawnWorkers,
    WorkerEnded,
    WorkerExited,
    WorkerFailed,
    WorkerPrepared,
    WorkerProgressed,
    WriteLog,
)
from osbench.agent.agent_parts import AgentPhase, AgentRun, WorkerSeat
from osbench.common.clock import NS_PER_S
from osbench.common.messages import WorkerReport

WorkerWord = WorkerPrepared | WorkerFailed | WorkerProgressed | WorkerEnded | WorkerExited


class AgentAnswer:
    """What an agent's state answers to the event at hand, and whether the coordinator is told of it at once."""

    def __init__(self) -> None:
        #: In the order in which it is to be done.
        self.said: list[AgentInstruction] = []
        #: Something has changed since the last report that the coordinator is told at once.
        self.is_news = False


class Foreman:
    """The workers of all runs of one life of an agent.

    Args:
        settings: how patient it is. answer: to the event at hand.
    """

    def __init__(self, settings: AgentSettings, answer: AgentAnswer) -> None:
        self._settings = settings
        self._answer = answer

    def spawn(self, run: AgentRun, count: int) -> None:
        """Start so many workers."""
        numbers = tuple(range(run.next_number, run.next_number + count))
        run.next_number += count
        for number in numbers:
            run.seats[number] = WorkerSeat(report=WorkerReport(worker=number, state="preparing"))
        self._answer.said.append(SpawnWorkers(run=run.run, workers=numbers))
        self._answer.is_news = True

    def hear(self, run: AgentRun, event: WorkerWord) -> None:
        """A worker of a run has said something, or is gone."""
        number = event.worker if isinstance(event, WorkerPrepared | WorkerFailed) else event.report.worker
        seat = run.seats.get(number)
        if seat is None:
            return
        match event:
            case WorkerPrepared() if seat.report.state == "preparing":
                seat.set_state("ready")
                self._answer.is_news = True
            case WorkerFailed() if seat.is_alive:
                self._on_failed(run, seat, event)
            case WorkerProgressed() if seat.is_alive:
                self._answer.is_news |= seat.take(event.report, seat.report.state)
                if event.alive_ns != seat.alive_ns:
                    seat.alive_ns, seat.seen_ns = event.alive_ns, event.now_ns
            case WorkerEnded() if seat.is_alive:
                seat.take(event.report, "ended")
                self._answer.is_news = True
            case WorkerExited():
                self._on_exited(run, seat, event)
            case _:
                return

    def _on_failed(self, run: AgentRun, seat: WorkerSeat, event: WorkerFailed) -> None:
        seat.set_state("died", event.error)
        self.kill([seat], run, event.now_ns, "it cannot be made ready")
        self._answer.is_news = True
        if run.goal == "prepare":
            self._fail(run, f"worker {seat.number}: {event.error}", event.now_ns)

    def _fail(self, run: AgentRun, error: str, now_ns: int) -> None:
        run.error = error
        for seat in run.alive:
            seat.set_state("died", "the agent cannot prepare the run")
            self.kill([seat], run, now_ns, error)
        run.enter(AgentPhase.FAILED)
        self._answer.is_news = True

    def _on_exited(self, run: AgentRun, seat: WorkerSeat, event: WorkerExited) -> None:
        seat.has_exited, self._answer.is_news = True, True
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
        self._answer.said.append(WriteLog(text=f"run {run.run}: worker {seat.number} died: {seat.report.error}"))
        if run.goal in ("prepare", "run") and run.replaced < self._settings.replacements:
            run.replaced += 1
            self.spawn(run, 1)
        elif run.goal == "prepare" and not run.alive:
            self._fail(run, f"all workers died, the last of: {seat.report.error}", event.now_ns)

    def kill(self, seats: Iterable[WorkerSeat], run: AgentRun, now_ns: int, reason: str) -> None:
        """SIGKILL those that are still there."""
        for seat in seats:
            if not seat.has_exited and seat.killed_ns is None:
                seat.killed_ns, seat.killed_for = now_ns, reason
                self._answer.said.append(KillWorker(run=run.run, worker=seat.number, reason=reason))

    def watch_patience(self, run: AgentRun, now_ns: int) -> None:
        """Workers that do not end are stopped, and those that do not stop are killed."""
        waited_ns = now_ns - run.goal_since_ns
        if run.goal == "drain" and run.alive and waited_ns >= run.drain_ns + self._settings.kill_after_ns:
            run.is_overdue, run.goal_since_ns = True, now_ns
        elif run.goal == "stop" and waited_ns >= self._settings.kill_after_ns:
            self.kill(run.alive, run, now_ns, "it did not stop")
        elif run.phase is AgentPhase.ENDED and waited_ns >= self._settings.kill_after_ns:
            self.kill((s for s in run.seats.values() if not s.is_alive), run, now_ns, "it ended and did not exit")

    def watch_stalls(self, run: AgentRun, now_ns: int, asleep_ns: int) -> None:
        """Kill workers whose loop stands still; the time this process itself did not run does not count."""
        for seat in run.alive:
            seat.seen_ns += asleep_ns if seat.seen_ns else 0
            if seat.seen_ns and now_ns >= seat.seen_ns + self._settings.stalled_after_ns:
                self.kill([seat], run, now_ns, f"its loop stood still for {(now_ns - seat.seen_ns) / NS_PER_S:.0f} s")

    def order(self, run: AgentRun, seat: WorkerSeat, lease_until_ns: int) -> None:
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
            self._answer.said.append(ExtendLease(run=run.run, until_ns=lease_until_ns))
        seat.told = told
        seat.set_state("running" if run.goal == "run" else "draining")
        self._answer.said.append(told)
        self._answer.is_news = True
