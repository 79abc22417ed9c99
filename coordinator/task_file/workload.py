"""What both formats say in the same words: scenario, runner, contexts, criteria and hooks of one workload.

Rules: a name may carry its platform (`users@openstack`), which is dropped; names are looked up in the catalog handed in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from osbench.common.task import RunnerSpec
from osbench.coordinator.task_file.catalog import Catalog, ScenarioEntry, Setting
from osbench.coordinator.task_file.document import Entry, Items, Node, Scalar, Table
from osbench.coordinator.task_file.problem import Problems, listed, quoted, suggestion
from osbench.coordinator.task_file.schema import Sequence, Text, found, refuse, unknown_key

PLATFORMS = ("openstack", "default")
DEFAULT_RUNNER = RunnerSpec(kind="serial", options={"times": 1})
DEFAULT_SLA: dict[str, Any] = {"failure_rate": {"max": 0}}

TITLE = Text(max_length=255)
SUBTASK_TITLE = Text(max_length=128)
DESCRIPTION = Text()
TAGS = Sequence(item=Text(max_length=255), max_items=100)


@dataclass(slots=True)
class Reading:
    """What reading a file needs and gathers."""

    catalog: Catalog
    problems: Problems
    notes: list[str] = field(default_factory=list)


def known_name(entry: Entry, what: str, known: Iterable[str], reading: Reading, listing: str = "") -> str | None:
    """The name of a key without its platform, if it is known; otherwise None, after a complaint.

    Args:
        what: of which the key should be the name, e.g. `scenario`.
        listing: the command that lists all of them.
    """
    name, at, platform = entry.key.partition("@")
    if at and platform not in PLATFORMS:
        message = f"{what} {quoted(entry.key)} is of the platform {platform!r}; allowed: {listed(PLATFORMS)}"
        reading.problems.add(entry.position, message)
        return None
    names = sorted(known)
    if name in names:
        return name
    hint = suggestion(name, names)
    # A long list would hide the hint; the whole of it is one command away.
    allowed = f"one of the {len(names)} that `{listing}` lists" if listing else listed(names)
    reading.problems.add(entry.position, f"unknown {what} {quoted(name)}; allowed: {allowed}{hint}")
    return None


def read_scenario(entry: Entry, reading: Reading) -> tuple[str, ScenarioEntry] | None:
    """The scenario a key names."""
    name = known_name(entry, "scenario", reading.catalog.scenarios, reading, "osbench scenario list")
    return None if name is None else (name, reading.catalog.scenarios[name])


def read_arguments(
    node: Node | None, name: str, scenario: ScenarioEntry, at: Entry, reading: Reading
) -> dict[str, Any]:
    """The scenario's arguments as written; none at all is a mapping without keys."""
    if node is None or (isinstance(node, Scalar) and node.value is None):
        node = Table(at.position, ())
    if not isinstance(node, Table):
        refuse(node, f"{name}: its arguments", "a mapping of argument to value", reading.problems)
        return {}
    value = scenario.arguments.read(node, name, reading.problems)
    return dict(value)


def read_runner(kind_entry: Entry, options: Table, reading: Reading) -> RunnerSpec:
    """A runner by name with its own keys.

    Args:
        kind_entry: an entry whose key is the runner's name.
    """
    kind = known_name(kind_entry, "runner", reading.catalog.runners, reading)
    if kind is None:
        return DEFAULT_RUNNER
    where = f"runner {kind}"
    runner = reading.catalog.runners[kind]
    written = runner.read(options, kind_entry.position, where, reading.problems)
    reading.notes.extend(note for note in runner.notes(written, where) if note not in reading.notes)
    return RunnerSpec(kind=kind, options=runner.effective(written))


def read_named(node: Node, what: str, known: Mapping[str, Setting], reading: Reading) -> dict[str, Any]:
    """A mapping of names to their settings: contexts, or criteria."""
    if isinstance(node, Scalar) and node.value is None:
        return {}
    if not isinstance(node, Table):
        refuse(node, what, f"a mapping of name to setting; names: {listed(sorted(known))}", reading.problems)
        return {}
    values: dict[str, Any] = {}
    for entry in node.entries:
        name = known_name(entry, what, known, reading)
        if name in values:
            reading.problems.add(entry.position, f"{what} {name!r} stands here twice, once with its platform")
        elif name is not None:
            values[name] = known[name].read(entry.value, f"{what} {name}", reading.problems)
    return values


def read_contexts(node: Node | None, reading: Reading) -> dict[str, Any]:
    """Contexts with their settings."""
    return {} if node is None else read_named(node, "context", reading.catalog.contexts, reading)


def read_sla(node: Node | None, reading: Reading) -> dict[str, Any]:
    """Criteria with their settings; Rally's default where the key is not written."""
    return DEFAULT_SLA if node is None else read_named(node, "sla criterion", reading.catalog.criteria, reading)


def single(node: Node, what: str, example: str, problems: Problems) -> Entry | None:
    """The one entry of a mapping that must have exactly one."""
    if isinstance(node, Table) and len(node.entries) == 1:
        return node.entries[0]
    seen = f"has {len(node.entries)} keys" if isinstance(node, Table) else f"is {found(node)}"
    problems.add(node.position, f"{what} {seen}; allowed: a mapping with exactly one key, e.g. {example}")
    return None


def text_of(table: Table, key: str, schema: Text, where: str, problems: Problems, default: str = "") -> str:
    """An optional text of a mapping."""
    entry = table.entry(key)
    return default if entry is None else str(schema.read(entry.value, f"{where}: {key}", problems))


def read_tags(table: Table, where: str, problems: Problems) -> tuple[str, ...]:
    """The optional tags of a mapping."""
    entry = table.entry("tags")
    return () if entry is None else tuple(TAGS.read(entry.value, f"{where}: tags", problems))


def read_hooks(
    node: Node | None, keys: tuple[str, ...], read: Callable[[Table, Reading], dict[str, Any]], reading: Reading
) -> tuple[dict[str, Any], ...]:
    """The section `hooks`.

    Args:
        keys: of one hook. read: one hook, whose keys are known.
    """
    if node is None:
        return ()
    if not isinstance(node, Items):
        refuse(node, "hooks", "a list", reading.problems)
        return ()
    hooks: list[dict[str, Any]] = []
    for item in node.items:
        if isinstance(item, Table):
            for entry in item.entries:
                if entry.key not in keys:
                    unknown_key(entry, "hook", keys, reading.problems)
            hooks.append(read(item, reading))
        else:
            refuse(item, "hook", f"a mapping with the keys {', '.join(keys)}", reading.problems)
    return tuple(hooks)


def read_hook(action: Entry, trigger: Entry, description: str, reading: Reading) -> dict[str, Any]:
    """A hook in the shape of format 2."""
    catalog = reading.catalog
    name = known_name(action, "hook action", catalog.hook_actions, reading)
    trigger_name = known_name(trigger, "hook trigger", catalog.hook_triggers, reading)
    if name is None or trigger_name is None:
        return {}
    return {
        "description": description,
        "action": {name: catalog.hook_actions[name].read(action.value, f"hook {name}", reading.problems)},
        "trigger": {
            trigger_name: catalog.hook_triggers[trigger_name].read(
                trigger.value, f"hook trigger {trigger_name}", reading.problems
            )
        },
    }
