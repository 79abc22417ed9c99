"""How far a task is, as the store tells it: for who watches a task that another process runs.

Rules: reads, never writes, asks no process. What only the running process knows, the iterations in flight, is said to be
unknown; all that is shown is committed already, and the rate is that of the whole run so far.
"""

from collections.abc import Callable, Iterator

from osbench.common.clock import NS_PER_S
from osbench.common.error import InputError
from osbench.common.outcome import Outcome
from osbench.coordinator.home import Home
from osbench.coordinator.outcome_reader import stored_outcome
from osbench.coordinator.planner import expected_iterations, expected_load_ns
from osbench.coordinator.progress import SHOWN_PHASES, UNKNOWN, Phase, ProgressUpdate, TaskOutcome
from osbench.coordinator.run_events import RunPhase
from osbench.coordinator.store.values import ITERATION
from osbench.coordinator.task_line import UNDER_WAY
from osbench.coordinator.task_service import TaskStore
from osbench.coordinator.task_state import TaskStatus

#: Statuses in which something came of a task.
ENDED = frozenset({TaskStatus.FINISHED, TaskStatus.ABORTED, TaskStatus.CRASHED, TaskStatus.VALIDATION_FAILED})
#: How often the store is asked.
POLL_S = 1.0


def watch_stored(
    store: TaskStore, home: Home, task_id: str, *, sleep: Callable[[float], object]
) -> Iterator[ProgressUpdate | TaskOutcome]:
    """Follow a task that another process of this machine runs: its updates, then its outcome.

    Args:
        sleep: waits so many seconds.

    Raises:
        NotFoundError: there is no such task.
        InputError: nobody runs it: it was never started, or its process is gone.
    """
    while True:
        # Asked in this order: a process that ends in between has put the task to rest before it let go of it.
        is_run = home.is_task_run(task_id)
        status = store.task_get(task_id).status
        if not is_run:
            if status in UNDER_WAY:
                raise InputError(f"task {task_id} is {status} and its process is gone: `osbench task resume {task_id}`")
            if status not in ENDED:
                raise InputError(f"task {task_id} is {status}: nobody runs it")
            yield stored_outcome(store, task_id)
            return
        yield stored_progress(store, task_id)
        sleep(POLL_S)


def stored_progress(store: TaskStore, task_id: str) -> ProgressUpdate:
    """How far a task is by what is committed."""
    task = store.task_get(task_id)
    workloads = task.spec.workloads
    runs = store.run_list(task_id)
    if not runs:
        scenario = workloads[0].scenario if workloads else ""
        return ProgressUpdate(
            task=task_id, workload=1, workloads=len(workloads), scenario=scenario, phase=Phase.STARTING
        )
    run = runs[-1]
    is_made = run.phase in {phase.value for phase in RunPhase}
    counts = [row for row in store.counter_list(run.id) if row.kind == ITERATION]
    dropped = sum(row.n for row in counts if row.outcome == Outcome.DROPPED)
    ended = sum(row.n for row in counts) - dropped
    extent = store.extent_get(run.id)
    elapsed_ns = max(extent.last_ended_ns, 0) if extent else 0
    schedule = run.plan.schedule if run.plan is not None else None
    return ProgressUpdate(
        task=task_id,
        workload=run.position + 1,
        workloads=len(workloads),
        scenario=run.workload.scenario,
        phase=SHOWN_PHASES[RunPhase(run.phase)] if is_made else Phase.PREPARING,
        elapsed_ns=elapsed_ns,
        expected_ns=expected_load_ns(schedule) if schedule is not None else None,
        planned=expected_iterations(schedule) if schedule is not None else None,
        ended=ended,
        failed=sum(row.n for row in counts if row.outcome not in (Outcome.OK, Outcome.DROPPED)),
        dropped=dropped,
        in_flight=UNKNOWN,
        rate_hz=ended * NS_PER_S / elapsed_ns if elapsed_ns else 0.0,
    )
