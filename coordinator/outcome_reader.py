"""What came of a task that is at rest, from the store: as its own process would have said it."""

from typing import Protocol

import msgspec

from osbench.coordinator.progress import TaskOutcome
from osbench.coordinator.store.contract import Runs, Tasks
from osbench.coordinator.task_state import TaskStatus
from osbench.coordinator.verdict import Verdict


class OutcomeSource(Tasks, Runs, Protocol):
    """What of the store is asked here."""


def stored_outcome(store: OutcomeSource, task_id: str) -> TaskOutcome:
    """The outcome of a task at rest.

    A task that ended since a criterion had failed is `aborted` with that as its failure; one that its user aborted has
    none (coordinator/task_run writes both).

    Raises:
        NotFoundError: there is no such task.
    """
    task = store.task_get(task_id)
    verdicts = tuple(msgspec.convert(run.verdict, Verdict) for run in store.run_list(task_id) if run.verdict)
    is_aborted = task.status is TaskStatus.ABORTED
    return TaskOutcome(
        task=task_id,
        verdicts=verdicts,
        is_aborted=is_aborted and not task.failure,
        is_sla_abort=is_aborted and bool(task.failure),
        failure="" if is_aborted else task.failure,
    )
