"""Format 1: scenario name to a list of workloads. One subtask per scenario, as Rally reads it."""

from typing import Any

from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.task_file.catalog import ScenarioEntry, Setting
from osbench.coordinator.task_file.document import Entry, Items, Node, Scalar, Table
from osbench.coordinator.task_file.runners import without_type
from osbench.coordinator.task_file.schema import refuse, unknown_key
from osbench.coordinator.task_file.workload import (
    DEFAULT_RUNNER,
    DESCRIPTION,
    Reading,
    read_arguments,
    read_contexts,
    read_hook,
    read_hooks,
    read_runner,
    read_scenario,
    read_sla,
    text_of,
)

WORKLOAD_KEYS = ("args", "description", "runner", "context", "sla", "hooks")
HOOK_KEYS = ("name", "description", "args", "trigger")
TRIGGER_KEYS = ("name", "args")
UNKNOWN = ScenarioEntry(title="", arguments=Setting())


def read_format_v1(root: Table, title: str, reading: Reading) -> TaskSpec:
    """A task of format 1, whose title is made up: the format has none."""
    subtasks: list[Subtask] = []
    position = 0
    for entry in root.entries:
        if not isinstance(entry.value, Items) or not entry.value.items:
            refuse(entry.value, f"scenario {entry.key}", "a list of workloads, one or more", reading.problems)
            read_scenario(entry, reading)
            continue
        # Of an unknown scenario all but the arguments is read nevertheless, for the complaints.
        name, scenario = read_scenario(entry, reading) or (entry.key, UNKNOWN)
        workloads = []
        for item in entry.value.items:
            workloads.append(_workload(item, name, scenario, position, reading))
            position += 1
        subtasks.append(Subtask(title=workloads[0].scenario, workloads=tuple(workloads)))
    return TaskSpec(title=title, subtasks=tuple(subtasks), format_version=1)


def _workload(node: Node, name: str, scenario: ScenarioEntry, position: int, reading: Reading) -> Workload:
    if isinstance(node, Scalar) and node.value is None:
        node = Table(node.position, ())
    if not isinstance(node, Table):
        refuse(node, f"workload of {name}", f"a mapping with the keys {', '.join(WORKLOAD_KEYS)}", reading.problems)
        return Workload(scenario=name, position=position)
    for entry in node.entries:
        if entry.key not in WORKLOAD_KEYS:
            unknown_key(entry, f"workload of {name}", WORKLOAD_KEYS, reading.problems)
    values = {entry.key: entry.value for entry in node.entries}
    arguments_at = node.entry("args") or Entry(name, node.position, node)
    return Workload(
        scenario=name,
        position=position,
        description=text_of(node, "description", DESCRIPTION, "workload", reading.problems, scenario.title),
        arguments=read_arguments(values.get("args"), name, scenario, arguments_at, reading),
        runner=_runner(node, reading) if "runner" in values else DEFAULT_RUNNER,
        contexts=read_contexts(values.get("context"), reading),
        sla=read_sla(values.get("sla"), reading),
        hooks=read_hooks(values.get("hooks"), HOOK_KEYS, _hook, reading),
    )


def _runner(workload: Table, reading: Reading) -> Any:
    entry = workload.entry("runner")
    assert entry is not None
    node = entry.value
    if not isinstance(node, Table):
        refuse(node, "runner", "a mapping with its type and its keys", reading.problems)
        return DEFAULT_RUNNER
    kind = node.entry("type")
    names = ", ".join(sorted(reading.catalog.runners))
    if kind is None:
        reading.problems.add(entry.position, f"runner lacks the key 'type'; allowed: {names}")
        return DEFAULT_RUNNER
    if not isinstance(kind.value, Scalar) or not isinstance(kind.value.value, str):
        refuse(kind.value, "runner: type", names, reading.problems)
        return DEFAULT_RUNNER
    named = Entry(kind.value.value, kind.value.position, kind.value)
    return read_runner(named, without_type(node), reading)


def _hook(node: Table, reading: Reading) -> dict[str, Any]:
    trigger = node.entry("trigger")
    if trigger is None or not isinstance(trigger.value, Table):
        at = node.position if trigger is None else trigger.value.position
        reading.problems.add(at, "hook needs the key 'trigger'; allowed: a mapping with the keys name, args")
        return {}
    for entry in trigger.value.entries:
        if entry.key not in TRIGGER_KEYS:
            unknown_key(entry, "hook trigger", TRIGGER_KEYS, reading.problems)
    action, trigger_named = _named(node, "hook", reading), _named(trigger.value, "hook trigger", reading)
    if action is None or trigger_named is None:
        return {}
    return read_hook(
        action, trigger_named, text_of(node, "description", DESCRIPTION, "hook", reading.problems), reading
    )


def _named(table: Table, what: str, reading: Reading) -> Entry | None:
    """`{name: N, args: A}` as the entry `N: A`."""
    name, arguments = table.entry("name"), table.entry("args")
    if name is None or not isinstance(name.value, Scalar) or not isinstance(name.value.value, str):
        at = table.position if name is None else name.value.position
        reading.problems.add(at, f"{what} needs the key 'name'; allowed: text")
        return None
    value = arguments.value if arguments else Scalar(table.position, None)
    return Entry(name.value.value, name.value.position, value)
