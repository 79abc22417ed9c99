"""A desk without a daemon: submits into a real store, runs nothing, and says what it was told to. For tests.

Rules: the fake of this package's port; keeps the port's word where it answers at all.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from osbench.common.error import InputError, NotFoundError
from osbench.common.task import TaskSpec
from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.desk import CoordinatorStatus
from osbench.coordinator.outcome_reader import stored_outcome
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.store.contract import Store
from osbench.coordinator.task_file.reader import LoadedTask
from osbench.coordinator.task_service import create_task
from osbench.coordinator.task_state import TASK_AT_REST, Task, TaskOptions, TaskStatus


@dataclass(slots=True, kw_only=True)
class RehearsedDesk:
    """A `Desk` on a store.

    Attributes:
        queue: ids of the tasks that wait. told: what is said of a task that is watched, by its id.
        held: said first of every task; then nothing more comes, as of one that takes long.
        known: agents by name. options: with which each task was submitted.
    """

    store: Store
    queue: list[str] = field(default_factory=list)
    told: dict[str, list[ProgressUpdate | TaskOutcome]] = field(default_factory=dict)
    held: list[ProgressUpdate] = field(default_factory=list)
    known: dict[str, AgentLine] = field(default_factory=dict)
    options: dict[str, TaskOptions] = field(default_factory=dict)

    async def submit(
        self, spec: TaskSpec, source: str, *, deployment: str, tags: Sequence[str], options: TaskOptions
    ) -> Task:
        loaded = LoadedTask(spec=spec, rendered=source)
        task = create_task(self.store, loaded, deployment=deployment, tags=tags, options=options)
        self.queue.append(task.id)
        self.options[task.id] = options
        return task

    async def end(self, task: str, *, soft: bool) -> str:
        found = self.store.task_get(task)
        if task not in self.queue:
            raise InputError(f"task {task} is {found.status}: there is nothing to abort")
        self.queue.remove(task)
        self.store.task_update_status(task, TaskStatus.ABORTED)
        return f"Task {task} is taken out of the queue."

    async def resume(self, task: str) -> str:
        found = self.store.task_get(task)
        if found.status is not TaskStatus.CRASHED:
            raise InputError(f"task {task} is {found.status}; only one that crashed can be resumed")
        self.store.task_update_status(task, TaskStatus.RUNNING)
        self.queue.append(task)
        return f"Task {task} goes on."

    async def updates(self, task: str) -> AsyncIterator[ProgressUpdate | TaskOutcome]:
        found = self.store.task_get(task)
        for shown in self.held:
            yield shown
        if self.held:
            await asyncio.Event().wait()
        for update in self.told.get(task, ()):
            yield update
        if task not in self.told and found.status in TASK_AT_REST and task not in self.queue:
            yield stored_outcome(self.store, task)

    def position(self, task: str) -> int | None:
        return self.queue.index(task) + 1 if task in self.queue else None

    def agents(self) -> Sequence[AgentLine]:
        return [self.known[name] for name in sorted(self.known)]

    def agent(self, name: str) -> AgentLine:
        if name not in self.known:
            raise NotFoundError(f"no agent is called {name!r:.80}")
        return self.known[name]

    async def drain(self, name: str, *, undo: bool) -> str:
        return f"Agent {self.agent(name).name} {'gets work again' if undo else 'gets no new work'}."

    async def status(self) -> CoordinatorStatus:
        return CoordinatorStatus(
            version="0", up_since_ns=1, agents={"connected": len(self.known)}, queued=len(self.queue)
        )
