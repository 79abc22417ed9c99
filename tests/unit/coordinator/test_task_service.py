"""What can be done with tasks whose process is gone, and with those that are under way."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osbench.common.clock import ManualClock
from osbench.common.error import InputError
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.task_file.reader import LoadedTask
from osbench.coordinator.task_service import (
    check_resumable,
    create_task,
    delete_task,
    describe_task,
    request_end,
    usable_deployment,
)
from osbench.coordinator.task_state import TaskOptions, TaskStatus

S = TaskStatus
#: The statuses on the way to each one.
WAY = {
    S.INIT: (),
    S.VALIDATING: (S.VALIDATING,),
    S.RUNNING: (S.VALIDATING, S.VALIDATED, S.RUNNING),
    S.DRAINING: (S.VALIDATING, S.VALIDATED, S.RUNNING, S.DRAINING),
    S.ABORTING: (S.VALIDATING, S.VALIDATED, S.RUNNING, S.ABORTING),
    S.CRASHED: (S.VALIDATING, S.VALIDATED, S.RUNNING, S.CRASHED),
    S.FINISHED: (S.VALIDATING, S.VALIDATED, S.RUNNING, S.FINISHED),
}

MakeTask = Callable[[TaskStatus], str]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(str(tmp_path / "home"), {})


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.database, clock=ManualClock(), key_file=home.key_file)
    yield opened
    opened.close()


@pytest.fixture
def task_in(store: Store) -> MakeTask:
    """Makes a task in a status."""
    deployment = store.deployment_create(name="d", engine="existing", spec={})
    for deployed in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
        store.deployment_update_status(deployment.id, deployed)
    workload = Workload(scenario="Dummy.dummy", position=0)
    spec = TaskSpec(title="t", subtasks=(Subtask(title="s", workloads=(workload,)),), format_version=2)

    def make(status: TaskStatus) -> str:
        loaded = LoadedTask(spec=spec, rendered="")
        task = create_task(store, loaded, deployment="d", tags=())
        for step in WAY[status]:
            store.task_update_status(task.id, step)
        return task.id

    return make


ASKED = [
    (S.RUNNING, False, S.ABORTING),
    (S.RUNNING, True, S.DRAINING),
    (S.DRAINING, False, S.ABORTING),
    (S.DRAINING, True, S.DRAINING),
    (S.ABORTING, True, S.ABORTING),
    (S.VALIDATING, False, S.ABORTED),
]


@pytest.mark.parametrize(("now", "soft", "then"), ASKED)
def test_a_task_under_way_is_asked_by_its_status(
    store: Store, home: Home, task_in: MakeTask, now: TaskStatus, soft: bool, then: TaskStatus
) -> None:
    task = task_in(now)
    with home.task_lock(task):
        assert "asked to end" in request_end(store, home, task, soft=soft)
    assert store.task_get(task).status is then


@pytest.mark.parametrize("now", [S.INIT, S.RUNNING, S.ABORTING, S.CRASHED])
def test_a_task_that_nobody_runs_and_that_left_nothing_is_aborted_at_once(
    store: Store, home: Home, task_in: MakeTask, now: TaskStatus
) -> None:
    """Its process was killed: nobody would ever follow a request."""
    task = task_in(now)
    request_end(store, home, task, soft=False)

    assert store.task_get(task).status is S.ABORTED


def test_a_task_that_left_something_on_the_cloud_is_resumed_and_not_forgotten(
    store: Store, home: Home, task_in: MakeTask
) -> None:
    task = task_in(S.RUNNING)
    store.resource_create(kind="server", name="s_osb_1", task=task)
    with pytest.raises(InputError, match="1 resources of it may be left on the cloud; `osbench task resume"):
        request_end(store, home, task, soft=False)

    assert store.task_get(task).status is S.RUNNING
    with pytest.raises(InputError, match="resume it, or delete it with --force"):
        delete_task(store, home, task, force=False)
    delete_task(store, home, task, force=True)
    assert store.task_list() == []


@pytest.mark.parametrize(
    ("now", "is_resumable"), [(S.RUNNING, True), (S.CRASHED, True), (S.INIT, False), (S.FINISHED, False)]
)
def test_only_a_task_that_was_under_way_is_resumed(
    store: Store, home: Home, task_in: MakeTask, now: TaskStatus, is_resumable: bool
) -> None:
    task = task_in(now)
    if is_resumable:
        assert check_resumable(store, home, task).id == task
    else:
        with pytest.raises(InputError, match="only one that was under way can be resumed"):
            check_resumable(store, home, task)


def test_of_a_coordinators_tasks_only_the_clean_up_is_resumed_here(store: Store, home: Home, task_in: MakeTask) -> None:
    """Its load was for agents of the coordinator; going on with it on this machine would be another load."""
    spec = store.task_get(task_in(S.INIT)).spec
    task = store.task_create(
        deployment=store.deployment_get("d").id, spec=spec, options=TaskOptions(runner="daemon")
    ).id
    for step in (*WAY[S.RUNNING], S.CRASHED):
        store.task_update_status(task, step, failure="2 resources are left" if step is S.CRASHED else "")
    with pytest.raises(InputError, match="is its coordinator's"):
        check_resumable(store, home, task)
    run = store.run_create(task=task, workload=spec.workloads[0])
    store.run_update(run.id, phase="done", verdict={"generator": "VALID"})

    assert check_resumable(store, home, task).id == task


def test_a_status_that_is_no_longer_true_says_so(store: Store, home: Home, task_in: MakeTask) -> None:
    task = task_in(S.RUNNING)

    assert describe_task(store, home, task).line.status_words == "running (its process is gone: osbench task resume)"
    with home.task_lock(task):
        assert describe_task(store, home, task).line.status_words == "running"


def test_a_task_runs_on_a_deployment_that_is_there(store: Store) -> None:
    store.deployment_create(name="half", engine="existing", spec={})
    with pytest.raises(InputError, match="deployment half is deploy->init; a task needs one that is deploy->finished"):
        usable_deployment(store, "half")
