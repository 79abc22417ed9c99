"""A task and the states it goes through: what is allowed after what, and nothing else.

Rules: pure. A status changes only by `moved`, which refuses what the table does not allow; the store applies it to
the stored status inside the transaction that writes the new one.

    init ─▶ validating ─▶ validated ─▶ running ─▶ finished
                 │                       │ ├─▶ draining ─▶ aborted     (asked once: what is in flight ends)
                 ▼                       │ └─▶ aborting ─▶ aborted     (asked twice, or an abort: it is ended)
         validation_failed               ▼
                                      crashed ─▶ running               (resumed)
"""

from enum import StrEnum

import msgspec

from osbench.common.error import InputError
from osbench.common.task import TaskSpec


class TaskStatus(StrEnum):
    """Where a task stands; the words are those of the store, the API and the command line."""

    INIT = "init"
    VALIDATING = "validating"
    VALIDATED = "validated"
    VALIDATION_FAILED = "validation_failed"
    RUNNING = "running"
    DRAINING = "draining"
    ABORTING = "aborting"
    FINISHED = "finished"
    ABORTED = "aborted"
    CRASHED = "crashed"


_S = TaskStatus

#: What may follow each status. CRASHED may be run again, since a resumed task goes on from its last snapshot.
TASK_TRANSITIONS: dict[TaskStatus, frozenset[TaskStatus]] = {
    _S.INIT: frozenset({_S.VALIDATING, _S.ABORTED, _S.CRASHED}),
    _S.VALIDATING: frozenset({_S.VALIDATED, _S.VALIDATION_FAILED, _S.ABORTED, _S.CRASHED}),
    _S.VALIDATED: frozenset({_S.RUNNING, _S.ABORTED, _S.CRASHED}),
    _S.VALIDATION_FAILED: frozenset(),
    _S.RUNNING: frozenset({_S.FINISHED, _S.DRAINING, _S.ABORTING, _S.CRASHED}),
    _S.DRAINING: frozenset({_S.FINISHED, _S.ABORTING, _S.ABORTED, _S.CRASHED}),
    _S.ABORTING: frozenset({_S.ABORTED, _S.CRASHED}),
    _S.FINISHED: frozenset(),
    _S.ABORTED: frozenset(),
    _S.CRASHED: frozenset({_S.RUNNING, _S.ABORTED}),
}

#: Statuses in which nobody works on the task: it may be deleted.
TASK_AT_REST = frozenset({_S.INIT, _S.VALIDATED, _S.VALIDATION_FAILED, _S.FINISHED, _S.ABORTED, _S.CRASHED})


def check_task_transition(task: str, now: TaskStatus, then: TaskStatus) -> None:
    """Refuse a change of status that the table does not allow.

    Raises:
        InputError: naming the task, where it stands and what is allowed from there.
    """
    allowed = TASK_TRANSITIONS[now]
    if then not in allowed:
        words = ", ".join(sorted(allowed)) or "nothing, it has ended"
        raise InputError(f"task {task} is {now} and cannot become {then}; allowed from here: {words}")


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is to be run, beyond what its file says.

    Attributes:
        runner: `local` by the process that made it, `daemon` by the coordinator's daemon.
        agents: how many to run on, None for all that fit. min_agents: fewer fail the task, None for what `agents` says.
        labels: agents must have all of them.
        abort_on_sla_failure: end the task as soon as a criterion has failed.
    """

    runner: str = "local"
    agents: int | None = None
    min_agents: int | None = None
    labels: tuple[str, ...] = ()
    abort_on_sla_failure: bool = False


DEFAULT_OPTIONS = TaskOptions()


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is stored.

    Attributes:
        id: uuid4. deployment: id of the cloud it runs on.
        spec: the whole task. source: the rendered text it was read from.
        tags: of the command line and of the file. failure: why it was invalid or crashed, empty otherwise.
        options: how it is to be run.
        created_ns, updated_ns, ended_ns: wall time, nanoseconds since the Unix epoch; ended_ns None before its end.
    """

    id: str
    deployment: str
    title: str
    status: TaskStatus
    spec: TaskSpec
    source: str = ""
    tags: tuple[str, ...] = ()
    failure: str = ""
    created_ns: int = 0
    updated_ns: int = 0
    ended_ns: int | None = None
    options: TaskOptions = DEFAULT_OPTIONS

    def moved(self, status: TaskStatus, failure: str = "") -> "Task":
        """This task in its next status.

        Raises:
            InputError: the change is not allowed.
        """
        check_task_transition(self.id, self.status, status)
        return msgspec.structs.replace(self, status=status, failure=failure)
