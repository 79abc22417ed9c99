"""Whole runs of the cores in one thread: what was lost, doubled, late or killed on the way must not show in the books."""

import pytest

from .simulation import simulate

SEEDS = 200
BLOCK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_every_index_is_run_at_most_once_and_accounted_for_exactly_once(first: int) -> None:
    """Otherwise a run would report load it did not make, or hide load it lost."""
    for seed in range(first, first + BLOCK):
        simulate(seed)


def test_a_seed_always_gives_the_same_run() -> None:
    """Otherwise a failing seed could not be looked into."""
    seed = 11

    once, again = simulate(seed), simulate(seed)

    assert once.history.starts == again.history.starts
    assert list(once.world.trace) == list(again.world.trace)


def test_the_simulated_faults_are_met_and_not_only_planned() -> None:
    """Otherwise the suite above would pass because nothing ever went wrong."""
    missing = {"worker_died", "agent_lost", "agent_back", "agent_restarted", "rest_divided", "batch_rejected"}
    seeds = iter(range(40))
    while missing and (seed := next(seeds, None)) is not None:
        missing.difference_update(simulate(seed).history.kinds)

    assert missing == set()
