"""What a scenario is given: one iteration's view of the cloud and of the recorder."""

from contextlib import AbstractContextManager
from random import Random
from typing import Protocol

from osbench.common.job import Job, UserAccess
from osbench.common.record import CallSink


class Action(Protocol):
    """An atomic action under way."""

    def waited(self, not_ready_ns: int) -> None:
        """The state waited for was not there yet at `not_ready_ns`: it came between then and the end of the action."""
        ...


class Iteration(Protocol):
    """One execution of a scenario, on a worker.

    A scenario is an async function `(it: Iteration, *, typed arguments)`. Whatever it chooses at random it draws from
    `random`, and whatever it makes it names with `name()`: both are pure functions of (seed, index).

    Attributes:
        index: global index of the iteration.
        job: plan and sign-ins. user: the one this iteration acts as (None if no context made any).
        random: this iteration's own random numbers.
        sink: where its calls are recorded (the service clients use it).
    """

    index: int
    job: Job
    user: UserAccess | None
    random: Random
    sink: CallSink

    def now_ns(self) -> int:
        """The time on the worker's clock, integer nanoseconds."""
        ...

    def action(self, name: str) -> AbstractContextManager[Action]:
        """Time an atomic action; recorded whether it ends well or not. Actions may nest."""
        ...

    async def idle(self, seconds: float) -> None:
        """Sleep as part of the scenario: counted as idle time, not as duration."""
        ...

    def name(self) -> str:
        """A name for the next resource this iteration makes."""
        ...

    def client(self, service: str) -> object:
        """The thin client of a service, bound to this iteration's user and sink: `nova`, `keystone`, `glance`, …"""
        ...

    def admin_client(self, service: str) -> object:
        """The same for the deployment's administrator; for scenarios that are defined with `needs_admin`."""
        ...
