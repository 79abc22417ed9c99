"""Names that say whose they are."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.naming import DIGITS, context_name, is_ours, scenario_name, spelled, task_mark

IDS = st.uuids(version=4).map(str)
INDICES = st.integers(0, 10**12)
TASK = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
RUN = "deadbeef-0000-4000-8000-000000000000"


def read(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * len(DIGITS) + DIGITS.index(digit)
    return value


def test_names_look_as_documented() -> None:
    assert scenario_name(TASK, RUN, 37, 1) == "s_osb_0a1b2c3d4e5f_dead13z1"
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


@given(IDS, IDS, INDICES, INDICES)
def test_no_two_resources_of_a_run_have_the_same_name(task: str, run: str, iteration: int, ordinal: int) -> None:
    """What was put in can be read back off a name, so no two make the same one."""
    item = scenario_name(task, run, iteration, ordinal).removeprefix(context_name(task, run, "").replace("c", "s", 1))

    assert [read(digits) for digits in item.split("z")] == [iteration, ordinal]


def test_the_numbers_of_small_runs_make_no_name_twice() -> None:
    """With a digit for a separator (1, 1295) and (71, 35) had one name."""
    numbers = [*range(80), *range(1_200, 1_300)]
    names = {scenario_name(TASK, RUN, iteration, ordinal) for iteration in numbers for ordinal in numbers}

    assert len(names) == len(numbers) ** 2


@pytest.mark.parametrize(
    "name",
    ["", "s_osb_", "my-server", "s_osb_0a1b2c3d4e5_dead1", "s_osb_0A1B2C3D4E5F_dead1", "x_s_osb_0a1b2c3d4e5f_dead1z0"],
)
def test_names_of_others_are_not_ours(name: str) -> None:
    assert not is_ours(name)


@given(st.integers(0, 10**15))
def test_a_spelled_number_reads_back(number: int) -> None:
    assert read(spelled(number)) == number


def test_separators_are_no_digits() -> None:
    assert not {"z", "u"} & set(DIGITS)


@given(IDS)
def test_the_mark_is_the_beginning_of_the_id(task: str) -> None:
    assert UUID(task).hex.startswith(task_mark(task))
