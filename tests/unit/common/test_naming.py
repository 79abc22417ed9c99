"""Names that say whose they are."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.naming import base36, context_name, is_ours, scenario_name, task_mark

IDS = st.uuids(version=4).map(str)
INDICES = st.integers(0, 10**12)
TASK = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
RUN = "deadbeef-0000-4000-8000-000000000000"


def test_names_look_as_documented() -> None:
    assert scenario_name(TASK, RUN, 37, 1) == "s_osb_0a1b2c3d4e5f_dead11z1"
    assert context_name(TASK, RUN, "t3u1") == "c_osb_0a1b2c3d4e5f_deadt3u1"


@given(IDS, IDS, INDICES, st.integers(0, 1_000))
def test_every_name_of_an_iteration_is_ours_and_its_tasks(task: str, run: str, iteration: int, ordinal: int) -> None:
    """A clean-up that does not know its own names leaves them on the cloud."""
    name = scenario_name(task, run, iteration, ordinal)

    assert is_ours(name)
    assert is_ours(name, task)
    assert len(name) <= 63


@given(IDS, IDS)
def test_another_tasks_names_are_left_alone(task: str, other: str) -> None:
    if task_mark(task) != task_mark(other):
        assert not is_ours(context_name(task, RUN, "t1"), other)


@given(st.tuples(INDICES, st.integers(0, 99)), st.tuples(INDICES, st.integers(0, 99)))
def test_no_two_resources_of_a_run_have_the_same_name(one: tuple[int, int], other: tuple[int, int]) -> None:
    names_equal = scenario_name(TASK, RUN, *one) == scenario_name(TASK, RUN, *other)
    # `z` is a digit of base 36 too, so the border between index and ordinal could be read twice.
    if "z" not in base36(one[0]) + base36(other[0]) + base36(one[1]) + base36(other[1]):
        assert names_equal == (one == other)


@pytest.mark.parametrize(
    "name",
    ["", "s_osb_", "my-server", "s_osb_0a1b2c3d4e5_dead1", "s_osb_0A1B2C3D4E5F_dead1", "x_s_osb_0a1b2c3d4e5f_dead1z0"],
)
def test_names_of_others_are_not_ours(name: str) -> None:
    assert not is_ours(name)


@given(st.integers(0, 10**15))
def test_base_36_reads_back(number: int) -> None:
    assert int(base36(number), 36) == number


@given(IDS)
def test_the_mark_is_the_beginning_of_the_id(task: str) -> None:
    assert UUID(task).hex.startswith(task_mark(task))
