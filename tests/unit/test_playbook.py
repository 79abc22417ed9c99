"""The Playbook itself: it must notice what is missing, what is too much, and what is different."""

from dataclasses import dataclass

import pytest
from unit.playbook import Playbook


@dataclass(frozen=True, slots=True)
class Rang:
    times: int


@dataclass(frozen=True, slots=True)
class OpenDoor:
    number: int


@dataclass(frozen=True, slots=True)
class WriteDown:
    text: str


class Porter:
    """Opens as many doors as the bell rang."""

    def __init__(self) -> None:
        self.opened = 0

    def handle(self, event: Rang) -> list[OpenDoor | WriteDown]:
        self.opened += event.times
        return [*(OpenDoor(number) for number in range(event.times)), WriteDown(f"{self.opened} opened")]

    def validate(self) -> None:
        assert self.opened < 10, "too many doors"


def played() -> Playbook:
    return Playbook(Porter(), ignore=(WriteDown,))


def test_a_trace_as_expected_is_true() -> None:
    assert played() >> Rang(2) << OpenDoor(0) << OpenDoor(1) >> Rang(0) << None


def test_an_instruction_that_does_not_come_is_shown_as_missing() -> None:
    with pytest.raises(AssertionError, match=r"- << OpenDoor\(number=1\)"):
        assert played() >> Rang(1) << OpenDoor(0) << OpenDoor(1)


def test_an_instruction_nobody_expected_is_shown_as_too_much() -> None:
    with pytest.raises(AssertionError, match=r"\+ << OpenDoor\(number=0\)"):
        assert played() >> Rang(1) << None


def test_the_order_of_instructions_counts() -> None:
    with pytest.raises(AssertionError, match="not as expected"):
        assert played() >> Rang(2) << OpenDoor(1) << OpenDoor(0)


def test_instructions_belong_to_the_event_before_them() -> None:
    with pytest.raises(AssertionError, match="not as expected"):
        assert played() >> Rang(1) >> Rang(0) << OpenDoor(0)


def test_the_machine_is_validated_after_each_event() -> None:
    with pytest.raises(AssertionError, match="too many doors"):
        assert played() >> Rang(11) << None
