"""Shares: whatever the weights and whoever dies, together they are exactly what was divided."""

from collections import Counter
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.share import Share, divide, divide_ranks, divide_rest, divide_slots, pattern

weights_lists = st.lists(st.integers(0, 12), min_size=1, max_size=7).filter(any)


def indices(shares: tuple[Share, ...]) -> list[int]:
    """Of all shares together, ascending."""
    return sorted(index for share in shares for index in share.indices())


@given(weights_lists)
def test_each_worker_owns_its_weight_of_a_period(weights: list[int]) -> None:
    owners = Counter(pattern(tuple(weights)))

    period = sum(owners.values())

    assert [owners[worker] * sum(weights) for worker in range(len(weights))] == [w * period for w in weights]


@given(weights_lists)
def test_no_worker_is_ever_ahead_of_its_weight_by_one(weights: list[int]) -> None:
    """Evenness: otherwise a part of the load would come from one host for a while."""
    owners, counts = pattern(tuple(weights)), Counter[int]()
    total = sum(weights)
    for position, owner in enumerate(owners):
        counts[owner] += 1

        assert (counts[owner] - 1) * total <= position * weights[owner]


@given(st.integers(1, 40), st.integers(0, 300))
def test_workers_of_equal_weight_never_differ_by_more_than_one(workers: int, iterations: int) -> None:
    sizes = [share.size() or 0 for share in divide(1, iterations, None, [1] * workers)]

    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 300), st.none() | st.integers(1, 40), weights_lists)
def test_all_shares_together_are_the_indices_of_the_run(iterations: int, slots: int | None, weights: list[int]) -> None:
    shares = divide(1, iterations, slots, weights)

    assert indices(shares) == list(range(iterations))


@given(st.integers(0, 300), st.integers(1, 40), weights_lists)
def test_size_tells_how_many_indices_a_share_has(iterations: int, slots: int, weights: list[int]) -> None:
    for share in divide(1, iterations, slots, weights):
        assert share.size() == len(list(share.indices()))


@given(st.integers(1, 200), weights_lists)
def test_slots_add_up_to_what_was_asked(slots: int, weights: list[int]) -> None:
    parts = divide_slots(slots, weights)

    assert sum(parts) == slots


@given(st.integers(1, 200), st.integers(1, 50))
def test_slots_of_equal_workers_never_differ_by_more_than_one(slots: int, workers: int) -> None:
    parts = divide_slots(slots, [1] * workers)

    assert max(parts) - min(parts) <= 1


@given(st.integers(0, 300), st.integers(1, 40), weights_lists)
def test_a_worker_without_a_slot_has_no_index(iterations: int, slots: int, weights: list[int]) -> None:
    for share in divide(1, iterations, slots, weights):
        assert share.slots or not share.size()


@st.composite
def deaths(draw: st.DrawFn) -> tuple[int, int | None, list[int], list[tuple[int, int, list[int]]]]:
    """A division, and deaths: which of the shares alive, how many per cent of it were started, who takes over."""
    slots = draw(st.none() | st.integers(1, 20))
    chain = draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 100), weights_lists), max_size=6))
    return draw(st.integers(0, 200)), slots, draw(weights_lists), chain


@given(deaths())
def test_after_any_chain_of_deaths_nothing_is_missing_and_nothing_is_there_twice(
    case: tuple[int, int | None, list[int], list[tuple[int, int, list[int]]]],
) -> None:
    """This is what makes a run with lost workers exact."""
    iterations, slots, weights, chain = case
    alive, started = list(divide(1, iterations, slots, weights)), list[int]()
    for epoch, (victim, per_cent, takers) in enumerate(chain, start=2):
        with_slots = [share for share in alive if share.slots != 0]
        share = with_slots[victim % len(with_slots)]
        alive.remove(share)
        count = (share.size() or 0) * per_cent // 100
        started += islice(share.indices(), count)
        alive += divide_rest(epoch, share, count, takers)

    assert sorted(started + indices(tuple(alive))) == list(range(iterations))
    assert slots is None or sum(share.slots or 0 for share in alive) == slots


