"""Pacing under a clock that stands still: both sides of each edge."""

from hypothesis import given
from hypothesis import strategies as st

from osbench.agent.pacer import Arrival, Pacer
from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage
from osbench.common.share import divide, divide_ranks

START_NS = 1_000 * NS_PER_S


def open_loop(rate: int, iterations: int, cap: int | None = None) -> OpenLoop:
    return OpenLoop(stages=(RateStage(numerator=rate, denominator=1),), iterations=iterations, max_in_flight=cap)


def taken_by(pacer: Pacer, now_ns: int) -> int | None:
    """The index that a slot would start now."""
    found = pacer.next_in_slot(now_ns)
    return None if found is None else found[1]


def test_a_slot_gets_the_indices_of_its_share_in_order_and_then_none() -> None:
    """Without it a worker would run indices of others, or go on for ever."""
    pacer = Pacer(schedule=ClosedLoop(concurrency=2, iterations=5), start_ns=START_NS)
    first, _ = divide(1, 5, 2, (1, 1))
    state = pacer.add(first)

    taken = [taken_by(pacer, START_NS) for _ in range(4)]

    assert taken == [0, 2, 4, None]
    assert state.started == 3


def test_no_iteration_starts_at_the_end_of_the_duration_but_one_nanosecond_before_it_does() -> None:
    pacer = Pacer(schedule=ClosedLoop(concurrency=1, duration_ns=NS_PER_S), start_ns=START_NS)
    pacer.add(divide(1, None, 1, (1,))[0])

    assert taken_by(pacer, START_NS + NS_PER_S - 1) == 0
    assert taken_by(pacer, START_NS + NS_PER_S) is None


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
    pacer.allow(None)

    first = list(pacer.due(state, START_NS + 100 * NS_PER_MS))
    pacer.ended()
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
    pacer.add(divide(1, 5, 1, (1,))[0])

    assert taken_by(pacer, START_NS + 9) == 0
    assert taken_by(pacer, START_NS + 10) is None
    pacer.lease_ns = START_NS + 1_000
    assert taken_by(pacer, START_NS + 11) is None


def closed_loop(slots: int, iterations: int = 20) -> Pacer:
    pacer = Pacer(schedule=ClosedLoop(concurrency=slots, iterations=iterations), start_ns=START_NS)
    pacer.add(divide(1, iterations, slots, (1,))[0])
    pacer.allow(slots)
    return pacer


def test_never_more_than_its_slots_are_in_flight_over_all_its_shares() -> None:
    pacer = closed_loop(2)
    pacer.add(divide_ranks(2, divide(1, 90, 2, (1,))[0], 50, 60, (1,), 0)[0])

    assert [taken_by(pacer, START_NS) for _ in range(3)] == [0, 1, None]
    pacer.ended()
    assert taken_by(pacer, START_NS) == 2


def test_the_oldest_share_is_started_first_and_the_next_when_it_is_used_up() -> None:
    pacer = closed_loop(9, 2)
    pacer.add(divide_ranks(2, divide(1, 90, 2, (1,))[0], 50, 60, (1,), 0)[0])

    assert [taken_by(pacer, START_NS) for _ in range(4)] == [0, 1, 50, 51]


def test_nothing_is_started_from_the_limit_on() -> None:
    pacer = closed_loop(9)

    pacer.limit(1, 2)

    assert [taken_by(pacer, START_NS) for _ in range(3)] == [0, 1, None]
    assert pacer.shares[0].limit == 2


def test_a_limit_that_comes_late_is_where_the_worker_is_and_one_that_is_higher_changes_nothing() -> None:
    """What was started cannot be left to others, and what was left must not be taken back."""
    pacer = closed_loop(9)
    for _ in range(5):
        taken_by(pacer, START_NS)

    pacer.limit(1, 2)
    assert pacer.shares[0].limit == 5
    pacer.limit(1, 8)

    assert pacer.shares[0].limit == 5
    assert taken_by(pacer, START_NS) is None


def test_a_limit_after_the_end_of_a_share_is_where_it_ended() -> None:
    pacer = closed_loop(9, 3)
    for _ in range(3):
        taken_by(pacer, START_NS)

    pacer.limit(1, 1)

    assert pacer.shares[0].limit == 3


def test_slots_that_are_asked_back_are_held_until_iterations_have_ended() -> None:
    """Others are given them when the worker says it holds fewer: so it must not say so too early."""
    pacer = closed_loop(3)
    for _ in range(3):
        taken_by(pacer, START_NS)

    pacer.allow(1)
    assert pacer.held == 3
    pacer.ended()
    assert (pacer.held, taken_by(pacer, START_NS)) == (2, None)
    pacer.ended()
    assert (pacer.held, taken_by(pacer, START_NS)) == (1, None)
    pacer.ended()
    assert (pacer.held, taken_by(pacer, START_NS)) == (1, 3)


def test_slots_that_are_not_used_are_held_all_the_same() -> None:
    pacer = closed_loop(3, 1)
    taken_by(pacer, START_NS)

    assert (pacer.held, pacer.idle_slots) == (3, 0)


def test_a_draining_worker_says_of_all_its_shares_and_slots_what_it_leaves() -> None:
    """So that others can go on at once, and not only when its last iteration has ended."""
    pacer = closed_loop(3)
    for _ in range(2):
        taken_by(pacer, START_NS)
    pacer.is_draining = True

    pacer.settle()

    assert (pacer.shares[0].limit, pacer.held) == (2, 2)


def test_in_open_loop_the_limit_is_not_due_and_the_cap_counts_over_all_shares() -> None:
    schedule = open_loop(10, 8, cap=1)
    pacer = Pacer(schedule=schedule, start_ns=START_NS)
    one, other = (pacer.add(share) for share in (*divide(1, 4, 1, (1,)), *divide(2, 8, 1, (1,))))
    pacer.allow(1)
    pacer.limit(1, 2)

    first = list(pacer.due(one, START_NS + NS_PER_S))
    second = list(pacer.due(other, START_NS))

    assert [arrival.iteration for arrival in first] == [0, 1]
    assert [arrival.is_dropped for arrival in (*first, *second)] == [False, True, True]
    assert pacer.next_due_ns() == START_NS + 100 * NS_PER_MS


@given(st.lists(st.tuples(st.sampled_from(("take", "end", "limit", "allow")), st.integers(0, 12)), max_size=60))
def test_whatever_it_is_told_a_worker_keeps_what_it_said(steps: list[tuple[str, int]]) -> None:
    """Nothing above a limit that was shown, and nothing more in flight than was held, until more is allowed."""
    pacer = closed_loop(4, 30)
    (state,) = pacer.shares
    said, held, started = 30, 4, set[int]()
    for what, number in steps:
        if what == "take" and (index := taken_by(pacer, START_NS)) is not None:
            assert index not in started
            assert index < said
            started.add(index)
        elif what == "end" and pacer.in_flight:
            pacer.ended()
        elif what == "limit":
            pacer.limit(1, number)
        elif what == "allow":
            pacer.allow(number)
            held = max(held, number)
        assert pacer.held is not None
        assert pacer.in_flight <= held
        held = max(pacer.held, pacer.slots or 0)
        said = said if state.limit is None else min(said, state.limit)
        assert state.started <= said
