"""Volumes as load: their sizes, and what of a volume's status ends the waiting."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from osbench.common.cloud.cinder import Volume, is_available, is_gone
from osbench.common.cloud.contract import CallFailed
from osbench.common.scenarios.arguments import argument_problems
from osbench.common.scenarios.cinder_volumes import create_and_delete_volume
from osbench.common.scenarios.definition import Size, size_of


@pytest.mark.parametrize("size", [1, 500, {"min": 1, "max": 5}, {"min": 2, "max": 2}])
def test_a_size_is_a_number_or_a_range(size: Any) -> None:
    assert argument_problems(create_and_delete_volume, {"size": size}) == ()


@pytest.mark.parametrize(
    "size", [0, -1, 1.5, True, "1", None, [1, 2], {}, {"min": 1}, {"min": 0, "max": 2}, {"min": 3, "max": 2}]
)
def test_what_is_no_size_is_named_with_what_is_allowed(size: Any) -> None:
    (problem,) = argument_problems(create_and_delete_volume, {"size": size})

    assert problem.path == ("size",)
    assert "argument 'size' must be " in problem.message
    assert "min, max" in problem.message


def test_a_range_of_strange_keys_is_no_size() -> None:
    (problem,) = argument_problems(create_and_delete_volume, {"size": {"min": 1, "max": 2, "step": 1}})

    assert "1 <= min <= max" in problem.message


@given(low=integers(1, 50), more=integers(0, 50), seed=integers(0, 1_000))
def test_a_size_out_of_a_range_is_in_it_and_the_same_for_the_same_seed(low: int, more: int, seed: int) -> None:
    asked = Size({"min": low, "max": low + more})

    taken = size_of(asked, Random(seed))

    assert low <= taken <= low + more
    assert taken == size_of(asked, Random(seed))


def test_a_size_that_is_a_number_takes_nothing_from_the_random_numbers() -> None:
    random = Random(1)

    assert size_of(Size(3), random) == 3
    assert random.random() == Random(1).random()


def test_pauses_out_of_order_are_refused() -> None:
    (problem,) = argument_problems(create_and_delete_volume, {"size": 1, "min_sleep": 2, "max_sleep": 1})

    assert "min_sleep 2 is greater than max_sleep 1" in problem.message


def volume(status: str) -> Volume:
    return Volume(id="v", status=status)


@pytest.mark.parametrize(("status", "is_ready"), [("creating", False), ("downloading", False), ("available", True)])
def test_a_volume_is_waited_for_until_it_is_available(status: str, is_ready: bool) -> None:
    assert is_available(volume(status)) is is_ready


def test_a_volume_in_error_is_waited_for_no_longer() -> None:
    with pytest.raises(CallFailed, match="its status is error") as caught:
        is_available(volume("error"))
    assert caught.value.kind == "volume_in_error"


def test_a_volume_is_gone_when_it_is_not_found_and_not_when_its_deletion_failed() -> None:
    assert is_gone(None)
    assert not is_gone(volume("deleting"))
    with pytest.raises(CallFailed, match="error_deleting"):
        is_gone(volume("error_deleting"))
