"""What can be done with tasks, apart from running them: read a file, create, look up, list, ask to end, delete.

Rules: no options and no printing, which are the command line's; no running, which is coordinator/local_run's. Takes the
part of the store that it needs, so that a test hands in a fake.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from osbench.common.error import IncompleteError, InputError, SlaError
from osbench.common.nearest import did_you_mean
from osbench.coordinator.deployment_state import Deployment, DeploymentStatus
from osbench.coordinator.home import Home
from osbench.coordinator.result import TaskResult
from osbench.coordinator.result_reader import FINAL_PHASES
from osbench.coordinator.sla import Judgement, worst
from osbench.coordinator.store.contract import Deployments, Records, Resources, Runs, Tasks
from osbench.coordinator.task_file.arguments import parse_task_arguments
from osbench.coordinator.task_file.catalog import Catalog
from osbench.coordinator.task_file.reader import LoadedTask, load_task, read_source, source_of
from osbench.coordinator.task_line import UNDER_WAY, RunLine, TaskDetail, TaskLine
from osbench.coordinator.task_state import (
    DEFAULT_OPTIONS,
    TASK_AT_REST,
    TASK_TRANSITIONS,
    Task,
    TaskOptions,
    TaskStatus,
)

BEFORE_RUNNING = frozenset({TaskStatus.INIT, TaskStatus.VALIDATING, TaskStatus.VALIDATED})
#: `runner` of tasks that a coordinator's daemon runs.
DAEMON = "daemon"
RESUMABLE = frozenset({TaskStatus.RUNNING, TaskStatus.DRAINING, TaskStatus.ABORTING, TaskStatus.CRASHED})


class TaskStore(Deployments, Tasks, Runs, Resources, Records, Protocol):
    """What of the store tasks need."""


def read_task_arguments(text: str | None, file: Path | None) -> dict[str, Any]:
    """Template variables of `--task-args-file`, overridden by those of `--task-args`.

    Raises:
        InputError: one of them cannot be read.
    """
    arguments: dict[str, Any] = {}
    if file is not None:
        source = read_source(file)
        arguments |= parse_task_arguments(source.text, source.label)
    if text is not None:
        arguments |= parse_task_arguments(text, "--task-args")
    return arguments


def read_task_file(path: str, arguments: dict[str, Any], catalog: Catalog) -> LoadedTask:
    """A task file from disk, or from standard input for `-`.

    Raises:
        InputError: one line for each mistake.
    """
    if path == "-":
        source = source_of(sys.stdin.buffer.read(), "stdin", Path.cwd())
    else:
        source = read_source(Path(path))
    return load_task(source, arguments, catalog)


def usable_deployment(store: Deployments, reference: str) -> Deployment:
    """A deployment that a task can run on.

    Raises:
        NotFoundError: there is none of this name. InputError: it is not there yet, or no longer.
    """
    deployment = store.deployment_get(reference)
    if deployment.status is not DeploymentStatus.FINISHED:
        raise InputError(
            f"deployment {deployment.name} is {deployment.status}; a task needs one that is {DeploymentStatus.FINISHED}"
        )
    return deployment


def create_task(
    store: TaskStore,
    loaded: LoadedTask,
    *,
    deployment: str,
    tags: Sequence[str],
    options: TaskOptions = DEFAULT_OPTIONS,
) -> Task:
    """A new task in `init`, ready to be run.

    Args:
        deployment: id or name.
    """
    target = usable_deployment(store, deployment)
    return store.task_create(deployment=target.id, spec=loaded.spec, source=loaded.rendered, tags=tags, options=options)


def list_tasks(
    store: TaskStore,
    home: Home,
    *,
    deployment: str | None = None,
    status: TaskStatus | None = None,
    tag: str | None = None,
) -> list[TaskLine]:
    """Tasks that meet all that is given, oldest first."""
    target = store.deployment_get(deployment).id if deployment else None
    names = {known.id: known.name for known in store.deployment_list()}
    tasks = store.task_list(deployment=target, status=status, tag=tag)
    return [_line(store, home, task, names.get(task.deployment, task.deployment)) for task in tasks]


def describe_task(store: TaskStore, home: Home, task_id: str) -> TaskDetail:
    """Where one task stands."""
    task = store.task_get(task_id)
    runs = store.run_list(task.id)
    return TaskDetail(
        line=_line(store, home, task, store.deployment_get(task.deployment).name),
        runs=tuple(
            RunLine(run=run.id, ordinal=run.ordinal, scenario=run.workload.scenario, phase=run.phase) for run in runs
        ),
        resources=dict(Counter(resource.kind for resource in store.resource_list(task=task.id))),
    )


def _line(store: TaskStore, home: Home, task: Task, deployment_name: str) -> TaskLine:
    extents = [store.extent_get(run.id) for run in store.run_list(task.id)]
    return TaskLine(
        id=task.id,
        title=task.title,
        deployment=deployment_name,
        status=task.status,
        failure=task.failure,
        tags=task.tags,
        created_ns=task.created_ns,
        ended_ns=task.ended_ns,
        is_run=home.is_task_run(task.id),
        load_ns=sum(extent.last_ended_ns - extent.first_started_ns for extent in extents if extent),
    )


class SlaRow(msgspec.Struct, frozen=True, kw_only=True):
    """A criterion of a run as the table has it: `benchmark` is the scenario, `pos` the workload's place in the task."""

    benchmark: str
    pos: int
    criterion: str
    status: str
    detail: str


