"""Format 2: a title and subtasks, each one workload (simple form) or several (`workloads`, complex form)."""

from collections.abc import Iterable
from typing import Any

from osbench.common.task import RunnerSpec, Subtask, TaskSpec, Workload
from osbench.coordinator.task_file.document import Items, Node, Scalar, Table
from osbench.coordinator.task_file.problem import Position
from osbench.coordinator.task_file.schema import found, is_misspelt, refuse, unknown_key
from osbench.coordinator.task_file.workload import (
    DEFAULT_RUNNER,
    DESCRIPTION,
    SUBTASK_TITLE,
    TITLE,
    Reading,
    read_arguments,
    read_contexts,
    read_hook,
    read_hooks,
    read_runner,
    read_scenario,
    read_sla,
    read_tags,
    single,
    text_of,
)

TASK_KEYS = ("title", "version", "subtasks", "description", "tags")
WORKLOAD_KEYS = ("scenario", "runner", "sla", "hooks", "contexts", "description")
SIMPLE_KEYS = ("title", "group", "tags", *WORKLOAD_KEYS)
COMPLEX_KEYS = ("title", "group", "description", "tags", "run_in_parallel", "workloads")
HOOK_KEYS = ("description", "action", "trigger")


def read_format_v2(root: Table, reading: Reading) -> TaskSpec:
    """A task of format 2."""
    problems = reading.problems
    for entry in root.entries:
        if entry.key not in TASK_KEYS:
            unknown_key(entry, "task", TASK_KEYS, problems)
    version = root.entry("version")
    if version is not None and not _is_two(version.value):
        message = f"version is {found(version.value)}; allowed: 2 (a file of format 1 has no version)"
        problems.add(version.value.position, message)
    if _lacks(root, "title", TASK_KEYS):
        problems.add(root.position, "task lacks the key 'title'; allowed: text of at most 255 characters")
    return TaskSpec(
        title=text_of(root, "title", TITLE, "task", problems),
        subtasks=_subtasks(root, reading),
        format_version=2,
        description=text_of(root, "description", DESCRIPTION, "task", problems),
        tags=read_tags(root, "task", problems),
    )


def _is_two(node: Node) -> bool:
    return isinstance(node, Scalar) and not isinstance(node.value, bool) and node.value == 2


def _lacks(table: Table, key: str, known: Iterable[str]) -> bool:
    """Whether a key is missing, and no other is told to be it misspelt."""
    return table.entry(key) is None and not is_misspelt(key, (entry.key for entry in table.entries), known)


def _subtasks(root: Table, reading: Reading) -> tuple[Subtask, ...]:
    entry = root.entry("subtasks")
    if entry is None:
        if _lacks(root, "subtasks", TASK_KEYS):
            message = "task lacks the key 'subtasks'; allowed: a list of subtasks, one or more"
            reading.problems.add(root.position, message)
        return ()
    if not isinstance(entry.value, Items) or not entry.value.items:
        refuse(entry.value, "subtasks", "a list of subtasks, one or more", reading.problems)
        return ()
    subtasks: list[Subtask] = []
    position = 0
    for item in entry.value.items:
        subtask = _subtask(item, position, reading)
        subtasks.append(subtask)
        position += len(subtask.workloads)
    return tuple(subtasks)


def _subtask(node: Node, position: int, reading: Reading) -> Subtask:
    problems = reading.problems
    if not isinstance(node, Table):
        refuse(node, "subtask", f"a mapping with the keys {', '.join(SIMPLE_KEYS)}", problems)
        return Subtask(title="", workloads=())
    is_complex = node.entry("workloads") is not None
    keys = COMPLEX_KEYS if is_complex else SIMPLE_KEYS
    for entry in node.entries:
        if entry.key not in keys:
            unknown_key(entry, "subtask with workloads" if is_complex else "subtask", keys, problems)
    if _lacks(node, "title", keys):
        problems.add(node.position, f"subtask lacks the key 'title'; allowed: {SUBTASK_TITLE.allowed()}")
    text_of(node, "group", DESCRIPTION, "subtask", problems)
    return Subtask(
        title=text_of(node, "title", SUBTASK_TITLE, "subtask", problems),
        workloads=_workloads(node, position, reading) if is_complex else (_workload(node, position, reading),),
        description=text_of(node, "description", DESCRIPTION, "subtask", problems),
        tags=read_tags(node, "subtask", problems),
    )


