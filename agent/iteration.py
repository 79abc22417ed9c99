"""Stage 4/10 · One iteration: what a scenario is given, and what becomes of it.

Rules: whatever the scenario meets is recorded as an outcome and never stops the load. Stamps come from the worker's
clock, read once at each edge. An error's text is kept in bounds and carries no secret: it is built of the error's type
and the message the service gave.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import Any, Protocol

from osbench.agent.recorder import Recorder
from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import InputError
from osbench.common.job import Job, UserAccess
from osbench.common.naming import scenario_name
from osbench.common.outcome import Outcome
from osbench.common.plan import random_of, user_of
from osbench.common.record import MAX_ACTIONS, MAX_DEPTH

Scenario = Callable[..., Awaitable[None]]


class ServiceClients(Protocol):
    """Makes the thin client of a service for one iteration."""

    def client(self, service: str, user: UserAccess | None, iteration: "IterationRun") -> object:
        """The client, bound to a user's session and to the iteration's sink.

        Raises:
            InputError: no such service.
        """
        ...

    def outcome_of(self, error: BaseException) -> tuple[Outcome, str, str]:
        """What an exception means: outcome, kind of the error, its message without secrets."""
        ...


class ActionTimer:
    """An atomic action under way; the context manager that a scenario's `it.action(name)` returns."""

    __slots__ = ("_name", "_not_ready_ns", "_ordinal", "_outer", "_run", "_started_ns")

    def __init__(self, run: "IterationRun", name: int) -> None:
        self._run = run
        self._name = name
        self._not_ready_ns = -1

    def __enter__(self) -> "ActionTimer":
        run = self._run
        if run.actions_started >= MAX_ACTIONS or run.action_depth >= MAX_DEPTH:
            raise InputError(
                f"the scenario began action {run.actions_started + 1} of an iteration, {run.action_depth + 1} deep; "
                f"at most {MAX_ACTIONS} actions, {MAX_DEPTH} deep, can be told apart: time larger steps"
            )
        self._outer = run.action_ordinal
        self._ordinal = run.actions_started
        run.action_ordinal = self._ordinal
        run.action_depth += 1
        run.actions_started += 1
        self._started_ns = run.now_ns()
        return self

    def waited(self, not_ready_ns: int) -> None:
        """The state waited for was not there yet at `not_ready_ns`."""
        self._not_ready_ns = not_ready_ns

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run = self._run
        ended_ns = run.now_ns()
        outcome = Outcome.OK if error is None else run.outcome_of(error)[0]
        run.action_ordinal = self._outer
        run.action_depth -= 1
        run.actions.append(
            (
                run.index,
                self._ordinal,
                self._outer,
                self._name,
                self._started_ns,
                ended_ns,
                self._not_ready_ns,
                outcome,
            )
        )


