"""Deployments, tasks, runs, resources, events and agents, for every adapter of the store."""

from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from osbench.common.error import InputError, NotFoundError
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, RateStage
from osbench.common.task import TaskSpec
from osbench.coordinator.deployment_state import DeploymentSecrets, DeploymentStatus
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import ClockFit, Event, KnownAgent
from osbench.coordinator.task_state import TaskStatus

NewRun = Callable[..., str]
PASSWORD = "hunter2-very-secret"


def test_a_deployment_is_found_by_id_and_by_name(store: Store) -> None:
    made = store.deployment_create(name="cloud", engine="existing", spec={"auth_url": "http://x"})
    other = store.deployment_create(name="other", engine="simulated", spec={}, parent=made.id)

    assert UUID(made.id).version == 4
    assert store.deployment_get("cloud") == made
    assert store.deployment_get(made.id) == made
    assert made.status is DeploymentStatus.INIT
    assert other.parent == made.id
    assert store.deployment_list() == [made, other]
    assert store.deployment_list(status=DeploymentStatus.FAILED) == []


def test_an_id_wins_over_a_name_that_looks_like_it(store: Store) -> None:
    made = store.deployment_create(name="cloud", engine="existing", spec={})
    store.deployment_create(name=made.id, engine="existing", spec={})

    assert store.deployment_get(made.id) == made


@pytest.mark.parametrize("name", ["cloud", "", "n" * 256])
def test_a_deployments_name_is_unique_and_bounded(store: Store, name: str) -> None:
    store.deployment_create(name="cloud", engine="existing", spec={})
    with pytest.raises(InputError, match="name"):
        store.deployment_create(name=name, engine="existing", spec={})


def test_secrets_come_back_and_are_replaced_one_by_one(store: Store) -> None:
    made = store.deployment_create(name="cloud", engine="existing", spec={"password": PASSWORD})

    assert store.deployment_secrets(made.id) == DeploymentSecrets(spec={"password": PASSWORD}, credentials={})
    updated = store.deployment_update(made.id, credentials={"token": [1, "ü"]}, name="renamed")
    assert updated.name == "renamed"
    assert store.deployment_secrets(made.id) == DeploymentSecrets(
        spec={"password": PASSWORD}, credentials={"token": [1, "ü"]}
    )


def test_a_deployments_status_follows_its_table_and_sets_its_stamps(store: Store) -> None:
    made = store.deployment_create(name="cloud", engine="existing", spec={})
    with pytest.raises(InputError, match="cannot become deploy->finished"):
        store.deployment_update_status(made.id, DeploymentStatus.FINISHED)
    assert store.deployment_get("cloud") == made
    started = store.deployment_update_status("cloud", DeploymentStatus.STARTED)
    finished = store.deployment_update_status("cloud", DeploymentStatus.FINISHED)
    broken = store.deployment_update_status("cloud", DeploymentStatus.INCONSISTENT, failure="server gone")

    assert (started.started_ns is not None, started.completed_ns) == (True, None)
    assert finished.completed_ns is not None
    assert store.deployment_get("cloud") == broken
    assert broken.failure == "server gone"


def test_a_deployment_that_still_holds_something_is_not_deleted(store: Store, spec: TaskSpec) -> None:
    made = store.deployment_create(name="cloud", engine="existing", spec={})
    task = store.task_create(deployment=made.id, spec=spec)
    with pytest.raises(InputError, match="'cloud' still has 1 tasks"):
        store.deployment_delete(made.id)
    store.task_delete(task.id)
    resource = store.resource_create(kind="server", name="x", deployment=made.id)
    with pytest.raises(InputError, match="still has 1 resources"):
        store.deployment_delete(made.id)
    store.resource_delete(resource.id)
    store.deployment_delete("cloud")

    with pytest.raises(NotFoundError, match="no deployment is called 'cloud'; there is none yet"):
        store.deployment_get("cloud")


def test_a_deployment_that_is_not_there_is_told_with_those_that_are(store: Store) -> None:
    for name in ("east", "west"):
        store.deployment_create(name=name, engine="existing", spec={})

    with pytest.raises(
        NotFoundError, match=r"no deployment is called .wst.; did you mean .west.\?; there are east, west"
    ):
        store.deployment_get("wst")


def test_a_task_comes_back_whole(store: Store, spec: TaskSpec) -> None:
    deployment = store.deployment_create(name="cloud", engine="existing", spec={})
    made = store.task_create(deployment=deployment.id, spec=spec, source="{}", tags=("mine", "nightly", "mine"))

    assert store.task_get(made.id) == made
    assert made.tags == ("nightly", "mine")
    assert made.spec == spec
    assert store.task_list() == [made]
    assert store.task_list(tag="mine", status=TaskStatus.INIT, deployment=deployment.id) == [made]
    assert store.task_list(tag="other") == []
    with pytest.raises(NotFoundError, match="deployment 'nowhere'"):
        store.task_create(deployment="nowhere", spec=spec)


