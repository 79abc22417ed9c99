"""`osbench task start`, `resume` and `watch`: what stays until a task has ended, and ends with its exit code."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbench.coordinator.cli.options import (
    deployment_option,
    local_option,
    pass_workshop,
    task_argument,
    task_file_options,
)
from osbench.coordinator.cli.results import show_outcome
from osbench.coordinator.cli.running import run_created, run_resumed
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.service.contract import OsbenchService
    from osbench.coordinator.task_file.reader import LoadedTask
    from osbench.coordinator.task_state import TaskOptions

#: Agents that may be started on this machine, agents that may be asked for of a coordinator, processes of one.
MAX_LOCAL_AGENTS = 64
MAX_AGENTS = 1024
MAX_WORKERS = 256

EPILOG_START = """\b
Examples:
  osbench task start boot.yaml
  osbench task start boot.yaml --deployment mycloud --task-args flavor_name=m1.small,times=50
  osbench task start boot.yaml --task-args-file args.yaml --tag nightly --abort-on-sla-failure
  osbench task start boot.yaml --local --agents 2 --workers 1
  osbench task start boot.yaml --agents 8 --min-agents 6 --label rack-1 --detach

\b
With a coordinator (osbench-coordinator start, or OSBENCH_API and OSBENCH_API_TOKEN_FILE) the task is put into its queue
and watched; without one, or with --local, it runs on this machine.
Ctrl-C once starts nothing new, lets what is in flight end, and cleans up; twice stops at once and cleans up.
A third time leaves it as it is: a coordinator goes on with it.
"""
EPILOG_RESUME = """\b
Examples:
  osbench task resume
  osbench task resume 4f47c1c8-c9ba-4b1b-8366-adcc8e366ad9 --require-valid
"""
EPILOG_WATCH = """\b
Examples:
  osbench task watch
  osbench task watch 4f47c1c8-c9ba-4b1b-8366-adcc8e366ad9 --require-valid

