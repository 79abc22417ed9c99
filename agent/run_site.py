"""What a supervisor holds of one run: its job, its folder in the spool, and its workers' processes."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from osbench.agent.agent_events import (
    AgentEvent,
    OrderWorker,
    SpawnWorkers,
    SpoolChanged,
    WorkerEnded,
    WorkerExited,
    WorkerFailed,
    WorkerLoss,
    WorkerPrepared,
    WorkerProgressed,
)
from osbench.agent.pipe import Command, Ended, Failed, FromWorker, Lease, Prepared, Pressure, Setup, UsedUp, Wrote
from osbench.agent.recorder import cut
from osbench.agent.spool import segment_path
from osbench.agent.spool_index import SpoolIndex, missing_segments, read_written
from osbench.agent.worker_process import WorkerProcess, report_of
from osbench.common.clock import Clock
from osbench.common.error import ProtocolError
from osbench.common.messages import LostBatches, Prepare, WorkerReport

log = logging.getLogger(__name__)


class RunSite:
    """One run on this host, in this life.

    Args:
        run: its id. agent, life: whose. folder: of the run in the spool. index: of the whole spool.
        clock_offset_ns: of this life, for the workers. tell: takes events for the agent's state.
        on_batch: called when a batch was taken in.
    """

    def __init__(
        self,
        run: str,
        *,
        agent: str,
        life: int,
        folder: Path,
        index: SpoolIndex,
        clock: Clock,
        clock_offset_ns: int,
        tell: Callable[[AgentEvent], None],
        on_batch: Callable[[], None],
    ) -> None:
        self.run = run
        self.start_ns = 0
        self.workers: dict[int, WorkerProcess] = {}
        self._agent = agent
        self._life = life
        self._folder = folder
        self._index = index
        self._clock = clock
        self._clock_offset_ns = clock_offset_ns
        self._tell = tell
        self._on_batch = on_batch
        self._listeners: set[asyncio.Task[None]] = set()
        self._errors: dict[int, str] = {}
        self._is_full = False
        self._ended: set[int] = set()

    @property
    def is_under_way(self) -> bool:
        """The load has a start, and a worker that lives has not ended."""
        return bool(self.start_ns) and any(
            worker not in self._ended and not process.has_exited for worker, process in self.workers.items()
        )

    async def spawn(self, order: SpawnWorkers, prepare: Prepare) -> None:
        """Start the processes of these workers; of one that cannot be started is told why.

        Args:
            prepare: the newest of the run, with its job.
        """
        for worker in order.workers:
            reason = "the job needs plugins, and this release takes none" if prepare.plugins else ""
            try:
                if not reason:
                    await self._spawn(worker, prepare.job)
            except OSError as error:
                # No memory, no process or file to be had, no room for the folder: the run fails here, the agent goes on.
                reason = f"its process cannot be started: {error.strerror or error}"
            if reason:
                log.error("run %s: worker %d: %s", self.run, worker, reason)
                now_ns, gone = self._clock.now_ns(), WorkerReport(worker=worker, state="died", error=reason)
                self._tell(WorkerFailed(now_ns=now_ns, run=self.run, worker=worker, error=reason))
                self._tell(WorkerExited(now_ns=now_ns, run=self.run, report=gone))

    async def _spawn(self, worker: int, job: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        setup = Setup(
            agent=self._agent,
            life=self._life,
            worker=worker,
            job=job,
            clock_offset_ns=self._clock_offset_ns,
            spool=str(self._folder),
        )
        process = self.workers[worker] = await WorkerProcess.spawn(setup)
        log.info("run %s: worker %d is process %d", self.run, worker, process.pid)
        listener = asyncio.get_running_loop().create_task(self._listen(process))
        self._listeners.add(listener)
        listener.add_done_callback(self._listeners.discard)

    def order(self, order: OrderWorker) -> None:
        """Tell a worker what to do."""
        self.start_ns = order.start_ns or self.start_ns
        if order.worker in self.workers:
            command = Command(
                goal=order.goal,
                start_ns=order.start_ns,
                shares=order.shares,
                limits=order.limits,
                slots=order.slots,
                revision=order.revision,
            )
            self.workers[order.worker].send(command)

    def extend_lease(self, until_ns: int) -> None:
        """Tell all workers until when they may start iterations."""
        for process in self.workers.values():
            process.send(Lease(until_ns=until_ns))

    def kill(self, worker: int) -> None:
        """End a worker at once."""
        if worker in self.workers:
            self.workers[worker].kill()

    def set_pressure(self, is_full: bool) -> None:
        """The spool is (no longer) full."""
        if is_full != self._is_full:
            self._is_full = is_full
            for process in self.workers.values():
                process.send(Pressure(is_full=is_full))

    def progress(self) -> None:
        """Tell how far each worker that lives is."""
        for worker, process in self.workers.items():
            marks = process.marks()
            if process.has_exited or marks is None or (report := self._report(worker, "running")) is None:
                continue
            alive_ns = marks.get("alive_ns")
            self._tell(WorkerProgressed(now_ns=self._clock.now_ns(), run=self.run, report=report, alive_ns=alive_ns))

    def open_segments(self) -> list[Path]:
        """The segments that are appended to, for their flush to the disk."""
        spools = (self._index.worker(self.run, self._life, worker) for worker in self.workers)
        return [spool.open_segment for spool in spools if spool.open_segment is not None]

    @property
    def alive(self) -> int:
        """Workers whose process is there."""
        return sum(not process.has_exited for process in self.workers.values())

    def stop(self) -> None:
        """Have all workers end what is in flight, now: it is recorded as unknown."""
        for process in self.workers.values():
            process.send(Command(goal="stop", start_ns=self.start_ns))

    async def close(self, patience_s: float = 5.0) -> None:
        """The run is over here: let workers go, and end those that do not go in time."""
        for process in self.workers.values():
            process.let_go()
        if self._listeners:
            _, late = await asyncio.wait(self._listeners, timeout=patience_s)
            for process in self.workers.values():
                process.kill()
            if late:
                await asyncio.wait(late, timeout=5.0)
        for process in self.workers.values():
            process.close()

    async def _listen(self, process: WorkerProcess) -> None:
        status = await process.listen(lambda message: self._hear(process, message))
        worker = process.worker
        self._index.scan(self._folder, self._life, worker)
        self._index.close(self.run, self._life, worker)
        error = self._errors.get(worker) or ("" if status == 0 else _how(status))
        report = self._report(worker, "died", error=error) or WorkerReport(worker=worker, state="died", error=error)
        if status:
            log.warning("run %s: worker %d is gone: %s", self.run, worker, error)
        self._tell(WorkerExited(now_ns=self._clock.now_ns(), run=self.run, report=report))
        self._on_batch()

    def _hear(self, process: WorkerProcess, message: FromWorker) -> None:
        now_ns, worker = self._clock.now_ns(), process.worker
        if isinstance(message, Wrote):
            self._take_in(worker, message)
        elif isinstance(message, Prepared):
            self._tell(WorkerPrepared(now_ns=now_ns, run=self.run, worker=worker))
        elif isinstance(message, UsedUp):
            self.progress()
        elif isinstance(message, Ended):
            self._ended.add(worker)
            report = self._report(worker, "ended") or WorkerReport(worker=worker, state="ended")
            self._tell(WorkerEnded(now_ns=now_ns, run=self.run, report=report))
        else:
            assert isinstance(message, Failed)
            self._errors[worker] = cut(message.error, 500)
            self._tell(WorkerFailed(now_ns=now_ns, run=self.run, worker=worker, error=self._errors[worker]))

    def _take_in(self, worker: int, message: Wrote) -> None:
        segment = segment_path(self._folder, self._life, worker, message.segment)
        try:
            self._index.add(read_written(self._folder, self._life, worker, segment, message.offset), is_open=True)
        except (OSError, ProtocolError) as error:
            log.error("run %s: batch %d of worker %d is gone: %s", self.run, message.seq, worker, error)
            gone = LostBatches(
                first_seq=message.seq,
                last_seq=message.seq,
                iterations=message.iterations,
                first_ns=message.first_ns,
                last_ns=message.last_ns,
            )
            self._index.lose_unread(self.run, self._life, worker, gone)
            return
        self._on_batch()

    def _report(self, worker: int, state: str, error: str = "") -> WorkerReport | None:
        marks = self.workers[worker].marks()
        if marks is None:
            return None
        report = report_of(marks, worker, state)
        spool = self._index.worker(self.run, self._life, worker)
        lost = self._index.lost_of(self.run, self._life, worker)
        return replace(
            report,
            in_flight=report.in_flight if state == "running" else 0,
            last_seq=max(report.last_seq, spool.last_seq),
            iterations_written=max(report.iterations_written, spool.iterations_written),
            lost=lost,
            error=error,
        )


def spool_changed(run: str, index: SpoolIndex, now_ns: int, spool_bytes: int) -> SpoolChanged:
    """How a run stands in the spool; batches whose segment is gone from the disk are given up here."""
    losses = []
    for spool in [spool for spool in index.workers.values() if spool.run == run]:
        for key in missing_segments(spool):
            log.error("run %s: batch %d of worker %d is gone from the spool", run, key.seq, key.worker)
            index.lose(key)
        if lost := index.lost_of(run, spool.life, spool.worker):
            losses.append(WorkerLoss(life=spool.life, worker=spool.worker, lost=lost))
    return SpoolChanged(
        now_ns=now_ns,
        run=run,
        unacked=index.unacknowledged(run),
        spool_bytes=spool_bytes,
        losses=tuple(losses),
    )


def _how(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