def test_a_tasks_status_follows_its_table(store: Store, spec: TaskSpec) -> None:
    deployment = store.deployment_create(name="cloud", engine="existing", spec={})
    task = store.task_create(deployment=deployment.id, spec=spec)
    for status in (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING):
        assert store.task_update_status(task.id, status).ended_ns is None
    with pytest.raises(InputError, match="is running; abort it first"):
        store.task_delete(task.id)
    with pytest.raises(InputError, match="cannot become init"):
        store.task_update_status(task.id, TaskStatus.INIT)
    crashed = store.task_update_status(task.id, TaskStatus.CRASHED, failure="power cut")

    assert crashed.failure == "power cut"
    assert crashed.ended_ns is not None
    assert store.task_update_status(task.id, TaskStatus.RUNNING).ended_ns is None


def test_deleting_a_task_takes_all_that_is_its(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    task = store.run_get(run).task
    store.event_add(run, [Event(kind="hook", text="x")])
    store.resource_create(kind="server", name="s_osb_x", run=run)
    with pytest.raises(InputError, match="still has 1 resources"):
        store.task_delete(task)
    store.task_delete(task, force=True)

    assert store.resource_list() == []
    assert store.runs_known([run, "other"]) == frozenset()
    for ask in (lambda: store.task_get(task), lambda: store.run_get(run)):
        with pytest.raises(NotFoundError):
            ask()


PLAN = Plan(
    run="r", task="t", scenario="Dummy.dummy", arguments={"sleep": 0.5}, schedule=ClosedLoop(concurrency=2), seed=7
)


def test_a_run_is_updated_piece_by_piece(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    open_loop = OpenLoop(stages=(RateStage(numerator=1, denominator=3),), iterations=9)
    plan = msgspec.structs.replace(PLAN, schedule=open_loop)
    store.run_update(run, plan=PLAN, phase="prepare")
    store.run_update(run, plan=plan, snapshot=b"\x00\xff" * 1_000)
    store.run_update(run, start_wall_ns=5, accounting={"stored": 7}, verdict={"valid": True}, ended_ns=9)
    store.run_update(run)
    found = store.run_get(run)

    assert (found.plan, found.phase, found.start_wall_ns, found.ended_ns) == (plan, "prepare", 5, 9)
    assert (found.accounting, found.verdict) == ({"stored": 7}, {"valid": True})
    assert store.run_snapshot(run) == b"\x00\xff" * 1_000
    assert store.run_list(found.task) == [found]
    with pytest.raises(NotFoundError, match="run 'gone'"):
        store.run_update("gone", phase="x")


def test_runs_of_a_task_are_numbered(store: Store, new_run: NewRun) -> None:
    first = store.run_get(new_run(store))
    chosen = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
    second = store.run_create(task=first.task, workload=first.workload, run=chosen)

    assert (first.ordinal, second.ordinal, second.id) == (0, 1, chosen)
    assert store.run_list(first.task) == [first, second]
    assert store.run_snapshot(chosen) == b""


def test_contexts_results_come_back(store: Store, new_run: NewRun) -> None:
    run = new_run(store)

    assert store.run_contexts(run) == {}
    store.run_contexts_update(run, {"users": [{"password": PASSWORD}]})
    assert store.run_contexts(run) == {"users": [{"password": PASSWORD}]}


def test_events_and_clock_fits_come_back_in_order(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    events = [
        Event(kind="agent_lost", text="no beat", at_ns=5, agent="a", wall_ns=1),
        Event(kind="hook", text="x", at_ns=3, worker=2, wall_ns=2),
    ]
    fits = [ClockFit(agent="a", life=1, at_ns=at, offset_ns=-(2**60), error_ns=7) for at in (2, 1)]
    store.event_add(run, events)
    store.event_add(run, [])
    store.clock_fit_add(run, fits)

    assert store.event_list(run) == events
    assert store.event_list(run, kind="hook") == events[1:]
    assert store.clock_fit_list(run) == fits
    with pytest.raises(NotFoundError):
        store.event_add("gone", events)


def test_a_resource_is_recorded_before_it_is_made(store: Store) -> None:
    made = store.resource_create(kind="server", name="s", run="r", provider="virsh", info={"key": PASSWORD})
    other = store.resource_create(kind="project", name="p", task="t", deployment="d")
    store.resource_update(made.id, cloud_id="abc")

    assert store.resource_list(run="r", kind="server", provider="virsh") == [
        msgspec.structs.replace(made, cloud_id="abc")
    ]
    assert store.resource_list(task="t", deployment="d") == [other]
    store.resource_update(made.id, info={})
    assert store.resource_list(kind="server")[0].info == {}
    store.resource_delete(made.id)
    store.resource_delete(made.id)
    assert store.resource_list() == [other]
    assert PASSWORD not in repr(made)
    with pytest.raises(NotFoundError, match="resource"):
        store.resource_update(made.id, cloud_id="x")


def test_an_agent_is_remembered_as_it_last_was(store: Store) -> None:
    first = KnownAgent(name="b", life=1, labels=("rack1",), memory_bytes=2**40, seen_ns=5)
    later = KnownAgent(name="b", life=2, workers=8, seen_ns=9, public_key="k" * 40)
    other = KnownAgent(name="a", life=1, seen_ns=1)
    for agent in (first, other, later):
        store.agent_upsert(agent)

    assert store.agent_list() == [other, later]
    store.agent_delete("b")
    store.agent_delete("b")
    assert store.agent_list() == [other]
