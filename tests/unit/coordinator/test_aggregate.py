"""The numbers of a run, live and stored."""

from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osbench.common.outcome import Outcome
from osbench.common.record import BatchIdentity, CallRow, IterationRow, Rows, encode_batch
from osbench.coordinator.aggregate import ALL_ENDED, Aggregate
from osbench.coordinator.columns import BatchColumns, decode_columns
from osbench.coordinator.derive import derive
from osbench.coordinator.sample_records import odd_rows
from osbench.coordinator.store.values import ACTION, CALL, ITERATION, LAG, SERIES_KINDS, Derived

S = 10**9
START = 7 * 10**14


def columns(rows: Rows, worker: int = 0, run: str = "r") -> BatchColumns:
    batch = encode_batch(BatchIdentity(run=run, agent="a", life=1, worker=worker, start_ns=START), 1, rows)
    return decode_columns(batch.header, batch.body)


def rows(iterations: list[tuple[float, float, int]]) -> Rows:
    """Iterations by start and end in seconds, and outcome."""
    made = [
        IterationRow(at, -1, START + int(begin * S), START + int(end * S), 0, outcome, 0)
        for at, (begin, end, outcome) in enumerate(iterations)
    ]
    return Rows(iterations=made, names={}, errors={}, request_ids={})


def aggregate(*derived: Derived) -> Aggregate:
    made = Aggregate("r")
    for one in derived:
        made.add(one)
    return made


def of(iterations: list[tuple[float, float, int]]) -> Aggregate:
    return aggregate(derive([columns(rows(iterations))]))


def everything(one: Aggregate) -> list[object]:
    """All answers of an aggregate."""
    return [
        *(one.summaries(kind, outcomes) for kind in SERIES_KINDS for outcomes in ({0}, ALL_ENDED)),
        *(one.timeline(kind, name, ALL_ENDED) for kind in SERIES_KINDS for name in one.names(kind)),
        one.load(),
        one.counters(),
        one.errors(),
        one.extent_ns,
        one.throughput_hz(),
    ]


def test_an_empty_run_has_no_numbers_and_no_errors() -> None:
    empty = Aggregate("r")
    summary = empty.summary(ITERATION)

    assert (summary.count, summary.success_fraction, summary.p99_us) == (0, None, None)
    assert (empty.throughput_hz(), empty.load_duration_ns, empty.extent_ns) == (None, 0, None)
    assert empty.timeline(ITERATION) == []
    assert empty.load() == []
    assert empty.recent(ITERATION, 5).count == 0


def test_failures_count_and_do_not_colour_the_successes() -> None:
    """A cloud that fails fast would look fast."""
    made = of([(0, 1, 0), (0, 3, 0), (0, 0.001, 1), (0, 60, 2), (1, 1, 4)])
    summary = made.summary(ITERATION)

    assert (summary.count, summary.succeeded, summary.success_fraction) == (4, 2, 0.5)
    assert (summary.min_us, summary.max_us, summary.mean_us) == (1e6, 3e6, 2e6)
    assert made.summary(ITERATION, outcomes=ALL_ENDED).max_us == 60e6
    assert made.outcomes() == {Outcome.OK: 2, Outcome.FAILED: 1, Outcome.UNKNOWN: 1, Outcome.DROPPED: 1}


