"""A worker process: one asyncio loop that runs the iterations of its shares and spools what it timed.

Rules: after the start it needs nobody. It obeys the last command it had; if its supervisor is gone it drains, writes what
it has, and ends. Its marks are written before an iteration starts (agent/marks).
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import uvloop

from osbench.agent.health import WAKE_NS, CollectorPauses, Schedstat, Watchdog
from osbench.agent.iteration import IterationRun, Scenario, ServiceClients, run_iteration
from osbench.agent.marks import Marks
from osbench.agent.pacer import Pacer, ShareState
from osbench.agent.pipe import (
    Command,
    Ended,
    Failed,
    FromWorker,
    Lease,
    Prepared,
    Pressure,
    Setup,
    UsedUp,
    Wrote,
    read_to_worker,
)
from osbench.agent.recorder import Recorder
from osbench.agent.spool import SpoolFullError, SpoolWriter, marks_path
from osbench.common.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from osbench.common.framing import pack_frame
from osbench.common.job import Job, unpack_job
from osbench.common.logs import configure_child_logging
from osbench.common.outcome import Outcome
from osbench.common.plan import ClosedLoop
from osbench.common.record import Batch, BatchIdentity

log = logging.getLogger(__name__)

#: A batch goes out at least once a second.
BATCH_NS = 900 * NS_PER_MS
#: Batches that may wait in memory for room on the disk.
MAX_UNWRITTEN = 1_000
#: Iterations of a slot after which the loop gets its turn, whether they waited for anything or not.
BREATH = 16
#: How long cancelled iterations may take to end.
CANCEL_S = 5.0


class Workplace(Protocol):
    """What a worker needs to run a job: the scenario and the clients of the cloud's services."""

    @property
    def clients(self) -> ServiceClients: ...

    @property
    def scenario(self) -> Scenario: ...

    @property
    def arguments(self) -> dict[str, Any]: ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Worker:
    """The load of one worker in one run.

    Attributes:
        job: what to run. clock: of the agent's life. workplace: scenario and clients.
        say: sends a message to the supervisor.
    """

    def __init__(
        self, setup: Setup, job: Job, clock: Clock, workplace: Workplace, say: Callable[[FromWorker], None]
    ) -> None:
        folder = Path(setup.spool)
        self.setup = setup
        self.job = job
        self.clock = clock
        self.workplace = workplace
        self.say = say
        self.marks = Marks(marks_path(folder, setup.life, setup.worker), create=True)
        self.spool = SpoolWriter(folder, setup.life, setup.worker)
        self.watchdog = Watchdog(clock=clock, read_schedstat=Schedstat().read, pauses=CollectorPauses(clock))
        gc.callbacks.append(self.watchdog.pauses.on_collect)
        self.recorder: Recorder | None = None
        self.pacer: Pacer | None = None
        self._words: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = self._failed = self._dropped = self._started = 0
        self._batch_ns = self._written = 0
        self._unwritten: list[Batch] = []
        self._lease_ns: int | None = None
        #: Slots of a closed loop that run, or wait for the start.
        self._slots_run = 0
        self._is_used_up = self._has_started = self._is_full = False
        #: Set when it was told to end and has ended.
        self.over = asyncio.Event()
        self._arrivals: asyncio.Event = asyncio.Event()
        self._open_loop: asyncio.Task[None] | None = None
        self._cancel: asyncio.TimerHandle | None = None

    # What it is told.

    def obey(self, command: Command) -> None:
        """Take a command: start, take shares over, leave some to others, drain or stop."""
        if self.over.is_set():
            return
        if command.goal == "run" and self.recorder is None:
            self._begin(command.start_ns)
        if command.goal in ("drain", "stop"):
            self._drain(is_stop=command.goal == "stop")
        elif self.pacer is not None:
            self._share_out(self.pacer, command)
        self.marks.revision = command.revision

    def _share_out(self, pacer: Pacer, command: Command) -> None:
        """What is its own from now on; its marks say that it obeys only when it does."""
        known = {state.share.epoch for state in pacer.shares}
        for share in command.shares:
            if share.epoch not in known and not pacer.is_draining:
                self._words[id(pacer.add(share))] = self.marks.add_share(share.epoch)
        for bound in command.limits:
            pacer.limit(bound.epoch, bound.limit)
        pacer.allow(command.slots)
        self._mark_bounds()
        self._fill()

    def extend_lease(self, until_ns: int) -> None:
        """Iterations may be started until then."""
        self._lease_ns = until_ns
        if self.pacer is not None:
            self.pacer.lease_ns = until_ns

    def set_pressure(self, is_full: bool) -> None:
        """The spool is (no longer) full."""
        self._is_full = is_full
        if self.recorder is not None:
            self.recorder.keeps_calls = not is_full

    def _begin(self, start_ns: int) -> None:
        setup, plan = self.setup, self.job.plan
        identity = BatchIdentity(
            run=plan.run, agent=setup.agent, life=setup.life, worker=setup.worker, start_ns=start_ns
        )
        self.recorder = Recorder(identity=identity, request_ids=plan.request_ids)
        self.pacer = Pacer(schedule=plan.schedule, start_ns=start_ns, lease_ns=self._lease_ns)
        self._batch_ns = self.clock.now_ns()
        self.marks.state = "running"
        # The watchdog begins with the load, not with the orders: what lies before it is nobody's business.
        wait_s = max(start_ns - self.clock.now_ns(), 0) / NS_PER_S
        asyncio.get_running_loop().call_later(wait_s, self.watchdog.begin)

    def _mark_bounds(self) -> None:
        """Note what is never started here, and how many are in flight at most: others may rely on it from now on."""
        pacer = self.pacer
        assert pacer is not None
        pacer.settle()
        for place, state in enumerate(pacer.shares):
            if state.limit is not None:
                self.marks.set_limit(place, state.limit)
        if pacer.held is not None:
            self.marks.slots = pacer.held

    def _fill(self) -> None:
        """Have something run in each slot that has something to start, and arrivals be waited for."""
        pacer = self.pacer
        assert pacer is not None
        if isinstance(self.job.plan.schedule, ClosedLoop):
            wanted = pacer.in_flight + pacer.idle_slots
            while self._slots_run < wanted:
                self._slots_run += 1
                self._is_used_up = False
                self._spawn(self._slot())
            return
        if pacer.next_due_ns() is not None:
            self._is_used_up = False
        if self._open_loop is None:
            self._open_loop = asyncio.get_running_loop().create_task(self._arrive())
        self._arrivals.set()

    def _drain(self, is_stop: bool) -> None:
        if self.pacer is None:
            # It never started, so there is nothing to drain.
            self.marks.state = "ended"
            self.say(Ended())
            self.over.set()
            return
        self.pacer.is_draining = True
        self._mark_bounds()
        self._arrivals.set()
        if self.marks.state == "running":
            self.marks.state = "draining"
        wait_s = CANCEL_S if is_stop else self.job.plan.drain_ns / NS_PER_S
        if self._cancel is not None:
            self._cancel.cancel()
        self._cancel = asyncio.get_running_loop().call_later(0.0 if is_stop else wait_s, self._cancel_all)

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    # The load.

    def _spawn(self, load: Any) -> None:
        task = asyncio.get_running_loop().create_task(load)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of ours, since whatever a scenario meets is recorded: the worker must not go on as if all was well.
            log.error("worker %d: iteration task failed", self.setup.worker, exc_info=error)
            self.say(Failed(error=f"{type(error).__name__}: {error}"))

    async def _slot(self) -> None:
        """One slot of a closed loop: iteration after iteration until nothing is left to start, or it is one too many."""
        pacer, words = self.pacer, self.marks.words
        assert pacer is not None
        now_ns = self.clock.now_ns
        in_a_row = 0
        try:
            await self._until(pacer.start_ns)
            while (found := pacer.next_in_slot(now_ns())) is not None:
                state, index = found
                words[self._words[id(state)]] = state.started
                try:
                    if not self._has_started:
                        self._note_start(state, pacer.start_ns)
                    await self._run(index, -1)
                finally:
                    pacer.ended()
                in_a_row += 1
                if in_a_row % BREATH == 0:
                    # A scenario that never waits would keep the loop from all else.
                    await asyncio.sleep(0)
        finally:
            self._slots_run -= 1

    async def _arrive(self) -> None:
        """The arrivals of an open loop, share by share as they are due."""
        pacer = self.pacer
        assert pacer is not None
        while True:
            self._arrivals.clear()
            for state in pacer.shares:
                for index, scheduled_ns, is_dropped in pacer.due(state, self.clock.now_ns()):
                    self.marks.words[self._words[id(state)]] = state.started
                    if is_dropped:
                        self._drop(index, scheduled_ns)
                    else:
                        self._spawn(self._arrived(state, index, scheduled_ns))
            await self._wait_for_arrival(pacer.next_due_ns())

    async def _arrived(self, state: ShareState, index: int, scheduled_ns: int) -> None:
        assert self.pacer is not None
        try:
            self._note_start(state, scheduled_ns)
            lag_ns = self.clock.now_ns() - scheduled_ns
            self.watchdog.lag_max_ns = max(self.watchdog.lag_max_ns, lag_ns)
            await self._run(index, scheduled_ns)
        finally:
            self.pacer.ended()

    def _drop(self, index: int, scheduled_ns: int) -> None:
        assert self.recorder is not None
        self._dropped += 1
        self.recorder.add_iteration((index, scheduled_ns, scheduled_ns, scheduled_ns, 0, Outcome.DROPPED, 0))

    def _note_start(self, state: ShareState, intended_ns: int) -> None:
        """How late the first iteration of the first division was: the start error of this worker."""
        if not self._has_started:
            self._has_started = True
            if state.share.epoch == 1:
                self.marks.set_start_error(max(self.clock.now_ns() - intended_ns, 0))

    async def _run(self, index: int, scheduled_ns: int) -> None:
        recorder = self.recorder
        assert recorder is not None
        self._started += 1
        iteration = IterationRun(index, self.job, recorder, self.clock, self.workplace.clients)
        try:
            outcome = await run_iteration(iteration, self.workplace.scenario, self.workplace.arguments, scheduled_ns)
        except asyncio.CancelledError:
            outcome = Outcome.UNKNOWN
            raise
        finally:
            self._ended += 1
            if recorder.is_due:
                self._write()
        self._failed += outcome != Outcome.OK

    async def _until(self, moment_ns: int) -> None:
        while (left_ns := moment_ns - self.clock.now_ns()) > 0:
            await asyncio.sleep(left_ns / NS_PER_S)

    async def _wait_for_arrival(self, due_ns: int | None) -> None:
        """Sleep until the next arrival is due, or shares or orders change."""
        if due_ns is None:
            await self._arrivals.wait()
            return
        left_ns = due_ns - self.clock.now_ns()
        if left_ns <= 0:
            await asyncio.sleep(0)
            return
        timer = asyncio.get_running_loop().call_later(left_ns / NS_PER_S, self._arrivals.set)
        try:
            await self._arrivals.wait()
        finally:
            timer.cancel()

    # The records.

    def _write(self) -> None:
        """Make a batch of what there is and put it into the spool."""
        recorder = self.recorder
        assert recorder is not None
        self._batch_ns = self.clock.now_ns()
        if recorder.is_empty and not self._unwritten:
            return
        if recorder.is_empty:
            self._spool_unwritten()
            return
        self._unwritten.append(recorder.make_batch())
        self._spool_unwritten()

    def _spool_unwritten(self) -> None:
        """Put batches into the spool, oldest first; what finds no room waits, and rows of calls are given up."""
        assert self.recorder is not None
        while self._unwritten:
            batch = self._unwritten[0]
            try:
                segment, offset = self.spool.write(batch)
            except SpoolFullError as error:
                self.recorder.keeps_calls = False
                if len(self._unwritten) > MAX_UNWRITTEN:
                    raise
                log.warning("worker %d: %s; %d batches wait for room", self.setup.worker, error, len(self._unwritten))
                return
            self.recorder.keeps_calls = not self._is_full
            self._unwritten.pop(0)
            self._written += batch.header.iterations
            header = batch.header
            self.marks.set("last_seq", header.seq)
            self.marks.set("iterations_written", self._written)
            self.say(
                Wrote(
                    segment=segment,
                    offset=offset,
                    seq=header.seq,
                    iterations=header.iterations,
                    first_ns=header.first_ns - header.start_ns,
                    last_ns=header.last_ns - header.start_ns,
                )
            )

    async def watch(self) -> None:
        """Wake often, note stalls, keep the marks fresh, write a batch each second, and see the end."""
        while True:
            await asyncio.sleep(WAKE_NS / NS_PER_S)
            self.watchdog.woke()
            self._note()
            if self.recorder is None:
                continue
            if self.watchdog.is_row_due():
                row = self.watchdog.row(len(self._tasks), self._started, self._ended)
                self.recorder.health.append(row)
                self.marks.set("stall_ns", max(row.stall_ns, 0))
                self.marks.set("lag_max_ns", max(row.lag_max_ns, 0))
            if self.clock.now_ns() - self._batch_ns >= BATCH_NS:
                self._write()
            if not self.over.is_set() and not self._tasks and not self._is_used_up:
                self._use_up()
            if self._is_used_up and self.pacer is not None and self.pacer.is_draining and not self.over.is_set():
                self._end()

    def _use_up(self) -> None:
        """Nothing is in flight: if nothing is left to start either, spool all there is and say so."""
        assert self.pacer is not None
        has_more = not self.pacer.is_draining and (self.pacer.next_due_ns() is not None or not self.pacer.shares)
        if has_more:
            return
        self._write()
        self._note()
        if not self._unwritten:
            self._is_used_up = True
            self.say(UsedUp())

    def _end(self) -> None:
        assert self.recorder is not None
        if self.watchdog.has_begun:
            self.recorder.health.append(self.watchdog.row(0, self._started, self._ended))
        self._write()
        self._note()
        if not self._unwritten:
            self.marks.state = "ended"
            self.say(Ended())
            self.over.set()

    async def leave(self) -> None:
        """The supervisor let go, or is gone: drain, spool what there is, close the spool."""
        if self.recorder is not None and self.marks.state != "ended":
            log.warning("worker %d: supervisor is gone; draining", self.setup.worker)
            self._drain(is_stop=False)
            limit_ns = self.clock.now_ns() + self.job.plan.drain_ns + int(2 * CANCEL_S * NS_PER_S)
            while self.marks.state != "ended" and self.clock.now_ns() < limit_ns:
                await asyncio.sleep(BATCH_NS / NS_PER_S / 10)
        self.spool.close()

    def _note(self) -> None:
        marks = self.marks
        if self.pacer is not None:
            self._mark_bounds()
        marks.set("started", self._started)
        marks.set("ended", self._ended)
        marks.set("failed", self._failed)
        marks.set("dropped", self._dropped)
        marks.set("in_flight", len(self._tasks))
        marks.set("alive_ns", self.clock.now_ns())


