"""What every service of the command line keeps: on this machine's store, and over the coordinator's API."""

from collections.abc import Callable

import pytest
from service_bench import Bench

from osbench.common.error import CloudError, InputError, NotFoundError
from osbench.common.plan import ClosedLoop, Plan
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.progress import TaskOutcome
from osbench.coordinator.result_reader import read_task
from osbench.coordinator.task_state import TaskOptions, TaskStatus

NOWHERE = "00000000-0000-4000-8000-000000000000"


def create(bench: Bench, **more: object) -> str:
    options = more.pop("options", TaskOptions())
    assert isinstance(options, TaskOptions)
    return bench.service.task_create(bench.loaded(), deployment="d1", tags=("nightly",), options=options).id


def test_a_task_is_created_and_found_again(deployed: Bench) -> None:
    task = create(deployed)
    (line,) = deployed.service.task_list()

    assert (line.id, line.title, line.deployment, line.status) == (task, "A task", "d1", TaskStatus.INIT)
    assert (line.tags, line.is_run, line.load_ns, line.ended_ns) == (("nightly",), False, 0, None)
    assert deployed.service.task_show(task).line == line


def test_what_was_rendered_is_what_is_kept(deployed: Bench) -> None:
    """Over the API the text is read a second time; the same must come of it."""
    loaded = deployed.loaded("Dummy.dummy: [{args: {sleep: 2}}, {args: {sleep: 3}}]", title="a format 1 file")
    task = deployed.service.task_create(loaded, deployment="d1", tags=(), options=TaskOptions())
    kept = deployed.store.task_get(task.id)

    assert (kept.spec, kept.source) == (loaded.spec, loaded.rendered)


def test_options_are_kept(deployed: Bench) -> None:
    asked = TaskOptions(agents=3, min_agents=2, labels=("rack-1", "fast"), abort_on_sla_failure=True)
    kept = deployed.store.task_get(create(deployed, options=asked)).options

    assert (kept.agents, kept.min_agents, kept.labels, kept.abort_on_sla_failure) == (3, 2, ("rack-1", "fast"), True)


def test_tasks_are_listed_by_what_is_asked(deployed: Bench) -> None:
    first, second = create(deployed), create(deployed)
    deployed.finish(second)

    def ids(**more: object) -> list[str]:
        return [line.id for line in deployed.service.task_list(**more)]  # type: ignore[arg-type]

    assert ids() == [first, second]
    assert ids(status=TaskStatus.FINISHED, tag="nightly", deployment="d1") == [second]
    assert ids(tag="weekly") == []


def test_runs_and_resources_are_shown(deployed: Bench) -> None:
    task = create(deployed)
    workload = deployed.loaded().spec.workloads[0]
    run = deployed.store.run_create(task=task, workload=workload)
    for name in ("a", "b"):
        deployed.store.resource_create(kind="server", name=name, task=task)
    detail = deployed.service.task_show(task)

    assert [(one.run, one.ordinal, one.scenario, one.phase) for one in detail.runs] == [
        (run.id, 0, "Dummy.dummy", "init")
    ]
    assert detail.resources == {"server": 2}


def test_results_are_those_of_the_store(deployed: Bench) -> None:
    task = create(deployed)
    run = deployed.store.run_create(task=task, workload=deployed.loaded().spec.workloads[0])
    schedule = ClosedLoop(concurrency=1, iterations=2)
    plan = Plan(run=run.id, task=task, scenario="Dummy.dummy", arguments={}, schedule=schedule, seed=1)
    deployed.store.run_update(run.id, plan=plan)

    assert deployed.service.task_result(task) == read_task(deployed.store, task)


def test_a_task_at_rest_is_watched_to_its_outcome(deployed: Bench) -> None:
    task = create(deployed)
    deployed.finish(task)

    assert list(deployed.service.task_watch(task)) == [TaskOutcome(task=task)]


def test_a_crash_is_an_outcome_too(deployed: Bench) -> None:
    task = create(deployed)
    deployed.desk.queue.clear()
    deployed.store.task_update_status(task, TaskStatus.CRASHED, failure="the database went away")

    (outcome,) = deployed.service.task_watch(task)
    assert isinstance(outcome, TaskOutcome)
    assert outcome.exit_code(require_valid=False) == 1