\b
Ctrl-C stops the watching, not the task: `osbench task abort` ends that.
"""

require_valid_option = click.option(
    "--require-valid", is_flag=True, help="Exit 3 if the verdict is INVALID, in closed loop too."
)


def end_options(command: Any) -> Any:
    """Options of starting and resuming: when a task ends, and with which exit code."""
    for decorate in (
        require_valid_option,
        click.option("--abort-on-sla-failure", is_flag=True, help="End the task as soon as an SLA is failed."),
    ):
        command = decorate(command)
    return command


def load(workshop: Workshop, file: str, task_args: str | None, task_args_file: str | None) -> "LoadedTask":
    """A task file, checked; its notes go to standard error."""
    from osbench.coordinator.task_service import read_task_arguments, read_task_file

    arguments = read_task_arguments(task_args, Path(task_args_file) if task_args_file else None)
    loaded = read_task_file(file, arguments, workshop.parts.catalog())
    for note in loaded.notes:
        click.echo(f"Note: {note}", err=True)
    return loaded


@click.command(epilog=EPILOG_START)
@task_file_options
@deployment_option
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")
@click.option("--no-use", is_flag=True, help="Do not make it the default of the other commands.")
@click.option(
    "--agents",
    type=click.IntRange(1, MAX_AGENTS),
    help="Load agents: of the coordinator's (by default all that fit), or to start here (by default 1).",
)
@click.option(
    "--min-agents", type=click.IntRange(1, MAX_AGENTS), help="With a coordinator: fail if fewer are there.  [all asked]"
)
@click.option(
    "--label", "labels", multiple=True, metavar="LABEL", help="With a coordinator: agents with all these labels only."
)
@click.option(
    "--workers", type=click.IntRange(1, MAX_WORKERS), help="Here: processes of each agent; they share the cores."
)
@click.option("--detach", is_flag=True, help="With a coordinator: print the task's id and do not watch it.")
@end_options
@local_option
@pass_workshop
def start(
    workshop: Workshop,
    file: str,
    task_args: str | None,
    task_args_file: str | None,
    deployment: str | None,
    tags: tuple[str, ...],
    no_use: bool,
    agents: int | None,
    min_agents: int | None,
    labels: tuple[str, ...],
    workers: int | None,
    detach: bool,
    abort_on_sla_failure: bool,
    require_valid: bool,
) -> int:
    """Run a task file to its end: by the coordinator, or on this machine.

    FILE is a Rally task file, format 1 or 2, with its Jinja2 template; - for standard input.
    """
    from osbench.coordinator.home import chosen_deployment
    from osbench.coordinator.service.local import LocalService
    from osbench.coordinator.task_state import TaskOptions

    options = TaskOptions(
        agents=agents, min_agents=min_agents, labels=labels, abort_on_sla_failure=abort_on_sla_failure
    )
    check_place(workshop, options, workers=workers, is_detached=detach)
    loaded = load(workshop, file, task_args, task_args_file)
    with workshop.service() as service:
        target = chosen_deployment(workshop.home, deployment)
        created = service.task_create(loaded, deployment=target, tags=tags, options=options)
        if not no_use:
            workshop.home.choose(task=created.id)
        if isinstance(service, LocalService):
            if workshop.verbosity >= 0:
                click.echo(f"Task {created.id}: started", err=True)
            outcome = run_created(workshop, service.store, created.id, options=options, workers=workers)
            return show_outcome(workshop, service, outcome, require_valid=require_valid)
        if detach:
            click.echo(created.id)
            return 0
        if workshop.verbosity >= 0:
            click.echo(f"Task {created.id}: queued", err=True)
        return follow(workshop, service, created.id, is_ours=True, require_valid=require_valid)


def check_place(workshop: Workshop, options: "TaskOptions", *, workers: int | None, is_detached: bool) -> None:
    """Refuse options that mean nothing where the task is going to run.

    Raises:
        click.UsageError: naming the option and the cure.
    """
    if workshop.access() is not None:
        if workers is not None:
            raise click.UsageError(
                "--workers is for agents started here; those of a coordinator were told by `osbench-agent start`"
            )
        return
    given = {"--min-agents": options.min_agents, "--label": options.labels, "--detach": is_detached}
    for word, value in given.items():
        if value:
            raise click.UsageError(
                f"{word} needs a coordinator: `osbench-coordinator start`; here the task runs at once"
            )
    if options.agents is not None and options.agents > MAX_LOCAL_AGENTS:
        raise click.UsageError(f"--agents {options.agents} is above the {MAX_LOCAL_AGENTS} that may be started here")


def follow(workshop: Workshop, service: "OsbenchService", task_id: str, *, is_ours: bool, require_valid: bool) -> int:
    """Watch a task to its end and show what came of it; the exit code."""
    from osbench.common.error import AbortedError, OsbenchError
    from osbench.coordinator.cli.watching import watch_task

    outcome = watch_task(workshop, service, task_id, is_ours=is_ours)
    if outcome is None:
        click.echo(f"Task {task_id} goes on; look at it again with `osbench task watch {task_id}`", err=True)
        return AbortedError.exit_code if is_ours else OsbenchError.exit_code
    return show_outcome(workshop, service, outcome, require_valid=require_valid)


@click.command(epilog=EPILOG_WATCH)
@task_argument
@require_valid_option
@pass_workshop
def watch(workshop: Workshop, task_id: str | None, require_valid: bool) -> int:
    """Show a task that runs elsewhere until it ends, with the exit code of `start`."""
    from osbench.coordinator.home import chosen_task

    with workshop.service() as service:
        chosen = chosen_task(workshop.home, task_id)
        return follow(workshop, service, chosen, is_ours=False, require_valid=require_valid)


@click.command(epilog=EPILOG_RESUME)
@task_argument
@end_options
@pass_workshop
def resume(workshop: Workshop, task_id: str | None, abort_on_sla_failure: bool, require_valid: bool) -> int:
    """Go on with a task that crashed, from what is stored and spooled; it cleans up what it left on the cloud."""
    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import check_resumable

    chosen = chosen_task(workshop.home, task_id)
    if workshop.access() is not None:
        with workshop.service() as remote:
            click.echo(remote.task_resume(chosen), err=True)
            return follow(workshop, remote, chosen, is_ours=True, require_valid=require_valid)
    with workshop.local_service() as service:
        found = check_resumable(service.store, workshop.home, chosen)
        outcome = run_resumed(workshop, service.store, found.id, abort_on_sla_failure=abort_on_sla_failure)
        return show_outcome(workshop, service, outcome, require_valid=require_valid)
