"""States of tasks and deployments: what is allowed after what."""

import pytest

from osbench.common.error import InputError
from osbench.common.task import TaskSpec
from osbench.coordinator.deployment_state import DEPLOYMENT_TRANSITIONS, Deployment, DeploymentSecrets, DeploymentStatus
from osbench.coordinator.task_state import TASK_AT_REST, TASK_TRANSITIONS, Task, TaskStatus

TASK = Task(
    id="t1", deployment="d1", title="x", status=TaskStatus.INIT, spec=TaskSpec(title="x", subtasks=(), format_version=2)
)
DEPLOYMENT = Deployment(id="d1", name="cloud", engine="existing", status=DeploymentStatus.INIT)

LIVES = [
    "init validating validated running finished",
    "init validating validation_failed",
    "init validating validated running draining aborted",
    "init validating validated running draining aborting aborted",
    "init validating validated running aborting aborted",
    "init validating validated running crashed running finished",
    "init crashed aborted",
]


@pytest.mark.parametrize("life", LIVES)
def test_a_task_lives_one_of_these_lives(life: str) -> None:
    task = TASK
    for word in life.split()[1:]:
        task = task.moved(TaskStatus(word), "")

    assert task.status == life.split()[-1]


def test_a_task_refuses_what_the_table_does_not_allow_and_names_what_it_does() -> None:
    with pytest.raises(InputError, match="task t1 is init and cannot become running; allowed from here: aborted, cra"):
        TASK.moved(TaskStatus.RUNNING)


def test_a_finished_task_has_ended() -> None:
    finished = Task(id="t1", deployment="d1", title="x", status=TaskStatus.FINISHED, spec=TASK.spec)
    with pytest.raises(InputError, match="allowed from here: nothing, it has ended"):
        finished.moved(TaskStatus.RUNNING)


def test_every_state_is_in_the_tables_and_can_be_reached() -> None:
    assert set(TASK_TRANSITIONS) == set(TaskStatus)
    assert set(DEPLOYMENT_TRANSITIONS) == set(DeploymentStatus)
    assert set().union(*TASK_TRANSITIONS.values()) == set(TaskStatus) - {TaskStatus.INIT}
    assert set().union(*DEPLOYMENT_TRANSITIONS.values()) == set(DeploymentStatus) - {DeploymentStatus.INIT}
    assert {status for status, after in TASK_TRANSITIONS.items() if not after} <= TASK_AT_REST


def test_a_deployment_is_made_cleaned_and_made_again() -> None:
    deployment = DEPLOYMENT
    for word in ("deploy->started", "deploy->finished", "cleanup->started", "cleanup->failed", "cleanup->started"):
        deployment = deployment.moved(DeploymentStatus(word))
    again = deployment.moved(DeploymentStatus.CLEANUP_FINISHED).moved(DeploymentStatus.STARTED)

    assert again.moved(DeploymentStatus.FAILED, "no server").failure == "no server"


def test_a_deployment_refuses_what_the_table_does_not_allow() -> None:
    with pytest.raises(InputError, match="cloud is deploy->init and cannot become deploy->finished; allowed from here"):
        DEPLOYMENT.moved(DeploymentStatus.FINISHED)


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(DeploymentSecrets(spec={"password": "hunter2"}, credentials={"password": "hunter2"}))
