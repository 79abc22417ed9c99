"""Options that several commands share, and how they print."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from osbench.coordinator.cli.workshop import Workshop

Command = TypeVar("Command", bound=Callable[..., Any])

pass_workshop = click.make_pass_decorator(Workshop)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
deployment_option = click.option("--deployment", metavar="NAME", help="Name or id; the last one used by default.")
task_argument = click.argument("task_id", metavar="[TASK]", required=False)


def _choose_local(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Workshop).is_local = True


local_option = click.option(
    "--local",
    is_flag=True,
    expose_value=False,
    callback=_choose_local,
    help="This machine alone, whatever coordinator is configured.",
)


def task_file_options(command: Command) -> Command:
    """FILE, --task-args, --task-args-file."""
    for decorate in (
        click.option(
            "--task-args-file",
            type=click.Path(exists=False, dir_okay=False),
            help="YAML or JSON file with values of template variables.",
        ),
        click.option(
            "--task-args",
            metavar="ARGS",
            help="Values of template variables: a JSON or YAML mapping, or name=value,name=value. Override the file's.",
        ),
        click.argument("file", type=click.Path(exists=False, dir_okay=True, allow_dash=True)),
    ):
        command = decorate(command)
    return command


def terminal_width() -> int | None:
    """Columns of the terminal that is printed to; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: Any) -> None:
    """A value as JSON, for people and for jq."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def wants_colour() -> bool:
    """Whether what is printed may be coloured: on a terminal, and not where NO_COLOR (no-color.org) is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_rows(
    title: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    ranks: Mapping[str, int] | None = None,
    cut: str = "",
) -> None:
    """Rows as a table, or as a JSON list of objects.

    Args:
        columns: key of a row to title of the column; JSON shows every key of a row.
        ranks: on a narrow terminal columns of higher rank are left out first, others never.
        cut: key of the column of which the ends go then.
    """
    if as_json:
        print_json(list(rows))
        return
    from osbench.coordinator.report.table import Column, plain, table

    cells = [[plain(str("" if row[key] is None else row[key])) for key in columns] for row in rows]
    head = [
        Column(title=name, is_text=True, rank=(ranks or {}).get(key, 0), is_cut=key == cut)
        for key, name in columns.items()
    ]
    click.echo(table(title, head, cells, terminal_width()))


def print_pairs(title: str, pairs: Mapping[str, Any], *, as_json: bool) -> None:
    """One object as a table of two columns, or as JSON."""
    if as_json:
        print_json(dict(pairs))
        return
    rows = [{"field": key, "value": value} for key, value in pairs.items()]
    print_rows(title, {"field": "Field", "value": "Value"}, rows, as_json=False, cut="value")


def wall_time(wall_ns: int | None) -> str:
    """A wall time for people, in UTC to the second; empty for none."""
    from datetime import UTC, datetime

    if not wall_ns:
        return ""
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
