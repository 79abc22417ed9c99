"""`osbench task`: validate, start, look at, report, end, delete."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbench.coordinator.cli.options import (
    deployment_option,
    json_option,
    pass_workshop,
    print_json,
    print_rows,
    task_argument,
    task_file_options,
    wall_time,
)
from osbench.coordinator.cli.results import print_detailed, report_html, result_json, show_outcome, write_report
from osbench.coordinator.cli.running import run_created, run_resumed
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.task_file.reader import LoadedTask
    from osbench.coordinator.task_service import TaskLine

MAX_AGENTS = 64
MAX_WORKERS = 256

EPILOG_VALIDATE = """\b
Examples:
  osbench task validate boot.yaml
  osbench task validate boot.yaml --task-args '{"flavor_name": "m1.small"}' --show
"""
EPILOG_START = """\b
Examples:
  osbench task start boot.yaml
  osbench task start boot.yaml --deployment mycloud --task-args flavor_name=m1.small,times=50
  osbench task start boot.yaml --task-args-file args.yaml --tag nightly --abort-on-sla-failure
  osbench task start boot.yaml --agents 2 --workers 1

\b
Ctrl-C once starts nothing new, lets what is in flight end, and cleans up; twice stops at once and cleans up.
"""
EPILOG_RESUME = """\b
Examples:
  osbench task resume
  osbench task resume 4f47c1c8-c9ba-4b1b-8366-adcc8e366ad9 --require-valid
"""
EPILOG_STATUS = """\b
Examples:
  osbench task status
  osbench task status --json | jq -r .status
"""
EPILOG_DETAILED = """\b
Examples:
  osbench task detailed
  osbench task detailed 4f47c1c8-c9ba-4b1b-8366-adcc8e366ad9
"""
EPILOG_RESULTS = """\b
Example:
  osbench task results > results.json
"""
EPILOG_LIST = """\b
Examples:
  osbench task list
  osbench task list --deployment mycloud --status crashed
  osbench task list --tag nightly --uuids-only
"""
EPILOG_SLA_CHECK = """\b
Examples:
  osbench task sla-check && echo met
  osbench task sla-check --json
"""
EPILOG_ABORT = """\b
Examples:
  osbench task abort
  osbench task abort --soft
"""
EPILOG_DELETE = """\b
Examples:
  osbench task delete
  osbench task delete $(osbench task list --status crashed --uuids-only)
"""
EPILOG_USE = """\b
Example:
  osbench task use 4f47c1c8-c9ba-4b1b-8366-adcc8e366ad9
"""
EPILOG_REPORT = """\b
Examples:
  osbench task report --out report.html --open
  osbench task report TASK --json --out result.json
