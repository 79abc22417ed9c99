"""The agents of a run: who takes part, and what each word of theirs, or of the store about them, changes.

Rules: what they say is taken in here, whatever the run is at; what follows from it is decided elsewhere. A word of an
older life, or an older word of this one, is ignored. An agent the run did not know is admitted as long as there is
something to start, and stays a part of the run for good.
"""

from msgspec.structs import replace

from osbench.common.clock import NS_PER_S
from osbench.common.messages import WorkerReport
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.run_answer import RunAnswer
from osbench.coordinator.run_events import (
    AgentLost,
    AgentWelcomed,
    BatchesCommitted,
    BatchRejected,
    ReportReceived,
    RunSettings,
)
from osbench.coordinator.run_parts import AgentPart, WorkerPart
from osbench.coordinator.run_snapshot import RunSnapshot, WorkerPlace
from osbench.coordinator.slots import SlotBook


class RunAgents:
    """All agents of a run.

    Args:
        settings: whom to expect. ledger: who owns what. slots: who may have how many in flight.
        answer: to the event at hand.
    """

    def __init__(self, settings: RunSettings, ledger: Ledger, slots: SlotBook, answer: RunAnswer) -> None:
        self._ledger = ledger
        self._slots = slots
        self._answer = answer
        #: By name: all that are expected, and whoever was admitted.
        self.parts = {agent: AgentPart(agent=agent) for agent in settings.expected}

    # Who is there

    def welcome(self, event: AgentWelcomed, *, is_open: bool) -> None:
        """An agent is there. `is_open`: newcomers are admitted."""
        part = self.parts.get(event.agent)
        if part is None and is_open:
            part = self.parts[event.agent] = AgentPart(agent=event.agent)
            self._answer.is_dirty = True
            self._answer.note("agent_joined", event.agent, text=f"agent {event.agent} joins the run")
        if part is None or event.life < part.life:
            return
        self._meet(part, event.life)
        # Its connection is new: what was said on the old one may be lost, so nothing is waited for.
        part.said = ("", 0, 0)

    def lose(self, event: AgentLost, fence_ns: int | None) -> None:
        """An agent's lease is over. `fence_ns`: what it owns that is due from then on may be taken from it (open loop)."""
        part = self.parts.get(event.agent)
        if part is None or part.is_lost:
            return
        part.is_lost, part.lost_ns = True, event.now_ns
        if part.live:
            self._answer.note("agent_lost", part.agent, text=f"agent {part.agent}: its lease is over")
        if fence_ns is not None:
            why = f"agent {part.agent} was lost"
            for key in sorted(part.live):
                # A cap is no promise: what it has in flight may go on beside what others start of its share.
                self._slots.release(key)
                confirmed = part.revision if key.life == part.life else 0
                self._answer.is_dirty |= self._ledger.cut(key, fence_ns, confirmed, event.now_ns, why)

    def drain(self, agent: str, *, is_drained: bool) -> None:
        """An agent shall start nothing more, or may again."""
        part = self.parts.get(agent)
        if part is None or part.is_drained is is_drained:
            return
        part.is_drained, part.is_stale, self._answer.is_dirty = is_drained, True, True
        kind, what = ("agent_draining", "shall start nothing more") if is_drained else ("agent_undrained", "may go on")
        self._answer.note(kind, agent, text=f"agent {agent} {what}")
        self._see_drained(part)

    def begin_again(self, part: AgentPart, revision: int) -> None:
        """An agent that has ended its part shall take part once more, with new workers."""
        part.stint, part.stints = revision, part.stints + 1
        part.orders, part.is_stale = None, True
        self._answer.is_dirty = True
        self._answer.note("agent_joined", part.agent, text=f"agent {part.agent} takes part again")

    def _meet(self, part: AgentPart, life: int) -> None:
        """An agent is there, in this life or a new one."""
        if life > part.life:
            if part.life >= 0:
                self._answer.note("agent_restarted", part.agent, text=f"agent {part.agent} began life {life}")
            self._answer.is_dirty = True
            part.begin_life(life)
        part.is_here = True
        if part.is_lost:
            part.is_lost = part.is_given_up = False
            text = f"agent {part.agent} is back after {(self._answer.now_ns - part.lost_ns) / NS_PER_S:.1f} s"
            self._answer.note("agent_back", part.agent, text=text)

    # What they say

    def report(self, event: ReportReceived) -> None:
        """An agent says all there is to know."""
        part = self.parts.get(event.agent)
        if part is None:
            return
        for past in event.past:
            if past.life < max(event.life, part.life):
                self._hear(part, past.life, past.worker)
        if event.life < part.life or (event.life == part.life and event.sequence <= part.sequence):
            return
        self._meet(part, event.life)
        part.sequence, part.report, part.past = event.sequence, event.run, len(event.past)
        part.offset_error_ns = event.offset_error_ns
        if event.run is not None:
            part.is_asked = True
            for worker in event.run.workers:
                self._hear(part, event.life, worker)
        self._forget_missing(part, event)

    def _hear(self, part: AgentPart, life: int, report: WorkerReport) -> None:
        """What an agent says of one of its workers."""
        worker = part.worker(life, report.worker)
        lost_before = worker.lost
        has_ended = worker.hear(report, self._answer.now_ns)
        if worker.lost != lost_before:
            self._answer.news()
            seqs = ", ".join(f"{span.first_seq}-{span.last_seq}" for span in worker.lost)
            text = f"batches {seqs} are gone from the spool"
            self._answer.note("batches_lost", part.agent, report.worker, text)
        overrun = self._advance(worker, report, has_ended=has_ended)
        if overrun and has_ended:
            text = f"started {overrun} iterations that had been given to others"
            self._answer.note("overrun", part.agent, report.worker, text)
        if has_ended:
            self._end_worker(part, worker)

    def _advance(self, worker: WorkerPart, report: WorkerReport, *, has_ended: bool) -> int:
        """Take in how far a worker is; how many it started that were not its own."""
        if not has_ended and not worker.is_final:
            if report.state == "draining":
                self._slots.ask_back(worker.key, 0)
            self._answer.is_dirty |= self._slots.hear(worker.key, report.slots, report.revision)
        rests = len(self._ledger.rests)
        # Once it has ended all that it leaves is one rest.
        shares = [replace(place, limit=-1) for place in report.shares] if worker.is_final else report.shares
        reason = f"worker {worker.key.worker} of agent {worker.key.agent} starts nothing more of it"
        overrun = self._ledger.advance(worker.key, shares, self._answer.now_ns, reason)
        self._answer.is_dirty |= len(self._ledger.rests) != rests
        return overrun

    def _end_worker(self, part: AgentPart, worker: WorkerPart) -> None:
        """A worker's progress is final: its rest leaves it."""
        part.live.discard(worker.key)
        name = f"worker {worker.key.worker} of agent {part.agent}"
        why = f"{name} {worker.state}" + (f": {worker.error}" if worker.error else "")
        self._ledger.close(worker.key, self._answer.now_ns, why)
        self._slots.release(worker.key)
        if worker.state != "ended":
            self._answer.note("worker_died", part.agent, worker.key.worker, why)
        # Its agent may be told to forget next, and then nobody can tell again how it ended.
        self._answer.is_dirty = self._answer.is_outdated = True
        self._see_drained(part)

    def _see_drained(self, part: AgentPart) -> None:
        if part.is_drained and not part.live:
            text = f"agent {part.agent} is drained: nothing of this run is in flight there"
            self._answer.note("agent_drained", part.agent, text=text)

    def _forget_missing(self, part: AgentPart, event: ReportReceived) -> None:
        """Workers of earlier lives that the agent found nothing of: nothing will ever be known of them."""
        if not any(key.life < event.life for key in part.live):
            return
        told = {(past.life, past.worker.worker) for past in event.past}
        for key in sorted(part.live):
            if key.life < event.life and (key.life, key.worker) not in told:
                part.workers[key].end("forgotten", "", event.now_ns)
                part.live.discard(key)
                self._ledger.forget(key)
                self._slots.release(key)
                self._answer.is_dirty = self._answer.is_outdated = True
                if self._ledger.owned(key):
                    text = f"agent {part.agent} found no mark of worker {key.worker} of its life {key.life}"
                    self._answer.note("worker_forgotten", part.agent, key.worker, text)
                self._see_drained(part)

    # What is stored of them

    def commit(self, event: BatchesCommitted) -> None:
        """Batches are in the store."""
        part = self.parts.get(event.agent)
        if part is None:
            return
        worker = part.worker(event.life, event.worker)
        if sum(worker.store(batch) for batch in event.batches):
            self._answer.news()

    def reject(self, event: BatchRejected) -> None:
        """A batch can never be stored."""
        part = self.parts.get(event.agent)
        if part is None:
            return
        worker = part.worker(event.life, event.worker)
        if event.seq not in worker.rejected and event.seq not in worker.committed:
            worker.rejected[event.seq] = (event.iterations, event.reason)
            self._answer.news()
            # Its agent drops it for good, so that nobody would tell it to another process of the coordinator.
            self._answer.is_dirty = True
            text = f"batch {event.seq} was rejected: {event.reason}"
            self._answer.note("batch_rejected", part.agent, event.worker, text)

    # After a restart

    def restore(self, snapshot: RunSnapshot, shift_ns: int) -> None:
        """Become what was saved; only right after construction."""
        for agent, life in snapshot.lives.items():
            part = self.parts.setdefault(agent, AgentPart(agent=agent))
            part.life, part.is_stale, part.is_asked, part.is_drained = life, True, life >= 0, agent in snapshot.drained
            part.stint = snapshot.stints.get(agent, 1)
        for place in snapshot.workers:
            part = self.parts[place.key.agent]
            worker = part.worker(place.key.life, place.key.worker)
            worker.restore(place, shift_ns)
            if worker.is_final:
                part.live.discard(worker.key)
            if worker.state == "forgotten":
                self._ledger.forget(worker.key)

    def places(self) -> tuple[WorkerPlace, ...]:
        """For the snapshot: all workers."""
        return tuple(worker.place() for part in self.parts.values() for worker in part.workers.values())