class SlaCheck(msgspec.Struct, frozen=True, kw_only=True):
    """All criteria of a task, and what the command line ends with."""

    rows: tuple[SlaRow, ...]
    exit_code: int


def check_sla(results: TaskResult) -> SlaCheck:
    """Every criterion of every run of a task.

    Raises:
        InputError: there is nothing to check yet.
    """
    rows: list[SlaRow] = []
    judgements: list[Judgement] = []
    for run in results.runs:
        for criterion in run.verdict.sla:
            judgements.append(criterion.judgement)
            rows.append(
                SlaRow(
                    benchmark=run.scenario,
                    pos=run.position,
                    criterion=criterion.criterion,
                    status=criterion.judgement.value.upper(),
                    detail=criterion.detail,
                )
            )
    if not rows:
        raise InputError(f"task {results.task} is {results.status} and has no criterion that was judged")
    codes = {Judgement.PASS: 0, Judgement.FAIL: SlaError.exit_code, Judgement.UNKNOWN: IncompleteError.exit_code}
    return SlaCheck(rows=tuple(rows), exit_code=codes[worst(judgements)])


def request_end(store: TaskStore, home: Home, task_id: str, *, soft: bool) -> str:
    """Ask a task to end: by its status, which the process that runs it follows.

    Args:
        soft: let what is in flight end.

    Returns:
        What will happen, for the user.

    Raises:
        InputError: it has ended, or its process is gone and has left something on the cloud.
    """
    task = store.task_get(task_id)
    if home.is_task_run(task_id):
        wanted = TaskStatus.DRAINING if soft else TaskStatus.ABORTING
        if task.status in BEFORE_RUNNING:
            wanted = TaskStatus.ABORTED
        if task.status in (wanted, TaskStatus.ABORTING):
            return f"Task {task_id} was asked to end before."
        store.task_update_status(task_id, wanted)
        return f"Task {task_id} is asked to end; it cleans up first."
    if task.status in (TaskStatus.FINISHED, TaskStatus.ABORTED, TaskStatus.VALIDATION_FAILED):
        raise InputError(f"task {task_id} is {task.status}: there is nothing to abort")
    left = len(store.resource_list(task=task_id))
    if left:
        raise InputError(
            f"nobody runs task {task_id} any more, and {left} resources of it may be left on the cloud;"
            f" `osbench task resume {task_id}` and abort it then: that cleans up"
        )
    if task.status in UNDER_WAY:
        store.task_update_status(task_id, TaskStatus.CRASHED, failure="its process is gone")
    store.task_update_status(task_id, TaskStatus.ABORTED)
    return f"Task {task_id} is aborted; nobody ran it any more."


def status_of(word: str) -> TaskStatus:
    """The status of that word.

    Raises:
        InputError: there is none; with the nearest one.
    """
    try:
        return TaskStatus(word)
    except ValueError:
        words = [status.value for status in TaskStatus]
        raise InputError(
            f"no status is called {word!r:.80}; there are {', '.join(words)}{did_you_mean(word, words)}"
        ) from None


def mark_crashed(store: Tasks, task_id: str, failure: str) -> None:
    """Say in the store that nobody works on a task any more, unless it has ended in good order."""
    task = store.task_get(task_id)
    if TaskStatus.CRASHED in TASK_TRANSITIONS[task.status]:
        store.task_update_status(task_id, TaskStatus.CRASHED, failure=failure)


def check_resumable(store: TaskStore, home: Home, task_id: str) -> Task:
    """A task that was under way and whose process is gone.

    Of a coordinator's tasks only one that crashed after all its load: nothing but its clean-up is left then, which needs
    none of the coordinator's agents.

    Raises:
        InputError: it is run by somebody, has ended, or was never started; or it is the coordinator's to go on with.
    """
    task = store.task_get(task_id)
    if home.is_task_run(task_id):
        raise InputError(f"task {task_id} is run by another process; there is nothing to resume")
    if task.status not in RESUMABLE:
        words = ", ".join(sorted(RESUMABLE))
        raise InputError(f"task {task_id} is {task.status}; only one that was under way can be resumed: {words}")
    if task.options.runner == DAEMON and not (task.status is TaskStatus.CRASHED and _is_all_run(store, task)):
        raise InputError(
            f"task {task_id} is its coordinator's, which takes up again what is under way when it is started: "
            f"`osbench-coordinator start`; a task of it that crashed is started anew"
        )
    return task


def _is_all_run(store: TaskStore, task: Task) -> bool:
    """Whether every workload of a task has a run that has ended and was judged."""
    ended = {run.position for run in store.run_list(task.id) if run.phase in FINAL_PHASES and run.verdict}
    return ended >= {workload.position for workload in task.spec.workloads}


def delete_task(store: TaskStore, home: Home, task_id: str, *, force: bool) -> None:
    """Forget a task and all that it stored.

    Raises:
        InputError: it is under way, or something of it is left on the cloud, and not forced.
    """
    if home.is_task_run(task_id):
        raise InputError(f"task {task_id} is under way; `osbench task abort {task_id}` first")
    task = store.task_get(task_id)
    is_abandoned = task.status not in TASK_AT_REST
    if is_abandoned and not force:
        raise InputError(
            f"task {task_id} is {task.status} and its process is gone; resume it, or delete it with --force"
        )
    store.task_delete(task_id, force=force)
