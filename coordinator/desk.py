"""The port of the API to the daemon: what can be asked of a coordinator that runs, beyond what its store tells.

Contract, for every adapter: all verbs are called on the daemon's own loop and none blocks it; what needs the store goes
through threads. Values are frozen. Errors are those of common/error.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from osbench.common.task import TaskSpec
from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.task_state import Task, TaskOptions


class ProcessLine(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the coordinator: what it is for, and what it uses now."""

    name: str
    pid: int
    cpu_permille: int = 0
    memory_bytes: int = 0


class CoordinatorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the coordinator is.

    Attributes:
        version: release. up_since_ns: wall time of its start, ns since the Unix epoch.
        agents: how many are in each standing, by the words of `Standing`; none that is 0 need be there.
        task: id of the one under way, empty for none. queued: tasks that wait.
        processes: of the coordinator on its host.
        store_url: without its password.
        trouble: what is wrong right now, one line each; empty if all is well.
    """

    version: str
    up_since_ns: int
    agents: dict[str, int] = {}
    task: str = ""
    queued: int = 0
    processes: tuple[ProcessLine, ...] = ()
    store_url: str = ""
    trouble: tuple[str, ...] = ()


class Desk(Protocol):
    """A coordinator that runs."""

    async def submit(
        self, spec: TaskSpec, source: str, *, deployment: str, tags: Sequence[str], options: TaskOptions
    ) -> Task:
        """A new task at the end of the queue.

        Args:
            source: the rendered text it was read from. deployment: id or name.

        Raises:
            NotFoundError: no such deployment. InputError: it cannot run a task, or the queue is full.
        """
        ...

    async def end(self, task: str, *, soft: bool) -> str:
        """Ask a task to end, queued or under way; soft lets what is in flight end. Returns what will happen, in words.

        Raises:
            NotFoundError: there is none. InputError: it has ended.
        """
        ...

    async def resume(self, task: str) -> str:
        """Put a task that crashed into the queue again: it goes on where it was, and cleans up. Returns it in words.

        Raises:
            NotFoundError: there is none. InputError: it has not crashed, or the queue is full.
        """
        ...

    def updates(self, task: str) -> AsyncIterator[ProgressUpdate | TaskOutcome]:
        """How a task goes: the newest update first, then each as it comes; its outcome is the last.

        A task at rest gives its outcome at once; one that waits in the queue gives nothing until it starts. A slow
        reader misses updates in between and never the outcome. Closing the iterator ends the watching, not the task.

        Raises:
            NotFoundError: there is none; from the first step.
        """
        ...

    def position(self, task: str) -> int | None:
        """Place in the queue, from 1; None if it does not wait there."""
        ...

    def agents(self) -> Sequence[AgentLine]:
        """All that were ever invited or seen and not forgotten, by name."""
        ...

    def agent(self, name: str) -> AgentLine:
        """One of them.

        Raises:
            NotFoundError: there is none of this name.
        """
        ...

    async def drain(self, name: str, *, undo: bool) -> str:
        """Give an agent no new work, and move what it has not started to others; or take it in again.

        Returns:
            What will happen, in words.

        Raises:
            NotFoundError: there is none of this name.
        """
        ...

    async def status(self) -> CoordinatorStatus:
        """How the coordinator is now."""
        ...
