"""What a run knows of each of its agents and workers: what they said last, and what of theirs is stored.

Rules: plain state with small questions answered; decisions are made in run_state. What is known only grows: a late or
doubled word changes nothing.
"""

from dataclasses import dataclass, field

from osbench.common.messages import LostBatches, Orders, RunReport, WorkerReport
from osbench.common.record import SUPERVISOR
from osbench.coordinator.run_events import RunSettings, StoredBatch
from osbench.coordinator.run_snapshot import RejectedBatch, WorkerKey, WorkerPlace

#: States of a worker that may still start something, in the order they are passed.
LIVE_STATES = ("unheard", "preparing", "ready", "running", "draining")

#: How often an agent may begin again in one run: one that ends time after time has something wrong with it.
MAX_STINTS = 10


class SequenceSet:
    """A set of numbers from 1 that is nearly all of them: the end of its first stretch, and the rest one by one."""

    def __init__(self) -> None:
        #: All of 1 … `upto` are in.
        self.upto = 0
        #: What is in beyond it; never upto + 1.
        self.beyond: set[int] = set()

    def add(self, number: int) -> bool:
        """Put a number in; whether it was new."""
        if number in self:
            return False
        self.beyond.add(number)
        while self.upto + 1 in self.beyond:
            self.upto += 1
            self.beyond.remove(self.upto)
        return True

    def __contains__(self, number: int) -> bool:
        return number <= self.upto or number in self.beyond

    def __len__(self) -> int:
        return self.upto + len(self.beyond)


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerPart:
    """One worker of one life of an agent."""

    key: WorkerKey
    #: One of LIVE_STATES, or ended, died, forgotten.
    state: str = "unheard"
    #: Its end was noticed then, on the coordinator's clock; 0 before.
    since_ns: int = 0
    error: str = ""
    #: Number of the last batch it wrote, as far as is known; exact once it has ended or died.
    last_seq: int = 0
    #: Batches gone from its spool.
    lost: tuple[LostBatches, ...] = ()
    #: Batches that can never be stored: number to (iterations, reason).
    rejected: dict[int, tuple[int, str]] = field(default_factory=dict)
    committed: SequenceSet = field(default_factory=SequenceSet)
    #: Iterations stored, by outcome.
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    dropped: int = 0
    #: Latest record that is stored, relative to the start of the run; -1 for none.
    last_stored_ns: int = -1

    @property
    def is_final(self) -> bool:
        """Whether it will start nothing more."""
        return self.state not in LIVE_STATES

    @property
    def stored(self) -> int:
        """Iterations with a record in the store."""
        return self.ok + self.failed + self.unknown + self.dropped

    def store(self, batch: StoredBatch) -> bool:
        """A batch is committed; whether that is news."""
        if not self.committed.add(batch.seq):
            return False
        self.ok += batch.ok
        self.failed += batch.failed
        self.unknown += batch.unknown
        self.dropped += batch.dropped
        self.last_seq = max(self.last_seq, batch.seq)
        if batch.iterations:
            self.last_stored_ns = max(self.last_stored_ns, batch.last_ns)
        return True

    def hear(self, report: WorkerReport, now_ns: int) -> bool:
        """Take in what its agent says of it; whether it has come to its end by that."""
        self.last_seq = max(self.last_seq, report.last_seq)
        if sum(span.last_seq - span.first_seq + 1 for span in report.lost) > sum(
            span.last_seq - span.first_seq + 1 for span in self.lost
        ):
            self.lost = report.lost
        if self.is_final:
            return False
        if report.state in LIVE_STATES:
            self.state = max(self.state, report.state, key=LIVE_STATES.index)
            return False
        self.end(report.state, report.error, now_ns)
        return True

    def end(self, state: str, error: str, now_ns: int) -> None:
        """It will start nothing more."""
        self.state, self.error, self.since_ns = state, error, now_ns

    def place(self) -> WorkerPlace:
        """For the snapshot."""
        return WorkerPlace(
            key=self.key,
            state=self.state,
            last_seq=self.last_seq,
            since_ns=self.since_ns,
            error=self.error,
            lost=self.lost,
            rejected=tuple(RejectedBatch(seq=seq, iterations=n, reason=why) for seq, (n, why) in self.rejected.items()),
        )

    def restore(self, place: WorkerPlace, shift_ns: int) -> None:
        """Become what was saved. `shift_ns`: the present clock minus that of the saving process."""
        self.state, self.last_seq, self.error, self.lost = place.state, place.last_seq, place.error, place.lost
        self.rejected = {batch.seq: (batch.iterations, batch.reason) for batch in place.rejected}
        if self.is_final:
            self.since_ns = place.since_ns + shift_ns

    def is_gone(self, seq: int) -> bool:
        """Whether this batch is known never to come."""
        return seq in self.rejected or any(span.first_seq <= seq <= span.last_seq for span in self.lost)

    @property
    def is_settled(self) -> bool:
        """Whether of each batch it wrote it is known what became of it."""
        if self.state == "forgotten":
            return True
        if not self.is_final:
            return False
        return all(
            seq in self.committed or self.is_gone(seq) for seq in range(self.committed.upto + 1, self.last_seq + 1)
        )


