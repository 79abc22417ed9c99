"""An iteration: what a scenario does is recorded so that it can be read, whenever batches are written meanwhile."""

import asyncio
from typing import Any

import pytest

from osbench.agent.iteration import IterationRun, Scenario, run_iteration
from osbench.agent.recorder import BATCH_ACTIONS, Recorder
from osbench.common.clock import ManualClock
from osbench.common.error import InputError
from osbench.common.job import Job, UserAccess
from osbench.common.outcome import Outcome
from osbench.common.plan import ClosedLoop, Plan
from osbench.common.record import MAX_ACTIONS, MAX_DEPTH, ActionRow, Batch, BatchIdentity, Rows, decode_rows
from osbench.coordinator.columns import decode_columns
from osbench.coordinator.derive import derive

PLAN = Plan(run="run", task="task", scenario="x", arguments={}, schedule=ClosedLoop(concurrency=1), seed=1)
JOB = Job(plan=PLAN)
IDENTITY = BatchIdentity(run="run", agent="a", life=7, worker=2, start_ns=0)
PHASES = (0, 0, 0, 0, 5)


class NoClients:
    """The clients of scenarios that need none."""

    def client(self, service: str, user: UserAccess | None, iteration: IterationRun) -> object:
        raise InputError(f"no service {service}")

    def outcome_of(self, error: BaseException) -> tuple[Outcome, str, str]:
        return Outcome.FAILED, type(error).__name__, str(error)


class Bench:
    """A recorder, its clock, and the batches that were written, each when the scenario says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder(identity=IDENTITY)
        self.batches: list[Batch] = []

    def second_passes(self) -> None:
        """What the worker does each second, whatever is in flight."""
        self.clock.current_ns += 10**9
        if not self.recorder.is_empty:
            self.batches.append(self.recorder.make_batch())

    def start(self, scenario: Scenario, index: int = 0) -> Outcome:
        iteration = IterationRun(index, JOB, self.recorder, self.clock, NoClients())
        return asyncio.run(run_iteration(iteration, scenario, {}, -1))

    def rows(self) -> list[Rows]:
        return [decode_rows(batch.header, batch.body) for batch in self.batches]


def call(it: Any) -> None:
    now_ns = it.now_ns()
    it.sink.add_call(it.sink.name_id("GET /"), now_ns, now_ns + 5, Outcome.OK, 200, 0, 1, 0, PHASES, 1, 1, None)


def paths(batches: list[Batch]) -> dict[str, int]:
    """What the coordinator makes of each batch for itself, as it may come alone: how often each path occurs."""
    found: dict[str, int] = {}
    for batch in batches:
        for row in derive([decode_columns(batch.header, batch.body)]).histograms:
            if row.kind == "action":
                found[row.name] = found.get(row.name, 0) + row.n
    return found


def test_actions_of_an_iteration_that_outlasts_batches_come_together_and_its_calls_at_once() -> None:
    """An inner action used to come batches before the one around it: the coordinator had to refuse what held it."""
    bench = Bench()

    async def slow(it: Any) -> None:
        with it.action("outer"):
            for _ in range(2):
                with it.action("inner"):
                    with it.action("innermost"):
                        call(it)
                    bench.second_passes()
                bench.second_passes()
        with it.action("after"):
            bench.second_passes()
            call(it)

    bench.start(slow)
    bench.second_passes()

    rows = bench.rows()
    assert [len(one.calls) for one in rows] == [1, 1, 1]
    assert [len(one.actions) for one in rows] == [0, 0, 6]
    assert [len(one.iterations) for one in rows] == [0, 0, 1]
    assert [
        (row.ordinal, row.parent) for row in sorted(map(_action, rows[2].actions), key=lambda row: row.ordinal)
    ] == [
        (0, -1),
        (1, 0),
        (2, 1),
        (3, 0),
        (4, 3),
        (5, -1),
    ]
    assert paths(bench.batches) == {"outer": 1, "outer/inner": 2, "outer/inner/innermost": 2, "after": 1}


def _action(row: Any) -> ActionRow:
    return ActionRow(*row)


def test_iterations_in_flight_do_not_meet_in_each_others_actions() -> None:
    """Many are in flight in one worker; each ends when it will."""
    bench = Bench()
    gates = [asyncio.Event() for _ in range(3)]

    async def waits(it: Any) -> None:
        with it.action("outer"):
            with it.action("inner"):
                await gates[it.index].wait()
            bench.second_passes()

    async def all_of_them() -> None:
        runs = [IterationRun(index, JOB, bench.recorder, bench.clock, NoClients()) for index in range(3)]
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(run_iteration(run, waits, {}, -1))
            for index in (2, 0, 1):
                await asyncio.sleep(0)
                gates[index].set()

    asyncio.run(all_of_them())
    bench.second_passes()

    for one in bench.rows():
        assert {row[0] for row in one.actions} == {row[0] for row in one.iterations}
    assert paths(bench.batches) == {"outer": 3, "outer/inner": 3}


def test_an_iteration_that_fails_in_the_depth_brings_all_its_actions() -> None:
    bench = Bench()

    async def fails(it: Any) -> None:
        with it.action("outer"), it.action("inner"):
            bench.second_passes()
            raise RuntimeError("no")

    assert bench.start(fails) == Outcome.FAILED
    bench.second_passes()

    assert [ActionRow(*row).outcome for row in bench.rows()[0].actions] == [Outcome.FAILED] * 2
    assert paths(bench.batches) == {"outer": 1, "outer/inner": 1}


@pytest.mark.parametrize(("depth", "outcome"), [(MAX_DEPTH, Outcome.OK), (MAX_DEPTH + 1, Outcome.FAILED)])
def test_an_iteration_whose_actions_nest_too_deep_fails_and_its_batch_is_taken(depth: int, outcome: Outcome) -> None:
    bench = Bench()

    async def nests(it: Any, left: int = depth) -> None:
        if left:
            with it.action("a"):
                await nests(it, left - 1)

    assert bench.start(nests) == outcome
    bench.second_passes()

    assert sum(paths(bench.batches).values()) == MAX_DEPTH
    assert (bench.rows()[0].errors != {}) == (outcome != Outcome.OK)


def test_an_iteration_of_more_actions_than_a_column_can_number_fails_and_its_batch_is_taken() -> None:
    """The number would not fit its column, and the worker would end with all it had in flight."""
    bench = Bench()

    async def counts(it: Any) -> None:
        while True:
            with it.action("a"):
                bench.clock.current_ns += 1

    assert bench.start(counts) == Outcome.FAILED
    assert bench.recorder.is_due
    assert len(bench.recorder.actions) > BATCH_ACTIONS
    bench.second_passes()

    assert paths(bench.batches) == {"a": MAX_ACTIONS}
    ((_, message),) = bench.rows()[0].errors.values()
    assert "at most 32768 actions" in message
