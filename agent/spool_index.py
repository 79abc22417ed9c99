"""What is in the spool and not yet acknowledged: the supervisor's view of all workers' batches, of all lives.

Rules: this is bookkeeping only; agent/uplink moves the bytes. A segment is deleted when it is closed (its worker began
another, or is gone) and each of its batches is acknowledged. A batch whose segment is gone or damaged is not guessed at:
it is reported lost, with its iterations and its time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from osbench.agent.spool import Entry, scan_segment
from osbench.common.error import ProtocolError
from osbench.common.messages import LostBatches
from osbench.common.record import BatchKey


@dataclass(slots=True)
class WorkerSpool:
    """Batches of one worker of one life in one run.

    Attributes:
        waiting: not acknowledged, by sequence number.
        lost: gone, not yet merged into ranges.
        open_segment: the one its worker may still append to; None when the worker is gone.
        last_seq: highest sequence number seen. iterations_written: in all batches seen.
    """

    run: str
    life: int
    worker: int
    waiting: dict[int, Entry] = field(default_factory=dict)
    lost: list[LostBatches] = field(default_factory=list)
    open_segment: Path | None = None
    last_seq: int = 0
    iterations_written: int = 0


@dataclass(slots=True)
class SpoolIndex:
    """All batches on this host that are not acknowledged, and what was lost of them.

    Attributes:
        workers: by (run, life, worker).
    """

    workers: dict[tuple[str, int, int], WorkerSpool] = field(default_factory=dict)

    def worker(self, run: str, life: int, worker: int) -> WorkerSpool:
        """The spool of a worker, made when first asked for."""
        key = (run, life, worker)
        if key not in self.workers:
            self.workers[key] = WorkerSpool(run, life, worker)
        return self.workers[key]

    def add(self, entry: Entry, *, is_open: bool) -> None:
        """A batch is in the spool; `is_open`: its worker may append to the segment."""
        header = entry.header
        spool = self.worker(header.run, header.life, header.worker)
        if header.seq in spool.waiting or header.seq <= spool.last_seq:
            return
        spool.waiting[header.seq] = entry
        spool.last_seq = header.seq
        spool.iterations_written += header.iterations
        if is_open:
            spool.open_segment = entry.segment

    def scan(self, folder: Path, life: int, worker: int) -> None:
        """Take in what a worker that is gone left in the folder of its run: all segments, to their last whole batch."""
        for segment in sorted(folder.glob(f"{life}-{worker}-*.seg")):
            for entry in scan_segment(segment):
                self.add(entry, is_open=False)

    def acknowledge(self, run: str, life: int, worker: int, seqs: Iterable[int]) -> list[Path]:
        """Batches are committed; returns segments that may be deleted now. Of a run that was forgotten: none."""
        spool = self.workers.get((run, life, worker))
        if spool is None:
            return []
        touched = {spool.waiting.pop(seq).segment for seq in seqs if seq in spool.waiting}
        still = {entry.segment for entry in spool.waiting.values()}
        return sorted(segment for segment in touched if segment not in still and segment != spool.open_segment)

    def close(self, run: str, life: int, worker: int) -> None:
        """The worker is gone and appends no more."""
        self.worker(run, life, worker).open_segment = None

    def lose(self, key: BatchKey) -> None:
        """A batch cannot be read (or was refused for good): it is lost."""
        spool = self.worker(key.run, key.life, key.worker)
        entry = spool.waiting.pop(key.seq, None)
        if entry is None:
            return
        header = entry.header
        spool.lost.append(
            LostBatches(
                first_seq=header.seq,
                last_seq=header.seq,
                iterations=header.iterations,
                first_ns=header.first_ns - header.start_ns,
                last_ns=header.last_ns - header.start_ns,
            )
        )

    def lose_unread(self, run: str, life: int, worker: int, gone: LostBatches) -> None:
        """A batch was written and is gone before it was taken in."""
        spool = self.worker(run, life, worker)
        if gone.first_seq > spool.last_seq:
            spool.last_seq = gone.last_seq
            spool.iterations_written += gone.iterations
            spool.lost.append(gone)

    def lost_of(self, run: str, life: int, worker: int) -> tuple[LostBatches, ...]:
        """What a worker lost, neighbours joined."""
        joined: list[LostBatches] = []
        for lost in sorted(self.worker(run, life, worker).lost, key=lambda one: one.first_seq):
            if joined and joined[-1].last_seq + 1 == lost.first_seq:
                before = joined.pop()
                lost = LostBatches(
                    first_seq=before.first_seq,
                    last_seq=lost.last_seq,
                    iterations=before.iterations + lost.iterations,
                    first_ns=min(before.first_ns, lost.first_ns),
                    last_ns=max(before.last_ns, lost.last_ns),
                )
            joined.append(lost)
        return tuple(joined)

    def waiting(self) -> Iterator[Entry]:
        """All batches not acknowledged, each worker's in order."""
        for spool in self.workers.values():
            yield from spool.waiting.values()

    def unacknowledged(self, run: str) -> int:
        """How many batches of a run wait."""
        return sum(len(spool.waiting) for spool in self.workers.values() if spool.run == run)

    def waiting_by_run(self) -> dict[str, int]:
        """How many batches wait, of each run that has any."""
        counts: dict[str, int] = {}
        for spool in self.workers.values():
            if spool.waiting:
                counts[spool.run] = counts.get(spool.run, 0) + len(spool.waiting)
        return counts

    def forget(self, run: str) -> None:
        """The run is over and stored."""
        for key in [key for key in self.workers if key[0] == run]:
            del self.workers[key]


def missing_segments(spool: WorkerSpool) -> list[BatchKey]:
    """Batches of a worker whose segment is no longer on the disk."""
    exists: dict[Path, bool] = {}
    keys = []
    for entry in spool.waiting.values():
        if entry.segment not in exists:
            exists[entry.segment] = entry.segment.exists()
        if not exists[entry.segment]:
            keys.append(entry.header.key)
    return keys


def read_written(folder: Path, life: int, worker: int, segment_path: Path, offset: int) -> Entry:
    """The entry a worker says it wrote.

    Raises:
        ProtocolError: there is no whole entry there, or of another worker.
        FileNotFoundError: the segment is gone already.
    """
    entry = next(scan_segment(segment_path, offset), None)
    if entry is None or (entry.header.life, entry.header.worker) != (life, worker):
        raise ProtocolError(f"{segment_path}: no batch of worker {worker} at {offset} in {folder}")
    return entry