def _workloads(subtask: Table, first: int, reading: Reading) -> tuple[Workload, ...]:
    """The workloads of the complex form."""
    parallel = subtask.entry("run_in_parallel")
    if parallel is not None and not (isinstance(parallel.value, Scalar) and parallel.value.value is False):
        message = f"run_in_parallel is {found(parallel.value)}; allowed: false (workloads run one after another)"
        reading.problems.add(parallel.value.position, message)
    entry = subtask.entry("workloads")
    assert entry is not None
    if not isinstance(entry.value, Items) or not entry.value.items:
        refuse(entry.value, "workloads", "a list of workloads, one or more", reading.problems)
        return ()
    workloads = []
    for number, item in enumerate(entry.value.items):
        if not isinstance(item, Table):
            refuse(item, "workload", f"a mapping with the keys {', '.join(WORKLOAD_KEYS)}", reading.problems)
            continue
        for inner in item.entries:
            if inner.key not in WORKLOAD_KEYS:
                unknown_key(inner, "workload", WORKLOAD_KEYS, reading.problems)
        workloads.append(_workload(item, first + number, reading))
    return tuple(workloads)


def _workload(table: Table, position: int, reading: Reading) -> Workload:
    """A workload of either form: the keys of a subtask that are no workload's are passed over here."""
    problems = reading.problems
    values = {entry.key: entry.value for entry in table.entries}
    name, title, arguments = "", "", {}
    example = "{Dummy.dummy: {sleep: 1}}"
    if "scenario" not in values:
        where = "workload" if table.entry("title") is None else "subtask"
        if _lacks(table, "scenario", SIMPLE_KEYS):
            problems.add(
                table.position, f"{where} lacks the key 'scenario'; allowed: a mapping with one key, e.g. {example}"
            )
    elif (entry := single(values["scenario"], "scenario", example, problems)) and (
        known := read_scenario(entry, reading)
    ):
        name, scenario = known
        title = scenario.title
        arguments = read_arguments(entry.value, name, scenario, entry, reading)
    return Workload(
        scenario=name,
        position=position,
        description=text_of(table, "description", DESCRIPTION, "workload", problems, title),
        arguments=arguments,
        runner=_runner(values.get("runner"), reading),
        contexts=read_contexts(values.get("contexts"), reading),
        sla=read_sla(values.get("sla"), reading),
        hooks=read_hooks(values.get("hooks"), HOOK_KEYS, _hook, reading),
    )


def _runner(node: Node | None, reading: Reading) -> RunnerSpec:
    if node is None:
        return DEFAULT_RUNNER
    entry = single(node, "runner", "{constant: {times: 10, concurrency: 2}}", reading.problems)
    if entry is None:
        return DEFAULT_RUNNER
    if isinstance(entry.value, Table):
        return read_runner(entry, entry.value, reading)
    if isinstance(entry.value, Scalar) and entry.value.value is None:
        return read_runner(entry, Table(entry.position, ()), reading)
    refuse(entry.value, f"runner {entry.key}", "a mapping of its keys", reading.problems)
    return DEFAULT_RUNNER


def _hook(node: Table, reading: Reading) -> dict[str, Any]:
    problems = reading.problems
    missing = Scalar(Position(node.position.line, node.position.column), None)
    named = {}
    for key, example in (("action", '{sys_call: "…"}'), ("trigger", "{event: {unit: iteration, at: [5]}}")):
        written = node.entry(key)
        named[key] = single(written.value if written else missing, f"hook: {key}", example, problems)
    action, trigger = named["action"], named["trigger"]
    if action is None or trigger is None:
        return {}
    return read_hook(action, trigger, text_of(node, "description", DESCRIPTION, "hook", problems), reading)
