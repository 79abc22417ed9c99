"""What should lie where: whoever has least to go gets most."""

from hypothesis import given
from hypothesis import strategies as st

from osbench.coordinator.balance import Load, lacking, spare
from osbench.coordinator.run_snapshot import WorkerKey

A, B, C = (WorkerKey(agent, 1, 0) for agent in "abc")
loads = st.dictionaries(
    st.sampled_from((A, B, C)), st.builds(Load, st.integers(0, 20), st.integers(0, 1_000)), min_size=1
).filter(lambda found: any(load.slots for load in found.values()))


def test_what_is_left_over_goes_to_who_is_below_its_due() -> None:
    found = lacking({A: Load(2, 100), B: Load(2, 40), C: Load(0, 0)}, 60)

    assert found == {A: 0, B: 240}


def test_without_an_end_slots_alone_count() -> None:
    assert lacking({A: Load(3, 7), B: Load(1, 0)}, 0) == {A: 3, B: 1}


def test_who_has_more_than_its_due_can_spare_it() -> None:
    assert spare({A: Load(2, 90), B: Load(2, 30)}, 2) == {A: 50, B: 0}


@given(loads, st.integers(0, 1_000))
def test_somebody_with_a_slot_takes_what_is_left_over(found: dict[WorkerKey, Load], more: int) -> None:
    """Otherwise it would be nobody's, with workers there that could start it."""
    weights = lacking(found, more)

    assert any(weights.values())
    assert all(found[key].slots for key, weight in weights.items() if weight)


@given(loads, st.integers(1, 40))
def test_nobody_spares_more_than_it_has_and_together_no_more_than_the_others_due(
    found: dict[WorkerKey, Load], others: int
) -> None:
    spared = spare(found, others)

    assert all(0 <= count <= found[key].left for key, count in spared.items())
