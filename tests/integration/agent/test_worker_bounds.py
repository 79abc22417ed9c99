"""A real worker process keeps to what it is told is its own: limits of its shares, and slots."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osbench.agent.marks import Marks
from osbench.agent.pipe import Command, Lease, Prepared, Setup
from osbench.agent.spool import marks_path, read_entry, scan_segment, segment_path
from osbench.agent.worker_process import WorkerProcess
from osbench.common.clock import NS_PER_MS, NS_PER_S, SystemClock
from osbench.common.job import Job, pack_job
from osbench.common.messages import ShareLimit
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, RateStage, Schedule
from osbench.common.record import IterationRow, decode_header, decode_rows
from osbench.common.share import Share, divide, divide_ranks

pytestmark = pytest.mark.slow

PATIENCE_S = 20.0


class Bench:
    """One worker process, and what is known of it."""

    def __init__(self, process: WorkerProcess, folder: Path, clock: SystemClock) -> None:
        self.process, self.folder, self.clock = process, folder, clock
        self.start_ns = clock.now_ns() + 200 * NS_PER_MS

    def order(
        self,
        revision: int,
        *shares: Share,
        slots: int | None = None,
        limits: tuple[ShareLimit, ...] = (),
        goal: str = "run",
    ) -> None:
        """Tell it what it shall be doing."""
        command = Command(
            goal=goal, start_ns=self.start_ns, shares=shares, limits=limits, slots=slots, revision=revision
        )
        self.process.send(command)

    def marks(self) -> Marks:
        marks = self.process.marks()
        assert marks is not None, "a worker that is prepared has marks"
        return marks

    def started(self, epoch: int) -> int:
        """Of one share."""
        return next((place.started for place in self.marks().shares() if place.epoch == epoch), 0)

    def limit(self, epoch: int) -> int:
        """Of one share, as the worker says."""
        return next(place.limit for place in self.marks().shares() if place.epoch == epoch)

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline_ns = self.clock.now_ns() + round(PATIENCE_S * NS_PER_S)
        while not holds():
            assert self.clock.now_ns() < deadline_ns, f"waited {PATIENCE_S} s in vain for: {what}"
            await asyncio.sleep(0.01)

    def rows(self) -> list[IterationRow]:
        """All iterations in its spool, by start."""
        found: list[IterationRow] = []
        for entry in scan_segment(segment_path(self.folder, 1, 0, 1)):
            header, body = read_entry(entry)
            found += [IterationRow(*row) for row in decode_rows(decode_header(header), body).iterations]
        return sorted(found, key=lambda row: row.started_ns)


@asynccontextmanager
async def bench(folder: Path, schedule: Schedule, sleep_s: float) -> AsyncIterator[Bench]:
    """A worker that is ready to start; killed at the end."""
    clock = SystemClock()
    plan = Plan(run="r", task="t", scenario="Dummy.dummy", arguments={"sleep": sleep_s}, schedule=schedule, seed=1)
    job = pack_job(Job(plan=plan))
    setup = Setup(agent="a", life=1, worker=0, job=job, clock_offset_ns=clock.offset_ns, spool=str(folder))
    process = await WorkerProcess.spawn(setup)
    prepared = asyncio.Event()
    listening = asyncio.create_task(
        process.listen(lambda message: prepared.set() if isinstance(message, Prepared) else None)
    )
    try:
        await asyncio.wait_for(prepared.wait(), PATIENCE_S)
        made = Bench(process, folder, clock)
        process.send(Lease(until_ns=clock.now_ns() + 600 * NS_PER_S))
        yield made
    finally:
        process.kill()
        await listening
        process.close()


def peak_of(rows: list[IterationRow]) -> int:
    """Most iterations in flight at once."""
    edges = sorted(
        [(row.started_ns, 1) for row in rows] + [(row.ended_ns, -1) for row in rows], key=lambda e: (e[0], e[1])
    )
    peak = in_flight = 0
    for _, step in edges:
        in_flight += step
        peak = max(peak, in_flight)
    return peak


def test_a_worker_of_a_closed_loop_gives_slots_back_and_stops_at_its_limit_and_goes_on_with_a_new_share(
    tmp_path: Path,
) -> None:
    """What it has confirmed is given to others: from then on it must never be its own again, kill -9 included."""
    (share,) = divide(1, None, 4, (1,))

    async def play() -> tuple[int, list[IterationRow]]:
        async with bench(tmp_path, ClosedLoop(concurrency=4, duration_ns=60 * NS_PER_S), 0.02) as worker:
            worker.order(1, share, slots=4)
            await worker.until("a start", lambda: worker.started(1) > 20)
            limit = worker.started(1) + 40
            worker.order(2, share, slots=1, limits=(ShareLimit(epoch=1, limit=limit),))
            await worker.until("slots set free", lambda: worker.marks().revision == 2 and worker.marks().slots == 1)
            confirmed_ns = worker.clock.now_ns()
            await worker.until("the limit", lambda: worker.started(1) == limit)
            assert worker.limit(1) == limit

            mine, _ = divide_ranks(2, share, limit, None, (1, 1), 0)
            worker.order(3, share, mine, slots=1, limits=(ShareLimit(epoch=1, limit=limit),))
            await worker.until("the new share", lambda: worker.started(2) > 5)
            # Word of a higher limit comes too late: what lies above it is somebody else's.
            worker.order(4, share, mine, slots=1, limits=(ShareLimit(epoch=1, limit=limit + 50),))
            await worker.until("a batch of it", lambda: any(row.iteration > limit for row in worker.rows()))
            worker.process.kill()
            return confirmed_ns, worker.rows()

    confirmed_ns, rows = asyncio.run(play())
    marks = Marks(marks_path(tmp_path, 1, 0))
    first, second = marks.shares()
    marks.close()

    assert first.started == first.limit
    assert {row.iteration for row in rows} <= set(range(first.started)) | {
        first.started + 2 * rank for rank in range(second.started)
    }
    assert len({row.iteration for row in rows}) == len(rows)
    assert peak_of(rows) == 4
    assert peak_of([row for row in rows if row.started_ns >= confirmed_ns]) == 1


def test_a_worker_of_an_open_loop_starts_nothing_from_its_limit_on_and_says_what_it_leaves_when_it_drains(
    tmp_path: Path,
) -> None:
    schedule = OpenLoop(stages=(RateStage(numerator=50, denominator=1),), iterations=2_000)
    share, _ = divide(1, 2_000, None, (1, 1))

    async def play() -> tuple[int, int, int]:
        async with bench(tmp_path, schedule, 0.0) as worker:
            worker.order(1, share)
            await worker.until("a start", lambda: worker.started(1) > 3)
            limit = worker.started(1) + 5
            worker.order(2, share, limits=(ShareLimit(epoch=1, limit=limit),))
            await worker.until("the limit", lambda: worker.started(1) == limit)
            later = divide_ranks(2, share, limit + 20, limit + 400, (1,), None)[0]
            worker.order(3, share, later, limits=(ShareLimit(epoch=1, limit=limit),))
            await worker.until("its next share", lambda: worker.started(2) > 3)
            worker.order(4, goal="drain")
            await worker.until("what it leaves", lambda: worker.limit(2) >= 0)
            assert worker.started(2) == worker.limit(2)
            return limit, worker.started(1), worker.limit(1)

    limit, started, told = asyncio.run(play())

    assert (started, told) == (limit, limit)