"""


@click.group()
def task() -> None:
    """Start tasks and see what came of them."""


def end_options(command: Any) -> Any:
    """Options of starting and resuming: when a task ends, and with which exit code."""
    for decorate in (
        click.option("--require-valid", is_flag=True, help="Exit 3 if the verdict is INVALID, in closed loop too."),
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


@task.command(epilog=EPILOG_VALIDATE)
@task_file_options
@click.option("--show", is_flag=True, help="Print the file with its template expanded.")
@pass_workshop
def validate(workshop: Workshop, file: str, task_args: str | None, task_args_file: str | None, show: bool) -> None:
    """Check a task file; nothing on the cloud is touched."""
    loaded = load(workshop, file, task_args, task_args_file)
    if show:
        click.echo(loaded.rendered)
    workloads = loaded.spec.workloads
    click.echo(f"Input task is valid: {len(workloads)} workload{'s' if len(workloads) != 1 else ''}.")


@task.command(epilog=EPILOG_START)
@task_file_options
@deployment_option
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")
@click.option("--no-use", is_flag=True, help="Do not make it the default of the other commands.")
@click.option("--workers", type=click.IntRange(1, MAX_WORKERS), help="Processes of each agent; the cores are shared.")
@click.option(
    "--agents", type=click.IntRange(1, MAX_AGENTS), default=1, show_default=True, help="Load agents to start here."
)
@end_options
@pass_workshop
def start(
    workshop: Workshop,
    file: str,
    task_args: str | None,
    task_args_file: str | None,
    deployment: str | None,
    tags: tuple[str, ...],
    no_use: bool,
    agents: int,
    workers: int | None,
    abort_on_sla_failure: bool,
    require_valid: bool,
) -> int:
    """Run a task file on this machine, to its end.

    FILE is a Rally task file, format 1 or 2, with its Jinja2 template; - for standard input.
    """
    from osbench.coordinator.home import chosen_deployment
    from osbench.coordinator.task_service import create_task

    loaded = load(workshop, file, task_args, task_args_file)
    with workshop.store() as store:
        target = chosen_deployment(workshop.home, deployment)
        created = create_task(store, workshop.home, loaded, deployment=target, tags=tags, use=not no_use)
        if workshop.verbosity >= 0:
            click.echo(f"Task {created.id}: started", err=True)
        outcome = run_created(
            workshop, store, created.id, agents=agents, workers=workers, abort_on_sla_failure=abort_on_sla_failure
        )
        return show_outcome(workshop, store, outcome, require_valid=require_valid)


@task.command(epilog=EPILOG_RESUME)
@task_argument
@end_options
@pass_workshop
def resume(workshop: Workshop, task_id: str | None, abort_on_sla_failure: bool, require_valid: bool) -> int:
    """Go on with a task whose process has died, from what is stored and spooled."""
    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import check_resumable

    with workshop.store() as store:
        found = check_resumable(store, workshop.home, chosen_task(workshop.home, task_id))
        outcome = run_resumed(workshop, store, found.id, abort_on_sla_failure=abort_on_sla_failure)
        return show_outcome(workshop, store, outcome, require_valid=require_valid)


def line_values(line: "TaskLine") -> dict[str, Any]:
    """A task as a row."""
    return {
        "uuid": line.task.id,
        "title": line.task.title,
        "deployment": line.deployment_name,
        "created_at": wall_time(line.task.created_ns),
        "load_duration": round(line.load_ns / 1e9, 3),
        "status": line.status_words,
        "tags": ", ".join(line.task.tags),
    }


@task.command(epilog=EPILOG_STATUS)
@task_argument
@json_option
@pass_workshop
def status(workshop: Workshop, task_id: str | None, as_json: bool) -> None:
    """Show where a task stands."""
    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import describe_task

    with workshop.store() as store:
        line = describe_task(store, workshop.home, chosen_task(workshop.home, task_id))
        phases = [f"{run.ordinal + 1}. {run.workload.scenario}: {run.phase}" for run in store.run_list(line.task.id)]
        recorded = Counter(resource.kind for resource in store.resource_list(task=line.task.id))
    if as_json:
        more = {"is_run": line.is_run, "runs": phases, "resources": dict(recorded)}
        print_json({**line_values(line), "status": str(line.task.status), **more})
        return
    click.echo(f"Task {line.task.id}: {line.status_words}")
    if line.task.failure:
        click.echo(f"Failure: {line.task.failure}")
    for phase in phases:
        click.echo(f"  {phase}")
    if recorded and not line.is_run:
        left = ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in sorted(recorded.items()))
        click.echo(
            f"Left on the cloud, as far as is recorded: {left}; `osbench task resume {line.task.id}` removes them"
        )


@task.command(epilog=EPILOG_DETAILED)
@task_argument
@json_option
@pass_workshop
def detailed(workshop: Workshop, task_id: str | None, as_json: bool) -> None:
    """Show verdict, response times, calls and errors of a task."""
    from osbench.coordinator.home import chosen_task

    with workshop.store() as store:
        chosen = chosen_task(workshop.home, task_id)
        if as_json:
            click.echo(result_json(store, chosen).decode(), nl=False)
        else:
            print_detailed(store, chosen)


@task.command(epilog=EPILOG_RESULTS)
@task_argument
@pass_workshop
def results(workshop: Workshop, task_id: str | None) -> None:
    """Print a task's results as JSON."""
    from osbench.coordinator.home import chosen_task

    with workshop.store() as store:
        click.echo(result_json(store, chosen_task(workshop.home, task_id)).decode(), nl=False)


