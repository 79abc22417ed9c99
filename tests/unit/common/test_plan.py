"""Plans: exact times and counts in open loop, and choices that do not depend on who makes them."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, RateStage, random_of, user_of

GOLDEN_USERS = [43, 52, 52, 59, 83, 36]
GOLDEN_NUMBERS = [118, 643, 957, 808, 302, 133]

rates = st.tuples(st.integers(1, 2_000), st.sampled_from((1, 2, 3, 7, 60)))


@st.composite
def schedules(draw: st.DrawFn) -> OpenLoop:
    """Up to four stages of any length, and one that has no end."""
    timed = draw(st.lists(st.tuples(rates, st.integers(1, 3 * NS_PER_S)), max_size=4))
    stages = [RateStage(numerator=n, denominator=d, duration_ns=duration) for (n, d), duration in timed]
    numerator, denominator = draw(rates)
    last = RateStage(numerator=numerator, denominator=denominator)
    return OpenLoop(stages=(*stages, last), iterations=draw(st.integers(1, 2_000)))


def arrived_by(schedule: OpenLoop, elapsed_ns: int) -> Fraction:
    """The cumulated rate, by another way than the schedule's own."""
    arrived, begin_ns = Fraction(0), 0
    for stage in schedule.stages:
        length_ns = (
            elapsed_ns - begin_ns if stage.duration_ns is None else min(stage.duration_ns, elapsed_ns - begin_ns)
        )
        if length_ns <= 0:
            break
        arrived += Fraction(stage.numerator, stage.denominator) * length_ns / NS_PER_S
        begin_ns += length_ns
    return arrived


@given(schedules())
def test_intended_starts_never_go_back(schedule: OpenLoop) -> None:
    starts = [schedule.intended_start_ns(index) for index in range(min(schedule.iterations, 300))]

    assert starts == sorted(starts)
    assert starts[0] == 0


@given(schedules(), st.data())
def test_an_iteration_is_due_when_the_rates_have_brought_it(schedule: OpenLoop, data: st.DataObject) -> None:
    """Exact over the borders of stages: fractions of an arrival carry over."""
    index = data.draw(st.integers(0, schedule.iterations - 1))

    due_ns = schedule.intended_start_ns(index)

    assert arrived_by(schedule, due_ns) <= index < arrived_by(schedule, due_ns + 1) or due_ns == 0


@given(schedules(), st.integers(0, 20 * NS_PER_S))
def test_due_by_counts_the_starts_before_a_moment(schedule: OpenLoop, elapsed_ns: int) -> None:
    count = schedule.due_by(elapsed_ns)

    assert count == 0 or schedule.intended_start_ns(count - 1) < elapsed_ns
    assert count == schedule.iterations or schedule.intended_start_ns(count) >= elapsed_ns


@given(st.integers(1, 500), st.integers(1, 20))
def test_a_whole_number_of_seconds_gives_a_whole_number_of_starts(rate: int, seconds: int) -> None:
    schedule = OpenLoop(
        stages=(
            RateStage(numerator=rate, denominator=1, duration_ns=seconds * NS_PER_S),
            RateStage(numerator=1, denominator=1),
        ),
        iterations=10**6,
    )

    assert schedule.due_by(seconds * NS_PER_S) == rate * seconds


def test_two_a_second_are_half_a_second_apart() -> None:
    schedule = OpenLoop(stages=(RateStage(numerator=2, denominator=1),), iterations=4)

    assert [schedule.intended_start_ns(index) // NS_PER_MS for index in range(4)] == [0, 500, 1_000, 1_500]


def test_three_a_second_do_not_drift_in_a_day() -> None:
    schedule = OpenLoop(stages=(RateStage(numerator=3, denominator=1),), iterations=10**6)

    assert schedule.intended_start_ns(3 * 86_400) == 86_400 * NS_PER_S


def test_half_an_arrival_of_a_stage_is_carried_into_the_next() -> None:
    schedule = OpenLoop(
        stages=(
            RateStage(numerator=1, denominator=1, duration_ns=1_500 * NS_PER_MS),
            RateStage(numerator=10, denominator=1),
        ),
        iterations=5,
    )

    starts_ms = [schedule.intended_start_ns(index) // NS_PER_MS for index in range(5)]

    assert starts_ms == [0, 1_000, 1_550, 1_650, 1_750]


def test_a_stage_too_short_for_an_arrival_is_passed_over() -> None:
    schedule = OpenLoop(
        stages=(
            RateStage(numerator=1, denominator=1, duration_ns=100 * NS_PER_MS),
            RateStage(numerator=1, denominator=1, duration_ns=100 * NS_PER_MS),
            RateStage(numerator=1, denominator=1),
        ),
        iterations=3,
    )

    assert [schedule.intended_start_ns(index) for index in range(3)] == [0, NS_PER_S, 2 * NS_PER_S]


def plan(user_choice: str = "random") -> Plan:
    return Plan(
        run="run",
        task="task",
        scenario="Dummy.dummy",
        arguments={},
        schedule=ClosedLoop(concurrency=1, iterations=1),
        seed=7,
        user_choice=user_choice,
    )


@given(st.integers(0, 10**12), st.integers(1, 1_000))
def test_the_user_of_an_iteration_is_one_of_the_users_and_always_the_same(iteration: int, users: int) -> None:
    user = user_of(plan(), iteration, users)

    assert 0 <= user < users
    assert user == user_of(plan(), iteration, users)


def test_users_take_turns_if_so_chosen() -> None:
    assert [user_of(plan("round_robin"), iteration, 3) for iteration in range(5)] == [0, 1, 2, 0, 1]


def test_random_users_are_all_used() -> None:
    assert {user_of(plan(), iteration, 5) for iteration in range(200)} == {0, 1, 2, 3, 4}


def test_random_numbers_depend_on_iteration_and_purpose_and_nothing_else() -> None:
    same = random_of(7, 1, "scenario").random()

    assert random_of(7, 1, "scenario").random() == same
    assert len({same, random_of(7, 2, "scenario").random(), random_of(7, 1, "user").random()}) == 3


def test_the_choices_of_a_release_stay_as_they_are() -> None:
    """Golden: a plan that is run again by a later release must act as the same users with the same sizes."""
    assert [user_of(plan(), iteration, 100) for iteration in range(6)] == GOLDEN_USERS
    assert [random_of(7, iteration, "scenario").randrange(1_000) for iteration in range(6)] == GOLDEN_NUMBERS