@given(deaths())
def test_whatever_ends_are_cut_off_and_divided_anew_nothing_is_missing_and_nothing_is_there_twice(
    case: tuple[int, int | None, list[int], list[tuple[int, int, list[int]]]],
) -> None:
    """This is what makes it exact to move a part of a share while its owner goes on with the other."""
    iterations, slots, weights, chain = case
    alive = [(share, 0, share.size() or 0) for share in divide(1, iterations, slots, weights)]
    for epoch, (owner, per_cent, takers) in enumerate(chain, start=2):
        share, begin, end = alive.pop(owner % len(alive))
        cut = begin + (end - begin) * per_cent // 100
        alive.append((share, begin, cut))
        alive += [(part, 0, part.size() or 0) for part in divide_ranks(epoch, share, cut, end, takers, slots)]

    found = [share.index(rank) for share, begin, end in alive for rank in range(begin, end)]

    assert sorted(index for index in found if index is not None) == list(range(iterations))
    assert None not in found


@given(st.integers(0, 40), st.integers(0, 40), weights_lists)
def test_cutting_an_endless_share_twice_leaves_no_hole(first: int, second: int, takers: list[int]) -> None:
    """The lower limit came later: what lies between the two is a rest with an end."""
    low, high = sorted((first, second))
    (share,) = divide(1, None, 2, (1,))
    parts = (*divide_ranks(2, share, high, None, takers, 0), *divide_ranks(3, share, low, high, takers, 0))

    found = [*islice(share.indices(), low)]
    for part in parts:
        found += takewhile(lambda index: index < 300, part.indices())

    assert sorted(found) == list(range(300))


@given(weights_lists, st.integers(0, 60), weights_lists)
def test_shares_of_an_endless_run_go_on_without_a_hole(weights: list[int], started: int, takers: list[int]) -> None:
    first, *others = [share for share in divide(1, None, None, weights) if share.size() is None]
    taken = [share for share in divide_rest(2, first, started, takers) if share.size() is None]

    found = [
        *islice(first.indices(), started),
        *(index for share in (*others, *taken) for index in takewhile(lambda index: index < 500, share.indices())),
    ]

    assert sorted(index for index in found if index < 500) == list(range(500))


@given(st.integers(1, 200), weights_lists, st.data())
def test_ranks_grow_with_indices(iterations: int, weights: list[int], data: st.DataObject) -> None:
    """What is due later has the later rank: open loop relies on it."""
    share = data.draw(st.sampled_from(divide(1, iterations, None, weights)))
    found = list(share.indices())

    assert found == sorted(set(found))


def test_five_slots_on_four_equal_workers_are_two_and_one_and_one_and_one() -> None:
    assert divide_slots(5, [1, 1, 1, 1]) == (2, 1, 1, 1)


def test_concurrency_one_is_one_slot_in_the_whole_fleet() -> None:
    shares = divide(1, 10, 1, [1] * 6)

    assert [share.slots for share in shares] == [1, 0, 0, 0, 0, 0]
    assert [share.size() for share in shares] == [10, 0, 0, 0, 0, 0]


def test_equal_workers_take_turns() -> None:
    assert pattern((1, 1, 1)) == (0, 1, 2)


def test_weights_are_interleaved_and_not_in_blocks() -> None:
    assert pattern((1, 2, 3)) == (2, 1, 2, 1, 2, 0)


def test_weights_are_reduced_before_they_make_a_period() -> None:
    assert pattern((500, 1_000)) == pattern((1, 2))


def test_the_rest_of_a_dead_worker_keeps_its_slots() -> None:
    dead, alive = divide(1, 20, 6, [1, 1])

    taken = divide_rest(2, dead, 4, [1, 1])

    assert [share.slots for share in (alive, *taken)] == [3, 2, 1]
    assert indices((alive, *taken)) == sorted({*range(20)} - {0, 2, 4, 6})


@pytest.mark.parametrize("weights", [(0, 0), (1, -1)])
def test_weights_that_divide_nothing_are_a_bug(weights: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="weights"):
        pattern(weights)