@task.command("list", epilog=EPILOG_LIST)
@click.option("--deployment", metavar="NAME", help="Only those on this one.")
@click.option("--status", "wanted", metavar="STATUS", help="Only those in this status.")
@click.option("--tag", metavar="TAG", help="Only those with this tag.")
@click.option("--uuids-only", is_flag=True, help="Print ids, one a line.")
@json_option
@pass_workshop
def list_tasks(
    workshop: Workshop, deployment: str | None, wanted: str | None, tag: str | None, uuids_only: bool, as_json: bool
) -> None:
    """List tasks, oldest first."""
    from osbench.coordinator.task_service import list_tasks as listed

    with workshop.store() as store:
        lines = listed(store, workshop.home, deployment=deployment, status=wanted, tag=tag)
    if uuids_only:
        for line in lines:
            click.echo(line.task.id)
        return
    columns = {
        "uuid": "UUID",
        "title": "Title",
        "deployment": "Deployment",
        "created_at": "Created at",
        "load_duration": "Load duration (sec)",
        "status": "Status",
        "tags": "Tag(s)",
    }
    ranks = {"tags": 4, "load_duration": 3, "created_at": 2, "deployment": 1}
    print_rows("Tasks", columns, [line_values(line) for line in lines], as_json=as_json, ranks=ranks, cut="title")


@task.command(epilog=EPILOG_REPORT)
@task_argument
@click.option("--out", type=click.Path(dir_okay=False), help="File to write; standard output without it.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of HTML.")
@click.option("--open", "open_it", is_flag=True, help="Open the file in a browser.")
@pass_workshop
def report(workshop: Workshop, task_id: str | None, out: str | None, as_json: bool, open_it: bool) -> None:
    """Write a report: one HTML file that needs no network, or JSON."""
    from osbench.coordinator.home import chosen_task

    if open_it and not out:
        raise click.UsageError("--open needs --out FILE: there is no file to open")
    with workshop.store() as store:
        chosen = chosen_task(workshop.home, task_id)
        data = result_json(store, chosen) if as_json else report_html(store, chosen)
    if not out:
        click.echo(data, nl=False)
        return
    write_report(workshop, Path(out), data)
    if open_it:
        click.launch(str(Path(out).absolute()))


@task.command("sla-check", epilog=EPILOG_SLA_CHECK)
@task_argument
@json_option
@pass_workshop
def sla_check(workshop: Workshop, task_id: str | None, as_json: bool) -> int:
    """Show every SLA criterion of a task; exit 2 if one failed, 3 if one cannot be told."""
    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import check_sla

    with workshop.store() as store:
        check = check_sla(store, chosen_task(workshop.home, task_id))
    columns = {
        "benchmark": "Benchmark",
        "pos": "Pos",
        "criterion": "Criterion",
        "status": "Status",
        "detail": "Detail",
    }
    print_rows("SLA", columns, check.rows, as_json=as_json, ranks={"pos": 1}, cut="benchmark")
    return check.exit_code


@task.command(epilog=EPILOG_ABORT)
@task_argument
@click.option("--soft", is_flag=True, help="Let what is in flight end first.")
@pass_workshop
def abort(workshop: Workshop, task_id: str | None, soft: bool) -> None:
    """End a task that is under way in another shell; it cleans up."""
    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import request_end

    with workshop.store() as store:
        click.echo(request_end(store, workshop.home, chosen_task(workshop.home, task_id), soft=soft))


@task.command(epilog=EPILOG_DELETE)
@click.argument("task_ids", metavar="TASK...", nargs=-1)
@click.option("--force", is_flag=True, help="Even if it left something on the cloud, which is then forgotten.")
@pass_workshop
def delete(workshop: Workshop, task_ids: tuple[str, ...], force: bool) -> int:
    """Forget tasks and all that they stored; the last one if none is named."""
    from osbench.common.error import OsbenchError
    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import delete_task

    code = 0
    with workshop.store() as store:
        for task_id in task_ids or (chosen_task(workshop.home, None),):
            try:
                delete_task(store, workshop.home, task_id, force=force)
            except OsbenchError as error:  # One that must stay is no reason to keep the others.
                click.echo(f"Error: {error}", err=True)
                code = error.exit_code
            else:
                click.echo(f"Successfully deleted task `{task_id}`")
    return code


@task.command(epilog=EPILOG_USE)
@click.argument("task_id", metavar="TASK")
@pass_workshop
def use(workshop: Workshop, task_id: str) -> None:
    """Make a task the default of the other commands."""
    with workshop.store() as store:
        workshop.home.choose(task=store.task_get(task_id).id)
    click.echo(f"Using task: {task_id}")
