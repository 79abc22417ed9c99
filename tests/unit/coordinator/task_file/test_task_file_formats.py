"""What right task files of both formats become."""

from collections.abc import Callable

from osbench.common.task import RunnerSpec
from osbench.coordinator.task_file.reader import LoadedTask

Read = Callable[..., LoadedTask]


def test_a_workload_without_runner_and_sla_runs_once_and_may_not_fail(read: Read) -> None:
    (workload,) = read("Dummy.dummy: [{}]").spec.workloads

    assert workload.runner == RunnerSpec(kind="serial", options={"times": 1})
    assert workload.sla == {"failure_rate": {"max": 0}}
    assert workload.description == "Do nothing and sleep."
    assert (workload.arguments, workload.contexts, workload.hooks) == ({}, {}, ())


def test_an_empty_sla_asks_for_nothing(read: Read) -> None:
    (workload,) = read("Dummy.dummy: [{sla: {}}]").spec.workloads

    assert workload.sla == {}


def test_format_1_and_format_2_of_the_same_load_read_the_same(read: Read) -> None:
    old = read(
        """
        NovaServers.boot_and_delete_server@openstack:
          - args: {flavor: {name: m1.tiny}}
            description: boots
            runner: {type: constant, times: 10, concurrency: 2}
            context: {users@openstack: {tenants: 3}}
            sla: {failure_rate: {max: 5}}
            hooks: [{name: sys_call, args: date, trigger: {name: event, args: {unit: iteration, at: [5]}}}]
        """
    ).spec
    new = read(
        """
        version: 2
        title: t
        subtasks:
          - title: NovaServers.boot_and_delete_server
            description: boots
            scenario: {NovaServers.boot_and_delete_server: {flavor: {name: m1.tiny}}}
            runner: {constant: {times: 10, concurrency: 2}}
            contexts: {users: {tenants: 3}}
            sla: {failure_rate: {max: 5}}
            hooks: [{action: {sys_call: date}, trigger: {event: {unit: iteration, at: [5]}}}]
        """
    ).spec

    assert (old.format_version, new.format_version) == (1, 2)
    assert old.workloads == new.workloads
    assert new.workloads[0].contexts == {"users": {"tenants": 3, "users_per_tenant": 1, "user_choice_method": "random"}}
    assert new.workloads[0].runner.options == {"times": 10, "concurrency": 2, "timeout": 0}


def test_positions_count_through_subtasks_of_both_forms(read: Read) -> None:
    spec = read(
        """
        version: 2
        title: t
        tags: [nightly]
        subtasks:
          - {title: a, group: g, scenario: {Dummy.dummy: }}
          - title: b
            run_in_parallel: false
            workloads:
              - {scenario: {Dummy.dummy: {sleep: 1}}, description: first}
              - {scenario: {Dummy.dummy: {sleep: 2}}, runner: {serial: }}
          - {title: c, scenario: {Dummy.dummy: {sleep: 3}}}
        """
    ).spec

    assert [(w.position, w.arguments) for w in spec.workloads] == [
        (0, {}),
        (1, {"sleep": 1}),
        (2, {"sleep": 2}),
        (3, {"sleep": 3}),
    ]
    assert [len(subtask.workloads) for subtask in spec.subtasks] == [1, 2, 1]
    assert spec.tags == ("nightly",)


def test_the_title_of_a_format_1_task_is_the_name_of_its_file(read: Read) -> None:
    assert read("Dummy.dummy: [{}]").spec.title == "task"


def test_json_is_read_too(read: Read) -> None:
    (workload,) = read('{"Dummy.dummy": [{"args": {"sleep": 0.5}}]}').spec.workloads

    assert workload.arguments == {"sleep": 0.5}


def test_options_without_effect_are_taken_with_a_note(read: Read) -> None:
    loaded = read(
        "Dummy.dummy: [{runner: {type: constant, max_cpu_count: 4}}, {runner: {type: serial, concurrency: 2}}]"
    )

    assert loaded.notes == (
        "runner constant: max_cpu_count has no effect here",
        "runner serial: concurrency has no effect here",
    )
    assert [w.runner.options for w in loaded.spec.workloads] == [
        {"times": 1, "concurrency": 1, "timeout": 0},
        {"times": 1},
    ]


def test_merge_keys_fill_in_what_is_not_written(read: Read) -> None:
    (workload,) = read(
        "Dummy.dummy:\n- runner:\n    <<: &common {type: constant, times: 5}\n    times: 3\n"
    ).spec.workloads

    assert workload.runner.options["times"] == 3
    assert workload.runner.kind == "constant"
