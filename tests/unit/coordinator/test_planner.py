"""Runners become schedules: counts, slots, exact rates."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.clock import NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage, Schedule
from osbench.common.task import RunnerSpec, Workload
from osbench.coordinator.planner import expected_load_ns, plan_run, rate_stages, schedule_of

S = NS_PER_S

CLOSED = [
    ("serial", {"times": 20}, ClosedLoop(concurrency=1, iterations=20)),
    ("constant", {"times": 10, "concurrency": 2, "timeout": 5}, ClosedLoop(concurrency=2, iterations=10)),
    ("constant_for_duration", {"duration": 30, "concurrency": 5}, ClosedLoop(concurrency=5, duration_ns=30 * S)),
    ("constant_for_duration", {"duration": 0.5, "concurrency": 5}, ClosedLoop(concurrency=5, duration_ns=S // 2)),
    ("constant_for_duration", {"duration": 0, "concurrency": 5}, ClosedLoop(concurrency=5, iterations=5)),
]


@pytest.mark.parametrize(("kind", "options", "schedule"), CLOSED)
def test_a_closed_runner_gives_slots_and_an_end(kind: str, options: dict[str, Any], schedule: Schedule) -> None:
    assert schedule_of(RunnerSpec(kind=kind, options=options)) == schedule


def rps(**options: Any) -> OpenLoop:
    schedule = schedule_of(RunnerSpec(kind="rps", options=options))
    assert isinstance(schedule, OpenLoop)
    return schedule


def test_a_rate_is_the_fraction_its_decimals_name() -> None:
    """As a float, one tenth of an iteration a second drifts over a long run."""
    assert rps(times=5, rps=0.1).stages == (RateStage(numerator=1, denominator=10),)
    assert rps(times=5, rps=1e-05).stages == (RateStage(numerator=1, denominator=100_000),)
    assert rps(times=5, rps=3).intended_start_ns(4) == 4 * S // 3


def test_a_ramp_climbs_in_steps_and_stays_at_its_end() -> None:
    """Rally climbs without steps, at about twice the rate, and past the end."""
    ramp = rps(times=1000, rps={"start": 10, "end": 50, "step": 20, "duration": 2})

    assert ramp.stages == (
        RateStage(numerator=10, denominator=1, duration_ns=2 * S),
        RateStage(numerator=30, denominator=1, duration_ns=2 * S),
        RateStage(numerator=50, denominator=1),
    )
    launched_by = [ramp.due_by(second * S) for second in range(8)]
    assert [after - before for before, after in pairwise(launched_by)] == [
        10,
        10,
        30,
        30,
        50,
        50,
        50,
    ]


def test_a_last_step_beyond_the_end_is_cut_to_it() -> None:
    stages = rate_stages({"start": 1, "end": 4, "step": 2, "duration": 1})

    assert [Fraction(stage.numerator, stage.denominator) for stage in stages] == [1, 3, 4]


def test_a_ramp_without_height_is_a_constant_rate() -> None:
    assert rate_stages({"start": 5, "end": 5, "step": 1, "duration": 9}) == (RateStage(numerator=5, denominator=1),)


def test_a_cap_that_can_stop_nothing_is_none() -> None:
    assert rps(times=5, rps=1, max_concurrency=5).max_in_flight is None
    assert rps(times=5, rps=1, max_concurrency=4).max_in_flight == 4


@given(
    start=st.integers(1, 50),
    height=st.integers(0, 100),
    step=st.integers(1, 20) | st.floats(1, 20),
    duration=st.integers(1, 100) | st.floats(1, 100),
)
def test_every_ramp_rises_from_start_to_end_and_never_above(
    start: int, height: int, step: float, duration: float
) -> None:
    stages = rate_stages({"start": start, "end": start + height, "step": step, "duration": duration})
    rates = [Fraction(stage.numerator, stage.denominator) for stage in stages]

    assert rates[0] == start
    assert rates[-1] == start + height
    assert all(before < after for before, after in pairwise(rates))
    assert [stage.duration_ns is None for stage in stages] == [False] * (len(stages) - 1) + [True]


def workload(kind: str = "serial", contexts: dict[str, Any] | None = None, **options: Any) -> Workload:
    return Workload(
        scenario="Dummy.dummy", position=0, runner=RunnerSpec(kind=kind, options=options), contexts=contexts or {}
    )


def test_a_plan_has_the_resolved_arguments_and_the_limits_of_the_runner() -> None:
    plan = plan_run(
        workload(
            "constant", times=3, concurrency=1, timeout=1.5, contexts={"users": {"user_choice_method": "round_robin"}}
        ),
        run="r",
        task="t",
        seed=7,
        arguments={"image": "id"},
    )

    assert (plan.run, plan.task, plan.seed, plan.arguments) == ("r", "t", 7, {"image": "id"})
    assert plan.timeout_ns == 3 * S // 2
    assert plan.user_choice == "round_robin"


def test_iterations_in_flight_may_drain_as_long_as_their_time_limit_allows() -> None:
    def drain_of(timeout: int) -> int:
        plan = plan_run(workload("constant", timeout=timeout), run="r", task="t", seed=0, arguments={})
        return plan.drain_ns

    assert drain_of(0) == 600 * S
    assert drain_of(3600) == 3600 * S


EXPECTED = [
    (ClosedLoop(concurrency=1, iterations=5), None),
    (ClosedLoop(concurrency=1, duration_ns=30 * S), 30 * S),
    (OpenLoop(stages=(RateStage(numerator=10, denominator=1),), iterations=101), 10 * S),
]


@pytest.mark.parametrize(("schedule", "expected_ns"), EXPECTED)
def test_the_length_of_the_load_is_told_where_the_plan_knows_it(schedule: Schedule, expected_ns: int | None) -> None:
    assert expected_load_ns(schedule) == expected_ns
