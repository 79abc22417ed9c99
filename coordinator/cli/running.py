"""Running a task from the command line: its progress on the terminal, and Ctrl-C."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from osbench.coordinator.progress import ProgressUpdate, RunControls, TaskOutcome
    from osbench.coordinator.store.contract import Store
    from osbench.coordinator.task_state import TaskOptions


def run_created(
    workshop: Workshop,
    store: "Store",
    task_id: str,
    *,
    options: "TaskOptions",
    workers: int | None,
) -> "TaskOutcome":
    """Run a task that was created, to its end.

    Args:
        options: with how many agents started here, 1 by default. workers: of each; None shares the cores among them.
    """
    runner = workshop.parts.runner()

    def run(watcher: Watcher) -> "Coroutine[Any, Any, TaskOutcome]":
        return runner.run_task(
            workshop.home,
            store,
            task_id,
            agents=options.agents or 1,
            workers=workers,
            abort_on_sla_failure=options.abort_on_sla_failure,
            on_progress=watcher.on_progress,
            attach=watcher.attach,
        )

    return watch(workshop, store, task_id, run)


def run_resumed(workshop: Workshop, store: "Store", task_id: str, *, abort_on_sla_failure: bool) -> "TaskOutcome":
    """Go on with a task whose process died, to its end."""
    runner = workshop.parts.runner()

    def run(watcher: Watcher) -> "Coroutine[Any, Any, TaskOutcome]":
        return runner.resume_task(
            workshop.home,
            store,
            task_id,
            on_progress=watcher.on_progress,
            abort_on_sla_failure=abort_on_sla_failure,
            attach=watcher.attach,
        )

    return watch(workshop, store, task_id, run)


@dataclass(frozen=True, slots=True)
class Watcher:
    """What a task under way talks to."""

    on_progress: "Callable[[ProgressUpdate], None]"
    attach: "Callable[[RunControls], None]"


def watch(
    workshop: Workshop,
    store: "Store",
    task_id: str,
    run: "Callable[[Watcher], Coroutine[Any, Any, TaskOutcome]]",
) -> "TaskOutcome":
    """Run a task with its progress on the terminal; signals and the store can ask it to end."""
    import asyncio

    import uvloop

    from osbench.common.clock import SystemClock
    from osbench.common.error import AbortedError
    from osbench.coordinator.cli.progress import choose_display
    from osbench.coordinator.interruption import run_interruptible
    from osbench.coordinator.task_service import mark_crashed

    display = choose_display(is_terminal=sys.stderr.isatty(), is_quiet=workshop.verbosity < 0, clock=SystemClock())
    with workshop.home.task_lock(task_id), asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop, display:
        try:
            return loop.run(
                run_interruptible(
                    lambda attach: run(Watcher(display.show, attach)),
                    tasks=store,
                    task=task_id,
                    announce=display.announce,
                )
            )
        except asyncio.CancelledError:
            mark_crashed(store, task_id, "left as it was by the user")
            raise AbortedError(f"task {task_id} was left as it is; `osbench task resume {task_id}` cleans up") from None
        except Exception as error:
            mark_crashed(store, task_id, " ".join(f"{type(error).__name__}: {error}".split())[:1000])
            raise
