"""A task as lists and the command line show it, wherever it is run.

Rules: values only; coordinator/task_service makes them of what is stored. They hold nothing of a task file, which may
have secrets in it.
"""

import msgspec

from osbench.coordinator.task_state import TaskStatus

#: Statuses that say that a process works on the task.
UNDER_WAY = frozenset({TaskStatus.VALIDATING, TaskStatus.RUNNING, TaskStatus.DRAINING, TaskStatus.ABORTING})


class TaskLine(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the list.

    Attributes:
        deployment: its name. failure: why it was invalid or crashed, empty otherwise.
        created_ns, ended_ns: wall time, ns since the Unix epoch; ended_ns None before its end.
        is_run: a process of the coordinator's machine works on it.
        load_ns: time from first start to last end, over all its runs.
        position: place in the coordinator's queue, from 1; None if it does not wait there.
    """

    id: str
    title: str
    deployment: str
    status: TaskStatus
    failure: str = ""
    tags: tuple[str, ...] = ()
    created_ns: int = 0
    ended_ns: int | None = None
    is_run: bool = False
    load_ns: int = 0
    position: int | None = None

    @property
    def status_words(self) -> str:
        """Its status, and whether what it says is no longer true."""
        if self.position is not None:
            return f"{self.status} (waits: place {self.position} in the queue)"
        if self.status in UNDER_WAY and not self.is_run:
            return f"{self.status} (its process is gone: osbench task resume)"
        return str(self.status)


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a task: `ordinal` from 0, `phase` by the word of the run state machine."""

    run: str
    ordinal: int
    scenario: str
    phase: str


class TaskDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task stands.

    Attributes:
        runs: by ordinal. resources: on the cloud as far as is recorded, kind to how many.
    """

    line: TaskLine
    runs: tuple[RunLine, ...] = ()
    resources: dict[str, int] = {}


class QueuePlace(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits for others: its place in the queue, from 1."""

    task: str
    position: int