class IterationRun:
    """One iteration: implements the scenario's `Iteration` and the clients' `CallSink`."""

    __slots__ = (
        "_calls",
        "_clients",
        "_made",
        "_made_for_admin",
        "_names",
        "_random",
        "action_depth",
        "action_ordinal",
        "actions",
        "actions_started",
        "clock",
        "idle_ns",
        "index",
        "job",
        "now_ns",
        "recorder",
        "user",
    )

    def __init__(self, index: int, job: Job, recorder: Recorder, clock: Clock, clients: ServiceClients) -> None:
        self.index = index
        self.job = job
        self.recorder = recorder
        self.clock = clock
        self.now_ns = clock.now_ns
        self.user = job.users[user_of(job.plan, index, len(job.users))] if job.users else None
        #: Rows of the actions that have ended; they go to the recorder together, when the iteration ends.
        self.actions: list[tuple[int, ...]] = []
        self.action_depth = 0
        self.action_ordinal = -1
        self.actions_started = 0
        self.idle_ns = 0
        self._calls = 0
        self._names = 0
        self._clients = clients
        self._made: dict[str, object] = {}
        self._made_for_admin: dict[str, object] = {}
        self._random: Random | None = None

    @property
    def random(self) -> Random:
        """This iteration's own random numbers, of (seed, index)."""
        if self._random is None:
            self._random = random_of(self.job.plan.seed, self.index, "scenario")
        return self._random

    @property
    def sink(self) -> "IterationRun":
        return self

    def action(self, name: str) -> ActionTimer:
        """Time an atomic action; `with it.action("nova.boot_server"):`."""
        return ActionTimer(self, self.recorder.name_id(name))

    async def idle(self, seconds: float) -> None:
        """Sleep as part of the scenario, counted as idle time."""
        started_ns = self.now_ns()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.idle_ns += self.now_ns() - started_ns

    def name(self) -> str:
        """A name for the next resource this iteration makes."""
        self._names += 1
        plan = self.job.plan
        return scenario_name(plan.task, plan.run, self.index, self._names - 1)

    def client(self, service: str) -> Any:
        """The thin client of a service, made once per iteration."""
        client = self._made.get(service)
        if client is None:
            client = self._made[service] = self._clients.client(service, self.user, self)
        return client

    def admin_client(self, service: str) -> Any:
        """The same for the administrator."""
        client = self._made_for_admin.get(service)
        if client is None:
            assert self.job.admin is not None, "a scenario that needs the administrator is defined so"
            client = self._made_for_admin[service] = self._clients.client(service, self.job.admin, self)
        return client

    def outcome_of(self, error: BaseException) -> tuple[Outcome, str, str]:
        """What an exception that ended an action or the iteration means."""
        if isinstance(error, TimeoutError) and self.job.plan.timeout_ns:
            return Outcome.UNKNOWN, "TimeoutError", f"iteration exceeded {self.job.plan.timeout_ns / NS_PER_S:g} s"
        if isinstance(error, asyncio.CancelledError):
            return Outcome.UNKNOWN, "Aborted", "ended before its end because the run was stopped"
        return self._clients.outcome_of(error)

    # The sink of the service clients.

    def name_id(self, name: str) -> int:
        return self.recorder.name_id(name)

    def error_id(self, kind: str, message: str) -> int:
        return self.recorder.error_id(kind, message)

    def next_call(self) -> int:
        self._calls += 1
        return self._calls - 1

    def add_call(
        self,
        name: int,
        started_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int,
        error: int,
        attempt: int,
        flags: int,
        phases_us: tuple[int, int, int, int, int],
        sent_bytes: int,
        received_bytes: int,
        request_id: str | None,
    ) -> None:
        self.recorder.add_call(
            (
                self.index,
                self.action_ordinal,
                name,
                started_ns,
                ended_ns,
                outcome,
                status,
                error,
                attempt,
                flags,
                *phases_us,
                sent_bytes,
                received_bytes,
            ),
            request_id,
        )


async def run_iteration(run: IterationRun, scenario: Scenario, arguments: dict[str, Any], scheduled_ns: int) -> Outcome:
    """Execute one iteration and record it.

    Args:
        run: the iteration. scenario: its function. arguments: by name.
        scheduled_ns: its intended start, -1 in closed loop.

    Raises:
        asyncio.CancelledError: the worker stops it; it is recorded before.
    """
    timeout_ns = run.job.plan.timeout_ns
    started_ns = run.now_ns()
    outcome, error_number = Outcome.OK, 0
    try:
        if timeout_ns:
            async with asyncio.timeout(timeout_ns / NS_PER_S):
                await scenario(run, **arguments)
        else:
            await scenario(run, **arguments)
    except asyncio.CancelledError as error:
        outcome, kind, message = run.outcome_of(error)
        error_number = run.error_id(kind, message)
        raise
    except Exception as error:  # noqa: BLE001 - what a scenario meets, whatever it is, is data
        outcome, kind, message = run.outcome_of(error)
        error_number = run.error_id(kind, message)
    finally:
        ended_ns = run.now_ns()
        row = (run.index, scheduled_ns, started_ns, ended_ns, run.idle_ns, outcome, error_number)
        run.recorder.add_iteration(row, run.actions)
    return outcome