@dataclass(slots=True, kw_only=True, eq=False)
class AgentPart:
    """One agent's part in a run."""

    agent: str
    #: Of its process, newest known; -1 before the first word.
    life: int = -1
    #: Of its newest report in this life.
    sequence: int = -1
    #: It has spoken to this process of the coordinator, in this life.
    is_here: bool = False
    #: Its lease is over and it was not heard since.
    is_lost: bool = False
    lost_ns: int = 0
    #: It was lost and waited for long enough: the run goes on to its end without it.
    is_given_up: bool = False
    #: Newest report of this life; None if it did not mention the run.
    report: RunReport | None = None
    #: Workers of earlier lives its newest report mentions.
    past: int = 0
    #: Bound of the error of its clock offset; -1 unknown.
    offset_error_ns: int = -1
    #: Workers of all lives that have not come to their end, the supervisor's own not among them.
    live: set[WorkerKey] = field(default_factory=set)
    #: All of them.
    workers: dict[WorkerKey, WorkerPart] = field(default_factory=dict)
    #: Newest orders; None before the first.
    orders: Orders | None = None
    #: The orders do not say any more what they should.
    is_stale: bool = False
    #: Revision of the `Prepare` it is to heed: 1, or when it was told to begin another stint; and how often it was.
    stint: int = 1
    stints: int = 0
    #: It shall start nothing more in this run.
    is_drained: bool = False
    #: The job was sent to it at least once, or it has something of this run.
    is_asked: bool = False
    #: What was said last (what, life, revision), when, and how long to wait before it is said again.
    said: tuple[str, int, int] = ("", 0, 0)
    said_ns: int = 0
    pause_ns: int = 0

    @property
    def is_spoken_to(self) -> bool:
        """Whether something may be sent to it."""
        return self.is_here and not self.is_lost

    @property
    def is_ready(self) -> bool:
        """Whether it could start now, together with others."""
        return (
            self.is_spoken_to and self.report is not None and self.report.state == "ready" and self.offset_error_ns >= 0
        )

    @property
    def is_out(self) -> bool:
        """Whether nothing can be expected of it."""
        return self.is_drained or self.has_failed

    @property
    def is_coming(self) -> bool:
        """Whether it may yet be ready."""
        return not self.is_ready and not self.is_out

    @property
    def can_take(self) -> bool:
        """Whether its workers could be given something to start."""
        return (
            self.is_spoken_to
            and not self.is_drained
            and self.offset_error_ns >= 0
            and self.report is not None
            and self.report.state in ("ready", "armed", "running")
        )

    @property
    def has_failed(self) -> bool:
        """Whether it cannot be made ready."""
        return self.report is not None and self.report.state == "failed"

    @property
    def has_prepared(self) -> bool:
        """Whether this life of it has the job, and began the stint that it was last told to begin."""
        return self.report is not None and self.report.has_job and (self.stint == 1 or self.revision >= self.stint)

    @property
    def can_begin_again(self) -> bool:
        """Whether it has ended its part, drained by itself or by order, and could be given another."""
        return (
            self.is_spoken_to
            and not self.is_drained
            and self.has_prepared
            and self.offset_error_ns >= 0
            and self.stints < MAX_STINTS
            and self.report is not None
            and self.report.state == "ended"
            and any(worker.state == "ended" for worker in self.report.workers)
        )

    @property
    def revision(self) -> int:
        """Of the orders it acts on, as it said last."""
        return self.report.revision if self.report else 0

    @property
    def holds_nothing(self) -> bool:
        """Whether it said, last, that nothing of the run is left with it."""
        return self.is_here and self.sequence >= 0 and self.report is None and not self.past

    @property
    def is_settled(self) -> bool:
        """Whether all its workers have ended and it is known what became of each of their batches."""
        if self.live or (self.report is not None and self.report.unacked):
            return False
        return all(worker.is_settled for worker in self.workers.values() if worker.is_final)

    def worker(self, life: int, number: int) -> WorkerPart:
        """What is known of a worker, from now on if it was nothing."""
        key = WorkerKey(self.agent, life, number)
        worker = self.workers.get(key)
        if worker is None:
            worker = self.workers[key] = WorkerPart(key=key)
            if number != SUPERVISOR:
                self.live.add(key)
        return worker

    def may_say(self, what: tuple[str, int, int], now_ns: int, settings: RunSettings) -> bool:
        """Whether it is time to say this, for the first time or again; if so, it counts as said."""
        if what != self.said:
            self.said, self.pause_ns = what, settings.resend_ns
        elif now_ns < self.said_ns + self.pause_ns:
            return False
        else:
            self.pause_ns = min(2 * self.pause_ns, settings.resend_max_ns)
        self.said_ns = now_ns
        return True

    def begin_life(self, life: int) -> None:
        """It is a new process: nothing of what the one before said holds."""
        self.life, self.sequence, self.report, self.past = life, -1, None, 0
        self.offset_error_ns = -1
        self.is_stale = True