async def serve(open_workplace: Callable[[Job, Clock], Workplace]) -> None:
    """Run a worker on this process's standard input and output until its supervisor lets it go.

    Args:
        open_workplace: makes the clients for a job; called once.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout.buffer)

    def say(message: FromWorker) -> None:
        # A supervisor that is gone hears nothing; its next life reads marks and spool instead.
        if not transport.is_closing():
            transport.write(pack_frame(message))

    setup = await read_to_worker(reader)
    if not isinstance(setup, Setup):
        return
    try:
        job = unpack_job(setup.job)
        clock = SystemClock(offset_ns=setup.clock_offset_ns)
        workplace = open_workplace(job, clock)
        worker = Worker(setup, job, clock, workplace, say)
    except Exception as error:
        log.exception("worker %d cannot be made ready", setup.worker)
        say(Failed(error=f"{type(error).__name__}: {error}"))
        await asyncio.sleep(CANCEL_S)
        raise
    _settle_collector()
    worker.marks.state = "ready"
    say(Prepared())
    watch = loop.create_task(worker.watch())
    watch.add_done_callback(lambda task: _watch_failed(task, say))
    listening = loop.create_task(_listen(worker, reader))
    ending = loop.create_task(worker.over.wait())
    await asyncio.wait((listening, ending), return_when=asyncio.FIRST_COMPLETED)
    await worker.leave()
    for task in (listening, ending):
        task.cancel()
    watch.cancel()
    await workplace.close()


def _settle_collector() -> None:
    """What was made until now stays for good: the collector need not look at it again, and not so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _watch_failed(task: asyncio.Task[None], say: Callable[[FromWorker], None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("worker's watch failed", exc_info=error)
        say(Failed(error=f"{type(error).__name__}: {error}"))


async def _listen(worker: Worker, reader: asyncio.StreamReader) -> None:
    """Obey until the supervisor closes the pipe, or is gone."""
    while (message := await read_to_worker(reader)) is not None:
        if isinstance(message, Command):
            worker.obey(message)
        elif isinstance(message, Lease):
            worker.extend_lease(message.until_ns)
        elif isinstance(message, Pressure):
            worker.set_pressure(message.is_full)


def main() -> None:
    """Entry point of `python -m osbench.agent.worker`."""
    configure_child_logging("worker")
    from osbench.agent.workplace import CloudWorkplace

    uvloop.run(serve(CloudWorkplace))


if __name__ == "__main__":
    main()
