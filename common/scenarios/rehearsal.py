"""An iteration without a worker: the second adapter of the port `Iteration`, for trying scenarios and for tests.

Rules: it keeps what was recorded in plain lists and asks nothing of the recorder. One rehearsal is one iteration.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from osbench.common import naming
from osbench.common.clock import Clock, SystemClock
from osbench.common.job import Job, UserAccess
from osbench.common.outcome import Outcome
from osbench.common.plan import random_of, user_of


@dataclass(slots=True, kw_only=True)
class RehearsedAction:
    """An atomic action as it went; stamps are nanoseconds of the rehearsal's clock, -1 where there is none yet."""

    name: str
    parent: int
    started_ns: int
    ended_ns: int = -1
    not_ready_ns: int = -1
    succeeded: bool = False

    def waited(self, not_ready_ns: int) -> None:
        self.not_ready_ns = not_ready_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedCall:
    """A call as it was recorded; `action` is the place of its action in the list, -1 outside any."""

    name: str
    action: int
    outcome: Outcome
    status: int
    error: str
    attempt: int
    flags: int
    started_ns: int
    ended_ns: int
    request_id: str | None


@dataclass(slots=True, kw_only=True)
class RehearsedCalls:
    """A `CallSink` that keeps calls in a list; `index` is the iteration's."""

    index: int = 0
    calls: list[RehearsedCall] = field(default_factory=list)
    open_actions: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=lambda: [""])
    sent: int = 0

    def name_id(self, name: str) -> int:
        return self._intern(name)

    def error_id(self, kind: str, message: str) -> int:
        return self._intern(f"{kind}: {message}")

    def next_call(self) -> int:
        self.sent += 1
        return self.sent - 1

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
        self.calls.append(
            RehearsedCall(
                name=self.texts[name],
                action=self.open_actions[-1] if self.open_actions else -1,
                outcome=outcome,
                status=status,
                error=self.texts[error],
                attempt=attempt,
                flags=flags,
                started_ns=started_ns,
                ended_ns=ended_ns,
                request_id=request_id,
            )
        )

    def _intern(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)


class Rehearsal:
    """One iteration of a job, alone.

    Args:
        job: plan and sign-ins.
        index: global index of the iteration.
        client: makes the client of a service for a user and a sink; called once a service and user.
            `CloudClients.client` is one.
        clock: for the stamps.
    """

    def __init__(
        self,
        job: Job,
        index: int = 0,
        client: Callable[[str, UserAccess | None, RehearsedCalls], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.job = job
        self.index = index
        self.user: UserAccess | None = job.users[user_of(job.plan, index, len(job.users))] if job.users else None
        self.random: Random = random_of(job.plan.seed, index, "scenario")
        self.sink = RehearsedCalls(index=index)
        self.actions: list[RehearsedAction] = []
        self.idle_s: list[float] = []
        self.names: list[str] = []
        self._make_client = client
        self._clients: dict[tuple[str, bool], object] = {}
        self._clock = clock or SystemClock()

    @contextmanager
    def action(self, name: str) -> Iterator[RehearsedAction]:
        open_actions = self.sink.open_actions
        parent = open_actions[-1] if open_actions else -1
        action = RehearsedAction(name=name, parent=parent, started_ns=self._clock.now_ns())
        open_actions.append(len(self.actions))
        self.actions.append(action)
        try:
            yield action
            action.succeeded = True
        finally:
            action.ended_ns = self._clock.now_ns()
            open_actions.pop()

    def now_ns(self) -> int:
        """The current time on the rehearsal's clock."""
        return self._clock.now_ns()

    async def idle(self, seconds: float) -> None:
        """Kept, not slept: a rehearsal is for what is done, not for how long it takes."""
        self.idle_s.append(seconds)

    def name(self) -> str:
        plan = self.job.plan
        self.names.append(naming.scenario_name(plan.task, plan.run, self.index, len(self.names)))
        return self.names[-1]

    def client(self, service: str) -> object:
        return self._client_of(service, self.user, is_admin=False)

    def admin_client(self, service: str) -> object:
        assert self.job.admin is not None, "this rehearsal has no administrator"
        return self._client_of(service, self.job.admin, is_admin=True)

    def _client_of(self, service: str, user: UserAccess | None, *, is_admin: bool) -> object:
        known = (service, is_admin)
        if known not in self._clients:
            assert self._make_client is not None, f"this rehearsal has no client for {service}"
            self._clients[known] = self._make_client(service, user, self.sink)
        return self._clients[known]

    def nested_names(self) -> list[str]:
        """Names of the actions in order of start, each after those around it: `foo/bar`."""
        paths: list[str] = []
        for action in self.actions:
            paths.append(action.name if action.parent < 0 else f"{paths[action.parent]}/{action.name}")
        return paths
