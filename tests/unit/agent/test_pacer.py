"""Pacing under a clock that stands still: both sides of each edge."""

from osbench.agent.pacer import Arrival, Pacer
from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage
from osbench.common.share import divide

START_NS = 1_000 * NS_PER_S


def open_loop(rate: int, iterations: int, cap: int | None = None) -> OpenLoop:
    return OpenLoop(stages=(RateStage(numerator=rate, denominator=1),), iterations=iterations, max_in_flight=cap)


def test_a_slot_gets_the_indices_of_its_share_in_order_and_then_none() -> None:
    """Without it a worker would run indices of others, or go on for ever."""
    pacer = Pacer(schedule=ClosedLoop(concurrency=2, iterations=5), start_ns=START_NS)
    first, _ = divide(1, 5, 2, (1, 1))
    state = pacer.add(first)

    taken = [pacer.next_in_slot(state, START_NS) for _ in range(4)]

    assert taken == [0, 2, 4, None]
    assert state.started == 3


def test_no_iteration_starts_at_the_end_of_the_duration_but_one_nanosecond_before_it_does() -> None:
    pacer = Pacer(schedule=ClosedLoop(concurrency=1, duration_ns=NS_PER_S), start_ns=START_NS)
    state = pacer.add(divide(1, None, 1, (1,))[0])

    assert pacer.next_in_slot(state, START_NS + NS_PER_S - 1) == 0
    assert pacer.next_in_slot(state, START_NS + NS_PER_S) is None


def test_nothing_is_due_before_its_intended_start() -> None:
    pacer = Pacer(schedule=open_loop(10, 100), start_ns=START_NS)
    state = pacer.add(divide(1, 100, None, (1,))[0])

    assert list(pacer.due(state, START_NS + 100 * NS_PER_MS - 1)) == [Arrival(0, START_NS, False)]
    assert pacer.next_due_ns() == START_NS + 100 * NS_PER_MS


def test_all_that_became_due_while_the_loop_slept_is_handed_out_with_its_own_intended_start() -> None:
    """Lateness is data: a late arrival keeps the moment it was meant for."""
    pacer = Pacer(schedule=open_loop(10, 3), start_ns=START_NS)
    state = pacer.add(divide(1, 3, None, (1,))[0])

    due = list(pacer.due(state, START_NS + NS_PER_S))

    assert due == [Arrival(i, START_NS + i * 100 * NS_PER_MS, False) for i in range(3)]
    assert pacer.next_due_ns() is None


def test_what_the_cap_stops_is_dropped_and_not_delayed() -> None:
    pacer = Pacer(schedule=open_loop(10, 4, cap=1), start_ns=START_NS)
    state = pacer.add(divide(1, 4, 1, (1,))[0])

    first = list(pacer.due(state, START_NS + 100 * NS_PER_MS))
    pacer.ended(state)
    second = list(pacer.due(state, START_NS + 200 * NS_PER_MS))

    assert [arrival.is_dropped for arrival in first + second] == [False, True, False]


def test_two_workers_together_are_due_exactly_as_one() -> None:
    schedule = open_loop(7, 50)
    alone = Pacer(schedule=schedule, start_ns=START_NS)
    all_of_it = list(alone.due(alone.add(divide(1, 50, None, (1,))[0]), START_NS + 60 * NS_PER_S))

    together: list[Arrival] = []
    for share in divide(1, 50, None, (2, 1)):
        pacer = Pacer(schedule=schedule, start_ns=START_NS)
        together += pacer.due(pacer.add(share), START_NS + 60 * NS_PER_S)

    assert sorted(together) == all_of_it


def test_a_draining_worker_starts_nothing() -> None:
    pacer = Pacer(schedule=open_loop(10, 3), start_ns=START_NS)
    state = pacer.add(divide(1, 3, None, (1,))[0])
    pacer.is_draining = True

    assert list(pacer.due(state, START_NS + NS_PER_S)) == []
    assert pacer.next_due_ns() is None


def test_nothing_starts_when_the_lease_is_over_and_nothing_after_it_either() -> None:
    """Others may have been given what was left: an agent that was frozen must not go on when it thaws."""
    pacer = Pacer(schedule=ClosedLoop(concurrency=1, iterations=5), start_ns=START_NS, lease_ns=START_NS + 10)
    state = pacer.add(divide(1, 5, 1, (1,))[0])

    assert pacer.next_in_slot(state, START_NS + 9) == 0
    assert pacer.next_in_slot(state, START_NS + 10) is None
    pacer.lease_ns = START_NS + 1_000
    assert pacer.next_in_slot(state, START_NS + 11) is None
