"""A task that another process runs, as the store tells of it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from osbench.common.clock import ManualClock
from osbench.common.error import InputError
from osbench.common.plan import ClosedLoop, Plan
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.progress import UNKNOWN, Phase, ProgressUpdate, TaskOutcome
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.stored_progress import stored_progress, watch_stored
from osbench.coordinator.task_file.reader import LoadedTask
from osbench.coordinator.task_service import create_task
from osbench.coordinator.task_state import TaskStatus

S = TaskStatus
WORKLOADS = tuple(Workload(scenario="Dummy.dummy", position=position) for position in range(2))
SPEC = TaskSpec(title="t", subtasks=(Subtask(title="s", workloads=WORKLOADS),), format_version=2)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(str(tmp_path / "home"), {})


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with closing(open_store(home.database, clock=ManualClock(), key_file=home.key_file)) as opened:
        yield opened


@pytest.fixture
def task(store: Store) -> str:
    """A task under way."""
    deployment = store.deployment_create(name="d", engine="existing", spec={})
    for deployed in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
        store.deployment_update_status(deployment.id, deployed)
    made = create_task(store, LoadedTask(spec=SPEC, rendered=""), deployment="d", tags=())
    for status in (S.VALIDATING, S.VALIDATED, S.RUNNING):
        store.task_update_status(made.id, status)
    return made.id


def test_it_is_watched_until_its_process_lets_go_of_it(store: Store, home: Home, task: str) -> None:
    slept: list[float] = []
    with home.task_lock(task):
        steps = watch_stored(store, home, task, sleep=slept.append)
        first, second = next(steps), next(steps)
        store.task_update_status(task, S.FINISHED)

    assert isinstance(first, ProgressUpdate)
    assert first == second
    assert slept == [1.0]
    assert list(steps) == [TaskOutcome(task=task)]


def test_a_task_whose_process_is_gone_is_not_watched_in_vain(store: Store, home: Home, task: str) -> None:
    with pytest.raises(InputError, match="its process is gone: `osbench task resume"):
        next(watch_stored(store, home, task, sleep=lambda _: None))


def test_a_task_that_waits_for_nobody_is_not_watched_in_vain(store: Store, home: Home, task: str) -> None:
    waiting = create_task(store, LoadedTask(spec=SPEC, rendered=""), deployment="d", tags=()).id
    with pytest.raises(InputError, match="is init: nobody runs it"):
        next(watch_stored(store, home, waiting, sleep=lambda _: None))


ENDS = [
    ((S.FINISHED,), "", 0),
    ((S.DRAINING, S.ABORTED), "", 4),
    ((S.DRAINING, S.ABORTED), "SLA failed: 3 of 9", 0),
    ((S.CRASHED,), "2 resources are left on the cloud", 1),
]


@pytest.mark.parametrize(("statuses", "failure", "code"), ENDS)
def test_the_outcome_is_the_one_that_its_process_had(
    store: Store, home: Home, task: str, statuses: tuple[TaskStatus, ...], failure: str, code: int
) -> None:
    for status in statuses:
        store.task_update_status(task, status, failure=failure if status is statuses[-1] else "")
    (outcome,) = watch_stored(store, home, task, sleep=lambda _: None)

    assert isinstance(outcome, TaskOutcome)
    assert outcome.exit_code(require_valid=False) == code
    assert outcome.is_sla_abort == failure.startswith("SLA")


def test_the_phase_is_that_of_the_newest_run(store: Store, task: str) -> None:
    def phase() -> tuple[int, Phase]:
        update = stored_progress(store, task)
        return update.workload, update.phase

    assert phase() == (1, Phase.STARTING)
    first = store.run_create(task=task, workload=WORKLOADS[0])
    assert phase() == (1, Phase.PREPARING)
    schedule = ClosedLoop(concurrency=2, iterations=7)
    plan = Plan(run=first.id, task=task, scenario="Dummy.dummy", arguments={}, schedule=schedule, seed=1)
    store.run_update(first.id, plan=plan, phase="running")
    update = stored_progress(store, task)
    assert (update.phase, update.planned, update.ended, update.in_flight) == (Phase.RUNNING, 7, 0, UNKNOWN)
    store.run_create(task=task, workload=WORKLOADS[1])
    assert phase() == (2, Phase.PREPARING)
