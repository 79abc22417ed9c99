"""What came of a task: as text, JSON or HTML, and the exit code."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from osbench.coordinator.cli.options import terminal_width, wants_colour
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.progress import TaskOutcome
    from osbench.coordinator.service.contract import OsbenchService


def show_outcome(workshop: Workshop, service: "OsbenchService", outcome: "TaskOutcome", *, require_valid: bool) -> int:
    """Print the result and the next steps; the exit code."""
    if outcome.verdicts or not outcome.failure:
        print_detailed(service, outcome.task)
        if workshop.verbosity >= 0:
            click.echo(f"\nHTML report: osbench task report {outcome.task} --out report.html", err=True)
    if outcome.failure:
        click.echo(f"Error: {outcome.failure}", err=True)
    return outcome.exit_code(require_valid=require_valid)


def print_detailed(service: "OsbenchService", task_id: str) -> None:
    """Verdicts and tables of a task."""
    from osbench.coordinator.report.text import task_text

    click.echo(task_text(service.task_result(task_id), width=terminal_width(), colour=wants_colour()))


def result_json(service: "OsbenchService", task_id: str) -> bytes:
    """A task's results with their schema version."""
    from osbench.coordinator.report.json import task_json

    return task_json(service.task_result(task_id))


def report_html(service: "OsbenchService", task_id: str) -> bytes:
    """A task's report as one HTML file."""
    from osbench.coordinator.report.html import task_html

    return task_html(service.task_result(task_id)).encode()


def write_report(workshop: Workshop, path: Path, data: bytes) -> None:
    """Write a report, and say where.

    Raises:
        InputError: the file cannot be written.
    """
    from osbench.common.error import InputError

    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; choose another file with --out") from error
    if workshop.verbosity >= 0:
        click.echo(f"Report written to {path}", err=True)