def test_a_task_that_nobody_runs_yet_is_ended_and_deleted(deployed: Bench) -> None:
    task = create(deployed)

    assert task in deployed.service.task_end(task, soft=False)
    assert deployed.store.task_get(task).status is TaskStatus.ABORTED
    with pytest.raises(InputError, match="there is nothing to abort"):
        deployed.service.task_end(task, soft=True)
    deployed.service.task_delete(task, force=False)
    assert list(deployed.service.task_list()) == []


def test_a_task_that_left_something_is_deleted_by_force_only(deployed: Bench) -> None:
    task = create(deployed)
    deployed.finish(task)
    deployed.store.resource_create(kind="server", name="s", task=task)

    with pytest.raises(InputError, match="resource"):
        deployed.service.task_delete(task, force=False)
    deployed.service.task_delete(task, force=True)


#: What is asked for by name, and is not there.
MISSING: list[Callable[[Bench], object]] = [
    lambda bench: bench.service.task_show(NOWHERE),
    lambda bench: bench.service.task_result(NOWHERE),
    lambda bench: list(bench.service.task_watch(NOWHERE)),
    lambda bench: bench.service.task_end(NOWHERE, soft=True),
    lambda bench: bench.service.task_delete(NOWHERE, force=False),
    lambda bench: bench.service.task_show("no such/../task?"),
    lambda bench: bench.service.task_show(".."),
    lambda bench: bench.service.task_list(deployment="no such"),
    lambda bench: bench.service.deployment_show("no such"),
    lambda bench: bench.service.deployment_config("nosuch"),
    lambda bench: bench.service.deployment_check("nosuch"),
    lambda bench: bench.service.deployment_destroy("nosuch"),
    lambda bench: bench.service.task_create(bench.loaded(), deployment="no such", tags=(), options=TaskOptions()),
]


@pytest.mark.parametrize("ask", MISSING)
def test_what_is_not_there_is_not_found(bench: Bench, ask: Callable[[Bench], object]) -> None:
    with pytest.raises(NotFoundError):
        ask(bench)


def test_a_deployment_is_made_and_shown_without_secrets(deployed: Bench) -> None:
    (known,) = deployed.service.deployment_list()
    detail = deployed.service.deployment_show("d1")

    assert (known.name, known.engine, known.status) == ("d1", "nowhere", DeploymentStatus.FINISHED)
    assert detail.deployment == known
    assert detail.sign_in is not None
    assert (detail.sign_in.username, detail.sign_in.auth_url) == ("admin", "http://127.0.0.1:1/v3")
    assert deployed.service.deployment_config(known.id).spec == {"admin": {"password": "***"}}


def test_a_cloud_that_does_not_answer_is_the_clouds_fault(deployed: Bench) -> None:
    with pytest.raises(CloudError, match=r"http://127\.0\.0\.1:1/v3"):
        deployed.service.deployment_check("d1")


WRONG = [
    ({"name": "d1"}, InputError, "d1"),
    ({"name": "a b"}, InputError, "name"),
    ({"engine": "nowhre"}, InputError, "nowhre"),
    ({"spec": {"wrong": True}}, InputError, "spec: wrong"),
    ({"spec": {"broken": True}}, CloudError, "nothing could be put there"),
]


@pytest.mark.parametrize(("change", "kind", "said"), WRONG)
def test_a_deployment_that_cannot_be_made_is_refused(
    deployed: Bench, change: dict[str, object], kind: type[Exception], said: str
) -> None:
    wanted = {"name": "d2", "engine": "nowhere", "spec": {}, **change}
    with pytest.raises(kind, match=said):
        deployed.service.deployment_create(**wanted)  # type: ignore[arg-type]


def test_a_deployment_goes_when_its_tasks_have_gone(deployed: Bench) -> None:
    task = create(deployed)
    with pytest.raises(InputError, match="still has 1 task; delete them first"):
        deployed.service.deployment_destroy("d1")
    deployed.service.task_end(task, soft=False)
    deployed.service.task_delete(task, force=False)

    assert deployed.service.deployment_destroy("d1").status is DeploymentStatus.CLEANUP_FINISHED
    assert list(deployed.service.deployment_list()) == []
