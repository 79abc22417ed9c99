"""Stage 1/10 · What the user wrote, as values: a task, its subtasks, their workloads.

Rules: a value of this module is well-formed: its keys, types and bounds were checked by coordinator/task_file. Whether
the cloud has what it names is not known yet.
"""

from typing import Any

import msgspec


class RunnerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How the load is paced: a runner's name and its own keys, with defaults filled in.

    Attributes:
        kind: `serial`, `constant`, `constant_for_duration`, `rps`.
        options: e.g. {"times": 10, "concurrency": 2}.
    """

    kind: str
    options: dict[str, Any] = {}


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario with its arguments, runner, contexts and SLA; what one run executes.

    Attributes:
        scenario: registered name. arguments: as written, references not resolved.
        contexts: name to configuration, defaults filled in. sla: criterion to its setting. hooks: as written.
        position: of the workload in the whole task, from 0.
    """

    scenario: str
    position: int
    description: str = ""
    arguments: dict[str, Any] = {}
    runner: RunnerSpec = msgspec.field(default_factory=lambda: RunnerSpec(kind="serial", options={"times": 1}))
    contexts: dict[str, Any] = {}
    sla: dict[str, Any] = msgspec.field(default_factory=lambda: {"failure_rate": {"max": 0}})
    hooks: tuple[dict[str, Any], ...] = ()


class Subtask(msgspec.Struct, frozen=True, kw_only=True):
    """Workloads under one title; they run one after the other."""

    title: str
    workloads: tuple[Workload, ...]
    description: str = ""
    tags: tuple[str, ...] = ()


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A whole task file, either format.

    Attributes:
        format_version: 1 or 2, as written.
    """

    title: str
    subtasks: tuple[Subtask, ...]
    format_version: int
    description: str = ""
    tags: tuple[str, ...] = ()

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """All workloads in order."""
        return tuple(workload for subtask in self.subtasks for workload in subtask.workloads)