def test_throughput_is_successes_over_the_time_from_first_start_to_last_end() -> None:
    made = of([(0.5, 1, 0), (1, 4.5, 0), (2, 3, 1)])

    assert made.extent_ns == (S // 2, 4 * S + S // 2)
    assert made.throughput_hz() == 0.5
    assert made.throughput_hz(ALL_ENDED) == 0.75


def test_a_timeline_has_a_point_for_every_step_gaps_included() -> None:
    made = of([(0, 0.5, 0), (0, 0.7, 1), (0, 3.2, 0), (0, 3.3, 0)])
    points = made.timeline(ITERATION)

    assert [(point.second, point.count, point.errors) for point in points] == [
        (0, 2, 1),
        (1, 0, 0),
        (2, 0, 0),
        (3, 2, 0),
    ]
    assert points[1].median_us is None
    assert points[0].median_us == 500_000
    (whole,) = made.timeline(ITERATION, step_s=10)
    assert (whole.count, whole.rate_hz) == (4, 0.4)


def test_iterations_in_flight_are_those_started_and_not_ended() -> None:
    made = of([(0, 2.5, 0), (0.2, 0.5, 1), (1, 2.9, 0), (1.5, 1.5, 4)])

    assert [(p.second, p.started, p.ended, p.failed, p.dropped, p.in_flight) for p in made.load()] == [
        (0, 2, 1, 1, 0, 1),
        (1, 1, 0, 0, 1, 2),
        (2, 0, 2, 0, 0, 0),
    ]


def test_recent_looks_back_from_the_last_second_on_record() -> None:
    made = of([(0, 0.5, 0), (0, 8.5, 0), (0, 9.5, 1)])

    assert (made.recent(ITERATION, 2).count, made.recent(ITERATION, 2).succeeded) == (2, 1)
    assert made.recent(ITERATION, 60).count == 3


def test_calls_are_counted_by_route_outcome_and_status() -> None:
    def call(name: int, outcome: int, status: int) -> CallRow:
        zeros = dict.fromkeys(CallRow._fields, 0)
        return CallRow(
            **{**zeros, "name": name, "started_ns": START, "ended_ns": START + S, "outcome": outcome, "status": status}
        )

    calls = [call(1, 0, 200), call(1, 1, 500), call(2, 2, 0), call(1, 0, 200)]
    made = aggregate(derive([columns(Rows(calls=calls, names={1: "a", 2: "b"}, errors={}, request_ids={}))]))

    assert made.names(CALL) == ["a", "b"]
    assert made.statuses() == {200: 2, 500: 1, 0: 1}
    assert made.statuses("a") == {200: 2, 500: 1}
    assert made.outcomes(CALL, "a") == {Outcome.OK: 2, Outcome.FAILED: 1}


def test_actions_come_in_the_order_in_which_iterations_meet_them() -> None:
    made = aggregate(derive([columns(odd_rows(Random(4), START, 0, 30))]))
    firsts = [name.split("/")[-1] for name in made.names(ACTION)]

    assert len(firsts) == len(made.names(ACTION))
    assert "/" not in made.names(ACTION)[0]


def test_rows_of_another_run_are_left_aside() -> None:
    made = aggregate(derive([columns(odd_rows(Random(4), START, 0, 9), run="other")]))

    assert everything(made) == everything(Aggregate("r"))


@settings(max_examples=settings().max_examples // 2)  # 14 ms each
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_commits_in_any_order_and_company_give_the_same_numbers(seed: int, count: int) -> None:
    random = Random(seed)
    batches = [columns(odd_rows(random, START, at * 50, 8), at) for at in range(count)]
    one_by_one = [derive([batch]) for batch in batches]
    random.shuffle(one_by_one)

    assert everything(aggregate(*one_by_one)) == everything(aggregate(derive(batches)))


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_the_median_is_that_of_the_values_within_the_bound(values_us: list[int]) -> None:
    made = of([(0, value / 1e6, 0) for value in values_us])
    found = made.summary(ITERATION).median_us
    low, high = sorted(values_us)[(len(values_us) - 1) // 2], median(values_us)

    assert found is not None
    assert low - low / 256 - 1 <= found <= high + high / 256 + 1


def test_lag_is_there_in_an_open_loop_only() -> None:
    late = Rows(
        iterations=[IterationRow(0, START, START + 7_000, START + S, 0, 0, 0)], names={}, errors={}, request_ids={}
    )

    assert aggregate(derive([columns(late)])).summary(LAG).max_us == 7
    assert of([(0, 1, 0)]).summary(LAG).count == 0


def test_an_unknown_kind_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="not one of"):
        Aggregate("r").names("iterations")
