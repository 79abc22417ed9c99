"""What a task file may name: scenarios, contexts, criteria, runners, hooks, each with the reader of its setting.

Rules: a value handed in, so that reading a file needs no registry of the rest of the house; `coordinator/known.py`
makes the real one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osbench.coordinator.task_file.document import Items, Node, Table
from osbench.coordinator.task_file.problem import Position, Problems
from osbench.coordinator.task_file.runners import RUNNERS, RunnerKind
from osbench.coordinator.task_file.schema import Anything, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong with a value: the keys and numbers that lead to it, and one line."""

    path: tuple[str | int, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a setting is read: by a schema, and then by a check of the plain value for what no schema says."""

    schema: Schema = field(default_factory=Anything)
    check: Callable[[Any], Sequence[Complaint]] = lambda _value: ()

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        """The plain value; complaints go to `problems`, each at the place its path leads to."""
        before = len(problems.found)
        value = self.schema.read(node, where, problems)
        if len(problems.found) == before:
            for complaint in self.check(value):
                problems.add(place(node, complaint.path), complaint.message)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioEntry:
    """A scenario as the task file sees it: its title, and how its arguments are read."""

    title: str
    arguments: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All names a task file may use, without platform."""

    scenarios: Mapping[str, ScenarioEntry]
    contexts: Mapping[str, Setting] = field(default_factory=dict)
    criteria: Mapping[str, Setting] = field(default_factory=dict)
    runners: Mapping[str, RunnerKind] = field(default_factory=lambda: RUNNERS)
    hook_actions: Mapping[str, Setting] = field(default_factory=dict)
    hook_triggers: Mapping[str, Setting] = field(default_factory=dict)


def place(node: Node, path: Sequence[str | int]) -> Position:
    """Where the last key of a path stands, as far as the path can be followed."""
    position = node.position
    for step in path:
        if isinstance(node, Table) and (entry := node.entry(str(step))) is not None:
            node, position = entry.value, entry.position
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            position = node.position
        else:
            break
    return position
