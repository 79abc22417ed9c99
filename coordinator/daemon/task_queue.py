"""Tasks one after another, in the order they were submitted; those that an earlier coordinator left come first.

Rules: the queue itself is in the store: a task of this coordinator in `init` waits, one under way is taken up again. A task
that fails is no reason for the next not to run. Ending the queue leaves the task under way as it is: its agents go on by
their plan until their lease is over, and whoever comes next adopts them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from osbench.common.error import InputError, NotFoundError, OsbenchError, StoreError
from osbench.coordinator.daemon.bulletin import Bulletin
from osbench.coordinator.home import Home
from osbench.coordinator.interruption import Interruption, follow_store
from osbench.coordinator.outcome_reader import stored_outcome
from osbench.coordinator.progress import ProgressUpdate, RunControls, TaskOutcome
from osbench.coordinator.store.contract import Store
from osbench.coordinator.task_service import DAEMON, mark_crashed, request_end
from osbench.coordinator.task_state import Task, TaskStatus

log = logging.getLogger(__name__)

#: Statuses in which a coordinator that died may have left a task, and what leads from each to `running`.
WAYS_TO_RUN: dict[TaskStatus, tuple[TaskStatus, ...]] = {
    TaskStatus.INIT: (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING),
    TaskStatus.VALIDATING: (TaskStatus.VALIDATED, TaskStatus.RUNNING),
    TaskStatus.VALIDATED: (TaskStatus.RUNNING,),
    TaskStatus.RUNNING: (),
    TaskStatus.DRAINING: (),
    TaskStatus.ABORTING: (),
}
STORE_RETRY_S = 1.0


class Runnable(RunControls, Protocol):
    """A task on its way: coordinator/task_run, or a test's own."""

    async def execute(self) -> TaskOutcome:
        """Run it to its end; cancelled, it leaves all as it is."""
        ...


MakeRun = Callable[[Task, Callable[[ProgressUpdate], None]], Runnable]


class TaskQueue:
    """The queue of one coordinator.

    Args:
        home: for the locks of tasks. store: where they are. make_run: what runs a task. bulletin: told how it goes.
        max_queued: tasks that may wait.
    """

    def __init__(self, home: Home, store: Store, make_run: MakeRun, bulletin: Bulletin, *, max_queued: int) -> None:
        self.current = ""
        self._home = home
        self._store = store
        self._make_run = make_run
        self._bulletin = bulletin
        self._max_queued = max_queued
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()
        self._interruption: Interruption | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def check_room(self) -> None:
        """See whether one more task may wait.

        Raises:
            InputError: none may.
        """
        if len(self._waiting) >= self._max_queued:
            raise InputError(f"{len(self._waiting)} tasks wait already, no more are taken; try again later")

    def owns(self, task: str) -> bool:
        """Whether a task waits here or is under way."""
        return task == self.current or task in self._waiting

    def position(self, task: str) -> int | None:
        """Place among those that wait, from 1."""
        return self._waiting.index(task) + 1 if task in self._waiting else None

    def add(self, task: str) -> None:
        """A task at the end of the queue."""
        self._waiting.append(task)
        self._wake.set()

    async def adopt(self) -> list[str]:
        """Take up what an earlier coordinator left, in the order of submission."""
        tasks = await asyncio.to_thread(self._store.task_list)
        left = [task for task in tasks if task.options.runner == DAEMON and task.status in WAYS_TO_RUN]
        # Whatever is under way has agents that wait for it.
        left.sort(key=lambda task: task.status is TaskStatus.INIT)
        for task in left:
            self.add(task.id)
        return [task.id for task in left]

    async def end(self, task: str, *, soft: bool) -> str:
        """Ask a task to end.

        Raises:
            NotFoundError: there is none. InputError: it has ended, or is not run by this coordinator.
        """
        if task in self._waiting:
            self._waiting.remove(task)
            await asyncio.to_thread(self._store.task_update_status, task, TaskStatus.ABORTED)
            self._bulletin.post(TaskOutcome(task=task, is_aborted=True))
            self._bulletin.clear(task)
            return f"Task {task} is taken out of the queue; nothing of it was run."
        said = await asyncio.to_thread(request_end, self._store, self._home, task, soft=soft)
        if task == self.current and self._interruption is not None:
            self._interruption.reach(1 if soft else 2)
        return said

    async def resume(self, task: str) -> str:
        """Take up again a task that crashed.

        Raises:
            NotFoundError: there is none. InputError: it has not crashed, or no more tasks may wait.
        """
        found = await asyncio.to_thread(self._store.task_get, task)
        if found.status is not TaskStatus.CRASHED:
            raise InputError(f"task {task} is {found.status}; only one that crashed can be resumed")
        self.check_room()
        await asyncio.to_thread(self._store.task_update_status, task, TaskStatus.RUNNING)
        self.add(task)
        return f"Task {task} goes on where it was left."

    async def work(self) -> None:
        """Run tasks, for ever."""
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            self.current = self._waiting.popleft()
            try:
                await self._run(self.current)
            finally:
                self.current, self._interruption = "", None

    async def _run(self, task_id: str) -> None:
        try:
            with self._home.task_lock(task_id):
                outcome = await self._run_locked(task_id)
        except (NotFoundError, InputError) as error:
            # It was deleted, aborted, or taken by a command with the same home while it waited.
            log.warning("task %s is not run: %s", task_id, error)
            outcome = await self._outcome(task_id)
        except OsbenchError as error:
            log.error("task %s: %s", task_id, error)
            outcome = await self._crashed(task_id, str(error))
        except Exception as error:
            log.exception("task %s ends by an error of ours", task_id)
            outcome = await self._crashed(task_id, " ".join(f"{type(error).__name__}: {error}".split())[:1000])
        log.info("task %s is %s", task_id, _how(outcome))
        self._bulletin.post(outcome)
        self._bulletin.clear(task_id)

    async def _run_locked(self, task_id: str) -> TaskOutcome:
        task = await asyncio.to_thread(self._store.task_get, task_id)
        if task.status not in WAYS_TO_RUN:
            raise InputError(f"task {task_id} is {task.status}")
        for status in WAYS_TO_RUN[task.status]:
            await asyncio.to_thread(self._store.task_update_status, task_id, status)
        run = self._make_run(task, self._bulletin.post)
        self._interruption = Interruption(lambda words: log.info("task %s: %s", task_id, words), lambda: None)
        self._interruption.attach(run)
        following = asyncio.create_task(follow_store(self._store, task_id, self._interruption))
        try:
            log.info("task %s begins%s", task_id, "" if WAYS_TO_RUN[task.status] else " again where it was left")
            return await run.execute()
        finally:
            following.cancel()

    async def _crashed(self, task_id: str, failure: str) -> TaskOutcome:
        while True:
            try:
                await asyncio.to_thread(mark_crashed, self._store, task_id, failure)
                return await self._outcome(task_id)
            except NotFoundError:
                return TaskOutcome(task=task_id, failure=failure)
            except StoreError as error:
                log.error("the store does not answer: %s", error)
                await asyncio.sleep(STORE_RETRY_S)

    async def _outcome(self, task_id: str) -> TaskOutcome:
        try:
            return await asyncio.to_thread(stored_outcome, self._store, task_id)
        except NotFoundError:
            return TaskOutcome(task=task_id, failure=f"task {task_id} was deleted")


def _how(outcome: TaskOutcome) -> str:
    if outcome.failure:
        return f"crashed: {outcome.failure}"
    if outcome.is_aborted or outcome.is_sla_abort:
        return "aborted"
    return "finished"
