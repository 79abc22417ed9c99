"""Who takes what others left: little or much, with the slots that are free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.coordinator.run_fleet import CLOSED, S, fleet, plan
from unit.coordinator.run_fleet import worker as told

from osbench.common.plan import ClosedLoop
from osbench.coordinator.run_events import RunSettings, SaveRun
from osbench.coordinator.run_snapshot import WorkerKey
from osbench.coordinator.run_state import RunState
from osbench.coordinator.takeover import FINE, portion, weigh


def worker(number: int) -> WorkerKey:
    return WorkerKey(f"agent {number}", 1, 0)


def test_one_rest_alone_is_divided_among_all() -> None:
    assert portion([100], {worker(1): 2, worker(2): 1, worker(3): 0}) == [{worker(1): 2, worker(2): 1}]


def test_as_many_rests_as_workers_go_to_one_each() -> None:
    """Otherwise the shares of a run would multiply with every worker that dies."""
    found = portion([10] * 4, {worker(number): 1 for number in range(4)})

    assert sorted(len(takers) for takers in found) == [1, 1, 1, 1]
    assert {key for takers in found for key in takers} == {worker(number) for number in range(4)}


def test_a_large_rest_is_divided_and_small_ones_are_not() -> None:
    found = portion([1, 1_000, 1], {worker(number): 1 for number in range(8)})

    assert [len(takers) for takers in found] == [1, 8, 1]


def test_rests_without_end_outweigh_those_with_one() -> None:
    found = portion([None, 5, None], {worker(number): 1 for number in range(4)})

    assert [len(takers) for takers in found] == [2, 1, 2]


def test_nobody_is_there_to_take_anything() -> None:
    assert portion([3, 4], {worker(1): 0}) == [{}, {}]
    assert portion([], {worker(1): 1}) == []


@given(
    sizes=st.lists(st.integers(1, 10**6) | st.none(), min_size=1, max_size=60),
    weights=st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any),
)
def test_every_rest_has_a_taker_and_shares_do_not_multiply(sizes: list[int | None], weights: list[int]) -> None:
    able = {worker(number): weight for number, weight in enumerate(weights)}

    found = portion(sizes, able)

    assert all(found)
    assert all(takers[key] == able[key] > 0 for takers in found for key in takers)
    assert sum(map(len, found)) <= len(sizes) + sum(weight > 0 for weight in weights)


@pytest.mark.parametrize("rests", [1, 7, 100])
def test_all_get_about_what_their_weights_ask_for(rests: int) -> None:
    weights = {worker(1): 1, worker(2): 2, worker(3): 5}
    got = dict.fromkeys(weights, 0.0)
    for takers in portion([800] * rests, weights):
        for key, weight in takers.items():
            got[key] += 800 * weight / sum(takers.values())

    assert all(abs(got[key] - rests * 100 * weight) <= 800 for key, weight in weights.items()), got


A, B, C = (WorkerKey(agent, 1, 0) for agent in "abc")


def test_weights_are_what_was_wanted_where_they_are_small() -> None:
    assert weigh({A: 4, B: 0, C: 1}) == ((A, 4), (C, 1))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_large_weights_become_small_and_nobody_is_left_out(first: int, second: int, third: int) -> None:
    """The pattern of a division is as long as their sum, and every worker makes it."""
    heirs = weigh({A: first, B: second, C: third})

    assert [heir.key for heir in heirs] == [A, B, C]
    assert sum(heir.weight for heir in heirs) <= FINE + 3


def test_the_slots_of_a_dead_worker_that_left_nothing_go_to_those_who_can_use_them() -> None:
    """Otherwise the load would be smaller than asked for the rest of the run."""
    agents = fleet(ClosedLoop(concurrency=2, iterations=100))
    agents.running()

    agents.report("a", 3 * S, "running", told("died", 50))

    assert agents.state.slots.of(B) == 2


def test_slots_of_a_run_saved_by_an_earlier_release_are_those_its_shares_brought_along() -> None:
    agents = fleet()
    agents.running()
    (save, *_) = agents.report("a", 3 * S, "running", told("died", 2))
    assert isinstance(save, SaveRun)
    before = replace(save.snapshot, slots=None, divisions=save.snapshot.divisions[:1])

    again = RunState.restore(plan(CLOSED), RunSettings(expected=("a", "b")), before, 5 * S)

    assert again.slots.bound == {B: 1}
