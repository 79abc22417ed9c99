"""`osbench task`: validate, start, look at, report, end, delete."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbench.coordinator.cli.options import (
    json_option,
    pass_workshop,
    print_json,
    print_rows,
    task_argument,
    task_file_options,
    wall_time,
)
from osbench.coordinator.cli.results import print_detailed, report_html, result_json, write_report
from osbench.coordinator.cli.task_start import load, resume, start, watch
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.task_line import TaskLine

EPILOG_VALIDATE = """\b
Examples:
  osbench task validate boot.yaml
  osbench task validate boot.yaml --task-args '{"flavor_name": "m1.small"}' --show
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


for command in (start, resume, watch):
    task.add_command(command)


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


def line_values(line: "TaskLine") -> dict[str, Any]:
    """A task as a row."""
    return {
        "uuid": line.id,
        "title": line.title,
        "deployment": line.deployment,
        "created_at": wall_time(line.created_ns),
        "load_duration": round(line.load_ns / 1e9, 3),
        "status": line.status_words,
        "tags": ", ".join(line.tags),
    }


@task.command(epilog=EPILOG_STATUS)
@task_argument
@json_option
@pass_workshop
def status(workshop: Workshop, task_id: str | None, as_json: bool) -> None:
    """Show where a task stands."""
    from osbench.coordinator.home import chosen_task

    with workshop.service() as service:
        detail = service.task_show(chosen_task(workshop.home, task_id))
    line = detail.line
    phases = [f"{run.ordinal + 1}. {run.scenario}: {run.phase}" for run in detail.runs]
    recorded = detail.resources
    if as_json:
        more = {"is_run": line.is_run, "runs": phases, "resources": recorded}
        print_json({**line_values(line), "status": str(line.status), **more})
        return
    click.echo(f"Task {line.id}: {line.status_words}")
    if line.failure:
        click.echo(f"Failure: {line.failure}")
    for phase in phases:
        click.echo(f"  {phase}")
    if recorded and not line.is_run:
        left = ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in sorted(recorded.items()))
        click.echo(f"Left on the cloud, as far as is recorded: {left}; `osbench task resume {line.id}` removes them")


@task.command(epilog=EPILOG_DETAILED)
@task_argument
@json_option
@pass_workshop
def detailed(workshop: Workshop, task_id: str | None, as_json: bool) -> None:
    """Show verdict, response times, calls and errors of a task."""
    from osbench.coordinator.home import chosen_task

    with workshop.service() as service:
        chosen = chosen_task(workshop.home, task_id)
        if as_json:
            click.echo(result_json(service, chosen).decode(), nl=False)
        else:
            print_detailed(service, chosen)


@task.command(epilog=EPILOG_RESULTS)
@task_argument
@pass_workshop
def results(workshop: Workshop, task_id: str | None) -> None:
    """Print a task's results as JSON."""
    from osbench.coordinator.home import chosen_task

    with workshop.service() as service:
        click.echo(result_json(service, chosen_task(workshop.home, task_id)).decode(), nl=False)


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
    from osbench.coordinator.task_service import status_of

    with workshop.service() as service:
        lines = service.task_list(deployment=deployment, status=status_of(wanted) if wanted else None, tag=tag)
    if uuids_only:
        for line in lines:
            click.echo(line.id)
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
    with workshop.service() as service:
        chosen = chosen_task(workshop.home, task_id)
        data = result_json(service, chosen) if as_json else report_html(service, chosen)
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
    import msgspec

    from osbench.coordinator.home import chosen_task
    from osbench.coordinator.task_service import check_sla

    with workshop.service() as service:
        check = check_sla(service.task_result(chosen_task(workshop.home, task_id)))
    columns = {
        "benchmark": "Benchmark",
        "pos": "Pos",
        "criterion": "Criterion",
        "status": "Status",
        "detail": "Detail",
    }
    print_rows("SLA", columns, msgspec.to_builtins(check.rows), as_json=as_json, ranks={"pos": 1}, cut="benchmark")
    return check.exit_code


@task.command(epilog=EPILOG_ABORT)
@task_argument
@click.option("--soft", is_flag=True, help="Let what is in flight end first.")
@pass_workshop
def abort(workshop: Workshop, task_id: str | None, soft: bool) -> None:
    """End a task that is under way elsewhere, or waits in the queue; it cleans up."""
    from osbench.coordinator.home import chosen_task

    with workshop.service() as service:
        click.echo(service.task_end(chosen_task(workshop.home, task_id), soft=soft))


@task.command(epilog=EPILOG_DELETE)
@click.argument("task_ids", metavar="TASK...", nargs=-1)
@click.option("--force", is_flag=True, help="Even if it left something on the cloud, which is then forgotten.")
@pass_workshop
def delete(workshop: Workshop, task_ids: tuple[str, ...], force: bool) -> int:
    """Forget tasks and all that they stored; the last one if none is named."""
    from osbench.common.error import OsbenchError
    from osbench.coordinator.home import chosen_task

    code = 0
    with workshop.service() as service:
        for task_id in task_ids or (chosen_task(workshop.home, None),):
            try:
                service.task_delete(task_id, force=force)
            except OsbenchError as error:  # One that must stay is no reason to keep the others.
                click.echo(f"Error: {error}", err=True)
                code = error.exit_code
            else:
                if workshop.home.choices().task == task_id:
                    workshop.home.choose(task="")
                click.echo(f"Successfully deleted task `{task_id}`")
    return code


@task.command(epilog=EPILOG_USE)
@click.argument("task_id", metavar="TASK")
@pass_workshop
def use(workshop: Workshop, task_id: str) -> None:
    """Make a task the default of the other commands."""
    with workshop.service() as service:
        workshop.home.choose(task=service.task_show(task_id).line.id)
    click.echo(f"Using task: {task_id}")
