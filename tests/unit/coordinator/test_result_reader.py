"""What is read out of the store is what the records said, added up."""

from pathlib import Path

import pytest

from osbench.common.clock import ManualClock
from osbench.common.error import NotFoundError
from osbench.common.task import TaskSpec, Workload
from osbench.coordinator.result import RunResult, TaskResult
from osbench.coordinator.result_reader import read_run
from osbench.coordinator.sla import Judgement
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.verdict import Validity


@pytest.fixture
def boots(sample: TaskResult) -> RunResult:
    return sample.runs[0]


@pytest.fixture
def lists(sample: TaskResult) -> RunResult:
    return sample.runs[1]


def test_actions_stand_in_the_order_in_which_they_ran_each_below_the_one_around_it(boots: RunResult) -> None:
    assert [line.path for line in boots.actions] == [
        ("nova.boot_server",),
        ("nova.boot_server", "nova.create_server"),
        ("nova.boot_server", "nova.wait_active"),
        ("nova.delete_server",),
    ]


def test_failures_are_counted_beside_the_percentiles_of_what_went_well(boots: RunResult) -> None:
    boot = boots.actions[0]

    assert boot.count == 1200
    assert boot.took is not None
    assert (boot.succeeded, boot.failed) == (boot.took.n, boots.accounting.failed)
    assert boots.errors[0].count == boots.accounting.failed


def test_response_and_lag_are_there_in_open_loop_only(boots: RunResult, lists: RunResult) -> None:
    assert [line.path[1:] for line in boots.durations] == [
        (),
        ("duration",),
        ("idle_duration",),
        ("response",),
        ("lag",),
    ]
    assert [line.path[1:] for line in lists.durations] == [(), ("duration",), ("idle_duration",)]
    assert (boots.timeline.asked is None, lists.timeline.asked is None) == (False, True)


def test_the_timeline_adds_up_to_the_whole(boots: RunResult) -> None:
    timeline = boots.timeline

    assert sum(timeline.started) == sum(timeline.ended) == 1200
    assert sum(timeline.asked or ()) == 1200
    assert sum(timeline.failed) == boots.accounting.failed
    assert sum(timeline.calls) == sum(line.count for line in boots.calls if not line.is_renewal)
    assert timeline.in_flight[-1] == 0
    assert max(timeline.in_flight) > 20


def test_a_closed_loop_never_has_more_in_flight_than_slots(lists: RunResult) -> None:
    assert max(lists.timeline.in_flight) <= 8


def test_renewals_are_no_part_of_the_load(boots: RunResult) -> None:
    renewal = boots.calls[-1]

    assert (renewal.route, renewal.is_renewal, renewal.count) == ("keystone POST /auth/tokens", True, 1)
    assert boots.calls_per_s == pytest.approx(
        sum(line.count for line in boots.calls[:-1]) / (boots.load_ns / 1e9), rel=1e-9
    )


def test_the_verdict_is_of_all_that_is_stored(boots: RunResult, lists: RunResult) -> None:
    assert boots.verdict.generator is Validity.INVALID
    assert [(one.agent, one.worker, one.first_second) for one in boots.verdict.findings] == [
        ("load-2", 1, 44),
        ("load-2", 1, 44),
    ]
    assert boots.verdict.complete.lost == 3
    assert boots.verdict.schedule_kept is not None
    assert boots.verdict.schedule_kept.on_time == 1200
    assert lists.verdict.generator is Validity.VALID
    assert lists.verdict.sla_judgement is Judgement.PASS


def test_hosts_show_the_worst_of_their_workers(boots: RunResult) -> None:
    second = {host.agent: host for host in boots.hosts}["load-2"]

    assert second.stall_us[44] == 612_000
    assert max(value for value in second.stall_us[:44] if value is not None) < 20_000


def test_agents_are_listed_with_what_they_stored_and_their_clocks(boots: RunResult) -> None:
    assert [(agent.agent, agent.workers, agent.stored, agent.offset_error_ns) for agent in boots.agents] == [
        ("load-1", 2, 600, 180_000),
        ("load-2", 2, 600, 180_001),
    ]


def test_a_run_without_any_record_has_a_result(tmp_path: Path) -> None:
    """`task detailed` is asked for while the contexts are still being set up."""
    store = open_store(tmp_path / "s.sqlite", clock=ManualClock())
    try:
        deployment = store.deployment_create(name="d", engine="simulated", spec={})
        workload = Workload(scenario="Dummy.dummy", position=0)
        task = store.task_create(deployment=deployment.id, spec=TaskSpec(title="t", subtasks=(), format_version=2))
        run = store.run_create(task=task.id, workload=workload)
        result = read_run(store, run.id)
    finally:
        store.close()

    assert (result.is_final, result.load_ns, result.actions, result.timeline.started) == (False, 0, (), (0,))
    assert result.verdict.sla_judgement is Judgement.UNKNOWN


def test_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s.sqlite", clock=ManualClock())
    try:
        with pytest.raises(NotFoundError):
            read_run(store, "00000000-0000-4000-8000-000000000000")
    finally:
        store.close()
