"""Tasks wait in the order they were submitted, survive the coordinator, and can be ended wherever they are."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from osbench.common.clock import ManualClock
from osbench.common.error import CloudError, InputError
from osbench.common.task import TaskSpec
from osbench.coordinator.daemon.bulletin import Bulletin
from osbench.coordinator.daemon.task_queue import TaskQueue
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.task_state import Task, TaskOptions, TaskStatus


class Played:
    """A task that runs until it is asked to end, or as its test says."""

    def __init__(self, task: Task, store: Store, ends: "asyncio.Event", failure: Exception | None) -> None:
        self.task = task
        self.asked: list[str] = []
        self._store = store
        self._ends = ends
        self._failure = failure

    async def execute(self) -> TaskOutcome:
        await self._ends.wait()
        if self._failure is not None:
            raise self._failure
        status = self._store.task_get(self.task.id).status
        if status is TaskStatus.RUNNING:
            self._store.task_update_status(self.task.id, TaskStatus.FINISHED)
            return TaskOutcome(task=self.task.id)
        self._store.task_update_status(self.task.id, TaskStatus.ABORTED)
        return TaskOutcome(task=self.task.id, is_aborted=True)

    def drain(self) -> None:
        self.asked.append("drain")
        self._ends.set()

    def stop(self) -> None:
        self.asked.append("stop")
        self._ends.set()


class Stage:
    """A queue on a real store and home, with tasks that are played."""

    def __init__(self, home: Home, store: Store) -> None:
        self.home, self.store = home, store
        deployment = store.deployment_create(name="cloud", engine="existing", spec={}).id
        store.deployment_update_status(deployment, DeploymentStatus.STARTED)
        store.deployment_update_status(deployment, DeploymentStatus.FINISHED)
        self.deployment = deployment
        self.played: list[Played] = []
        self.failures: dict[str, Exception] = {}
        self.runs_on = False
        self.fresh()

    def fresh(self) -> None:
        """A new coordinator on the same store."""
        self.bulletin = Bulletin()
        self.queue = TaskQueue(self.home, self.store, self._make, self.bulletin, max_queued=5)

    def _make(self, task: Task, on_progress: Callable[[ProgressUpdate], None]) -> Played:
        ends = asyncio.Event()
        if not self.runs_on:
            ends.set()
        self.played.append(Played(task, self.store, ends, self.failures.get(task.id)))
        return self.played[-1]

    def task(self, *, runner: str = "daemon") -> str:
        spec = TaskSpec(title="t", subtasks=(), format_version=2)
        options = TaskOptions(runner=runner)
        return self.store.task_create(deployment=self.deployment, spec=spec, options=options).id

    def status(self, task: str) -> TaskStatus:
        return self.store.task_get(task).status

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    home = open_home(str(tmp_path / "home"), {})
    with closing(open_store(home.database, clock=ManualClock(), key_file=home.key_file)) as store:
        yield Stage(home, store)


async def working(stage: Stage, until: Callable[[], bool]) -> None:
    work = asyncio.create_task(stage.queue.work())
    await stage.until(until)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def test_tasks_run_one_after_another_in_the_order_they_came(stage: Stage) -> None:
    tasks = [stage.task() for _ in range(3)]
    for task in tasks:
        stage.queue.add(task)
    assert [stage.queue.position(task) for task in tasks] == [1, 2, 3]

    asyncio.run(working(stage, lambda: stage.status(tasks[2]) is TaskStatus.FINISHED))

    assert [played.task.id for played in stage.played] == tasks


def test_a_task_that_fails_is_no_reason_for_the_next_not_to_run(stage: Stage) -> None:
    first, second, third = stage.task(), stage.task(), stage.task()
    stage.failures = {first: CloudError("no cloud"), second: ZeroDivisionError("ours")}
    for task in (first, second, third):
        stage.queue.add(task)

    asyncio.run(working(stage, lambda: stage.status(third) is TaskStatus.FINISHED))

    assert stage.store.task_get(first).failure == "no cloud"
    assert stage.store.task_get(second).failure == "ZeroDivisionError: ours"


def test_a_fresh_coordinator_takes_up_what_was_under_way_and_then_what_waited(stage: Stage) -> None:
    waiting, running, local = stage.task(), stage.task(), stage.task(runner="local")
    stage.runs_on = True
    stage.queue.add(running)
    asyncio.run(working(stage, lambda: bool(stage.played)))
    assert stage.status(running) is TaskStatus.RUNNING
    stage.fresh()
    stage.runs_on = False

    async def again() -> list[str]:
        adopted = await stage.queue.adopt()
        await working(stage, lambda: stage.status(waiting) is TaskStatus.FINISHED)
        return adopted

    assert asyncio.run(again()) == [running, waiting]
    assert stage.status(local) is TaskStatus.INIT


def test_a_task_that_waits_is_ended_by_taking_it_out(stage: Stage) -> None:
    task = stage.task()
    stage.queue.add(task)

    said = asyncio.run(stage.queue.end(task, soft=True))

    assert "nothing of it was run" in said
    assert stage.status(task) is TaskStatus.ABORTED
    assert not stage.queue.owns(task)


@pytest.mark.parametrize(("soft", "asked"), [(True, ["drain"]), (False, ["stop"])])
def test_a_task_under_way_is_asked_to_end(stage: Stage, soft: bool, asked: list[str]) -> None:
    task = stage.task()
    stage.runs_on = True
    stage.queue.add(task)

    async def end() -> None:
        work = asyncio.create_task(stage.queue.work())
        await stage.until(lambda: bool(stage.played))
        await stage.queue.end(task, soft=soft)
        await stage.until(lambda: stage.status(task) is TaskStatus.ABORTED)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(end())

    assert stage.played[0].asked == asked


def test_a_task_that_has_ended_cannot_be_ended(stage: Stage) -> None:
    task = stage.task()
    stage.queue.add(task)
    asyncio.run(working(stage, lambda: stage.status(task) is TaskStatus.FINISHED))

    with pytest.raises(InputError, match="nothing to abort"):
        asyncio.run(stage.queue.end(task, soft=False))


def test_a_task_that_crashed_can_be_taken_up_again(stage: Stage) -> None:
    task = stage.task()
    stage.failures = {task: CloudError("no cloud")}
    stage.queue.add(task)
    asyncio.run(working(stage, lambda: stage.status(task) is TaskStatus.CRASHED))
    stage.failures.clear()

    async def again() -> str:
        said = await stage.queue.resume(task)
        await working(stage, lambda: stage.status(task) is TaskStatus.FINISHED)
        return said

    assert asyncio.run(again()) == f"Task {task} goes on where it was left."
    with pytest.raises(InputError, match="only one that crashed can be resumed"):
        asyncio.run(stage.queue.resume(task))


def test_a_task_deleted_while_it_waited_is_passed_over(stage: Stage) -> None:
    gone, next_one = stage.task(), stage.task()
    stage.queue.add(gone)
    stage.queue.add(next_one)
    stage.store.task_delete(gone)

    asyncio.run(working(stage, lambda: stage.status(next_one) is TaskStatus.FINISHED))

    assert [played.task.id for played in stage.played] == [next_one]
