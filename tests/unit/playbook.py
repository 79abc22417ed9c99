"""A state machine's trace as a test: events go in (`>>`), instructions come out (`<<`), in this order and no others.

    assert (
        Playbook(machine)
        >> AgentLost(now_ns=5, agent="a")
        << None
        >> Ticked(now_ns=9)
        << SendOrders(agent="b", ...)
    )

`<< None` says that nothing comes out. Instructions after the last `<<` of an event that the trace does not name are a
mismatch, like any other; it raises with both traces as a diff. Kinds that a test does not care for are left out of
both: `Playbook(machine, ignore=(SaveRun,))`.
"""

from collections.abc import Sequence
from difflib import ndiff
from typing import Any, Protocol, Self


class Machine(Protocol):
    """What can be played: a state machine with one mutator."""

    def handle(self, event: Any) -> Sequence[Any]:
        """Take an event in, and say what is to be done."""
        ...

    def validate(self) -> None:
        """Check all invariants."""
        ...


class Playbook:
    """The events a machine is told and the instructions that are expected of it.

    Args:
        machine: it. ignore: kinds of instructions that are left out.
    """

    def __init__(self, machine: Machine, ignore: tuple[type, ...] = ()) -> None:
        self.machine = machine
        self.ignore = ignore
        self._expected: list[str] = []
        self._actual: list[str] = []
        self._is_open = False

    def __rshift__(self, event: Any) -> Self:
        """Tell the machine something."""
        line = f">> {event!r}"
        self._expected.append(line)
        self._actual.append(line)
        for said in self.machine.handle(event):
            if not isinstance(said, self.ignore):
                self._actual.append(f"<< {said!r}")
        self.machine.validate()
        self._is_open = True
        return self

    def __lshift__(self, instruction: Any) -> Self:
        """Expect an instruction; None: nothing at all."""
        assert self._is_open, "expectations stand behind the event they belong to"
        if instruction is not None:
            self._expected.append(f"<< {instruction!r}")
        return self

    def __bool__(self) -> bool:
        """Whether all came as expected.

        Raises:
            AssertionError: it did not; the message shows both traces as a diff.
        """
        if self._expected == self._actual:
            return True
        raise AssertionError("the trace is not as expected:\n" + "\n".join(ndiff(self._expected, self._actual)))
