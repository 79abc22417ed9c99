"""`osbench`: the group of all commands, and what becomes of their errors.

Rules: exit codes are DESIGN.md's: 0 fine, 1 error (a wrong command line too), 2 SLA failed, 3 incomplete or INVALID,
4 aborted. Our errors are a message on standard error; any other is one line and a file with its trace.
"""

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import click

from osbench.common.completion import completion_command
from osbench.common.error import OsbenchError
from osbench.common.exit_codes import ErrorsToExitCodes
from osbench.coordinator.cli.agent import agent
from osbench.coordinator.cli.demo import demo
from osbench.coordinator.cli.deployment import deployment
from osbench.coordinator.cli.options import local_option
from osbench.coordinator.cli.scenario import scenario
from osbench.coordinator.cli.task import task
from osbench.coordinator.cli.workshop import Workshop

EPILOG = """\b
Examples:
  osbench demo
  osbench deployment create mycloud --cloud mycloud
  osbench task start boot-and-delete.yaml --task-args flavor_name=m1.small
  osbench task report --out report.html --open

\b
Exit codes: 0 fine, 1 error, 2 SLA failed, 3 incomplete or INVALID, 4 aborted.
"""

PLACED = re.compile(r"\S.*?:\d+:\d+: ")
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}


class ForPeople(logging.Formatter):
    """`Warning: what`, like every other message; when and where are for those who ask with -v."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.capitalize()}: {record.message}"


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment: the live bar puts itself in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class OsbenchCommands(ErrorsToExitCodes):
    """The group of all commands: an error nobody foresaw is one line too, and its trace a file."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        # The workshop is made here, so that it is at hand if the command line itself is wrong.
        workshop = extra.pop("obj", None) or Workshop()
        try:
            super().main(args, prog_name, complete_var, standalone_mode, obj=workshop, **extra)
        except Exception as error:  # noqa: BLE001 - the border to the user: no traceback on the terminal.
            click.echo(_unexpected(error, workshop), err=True)
            sys.exit(OsbenchError.exit_code)

    def in_words(self, error: OsbenchError) -> str:
        """Lines that begin with FILE:LINE:COLUMN stay as they are, for editors to follow."""
        text = str(error)
        return text if PLACED.match(text) else super().in_words(error)


def _unexpected(error: Exception, workshop: Workshop) -> str:
    """One line about an error of ours, after its trace was written to a file."""
    import tempfile
    import traceback
    from pathlib import Path

    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    trace = "".join(traceback.format_exception(error))
    try:
        folder = workshop.home.traces_folder
    except OsbenchError:
        folder = Path(tempfile.gettempdir())
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="trace-", suffix=".txt", delete=False) as file:
        file.write(trace)
    return f"Error: unexpected {said}; the trace is in {file.name}"


def print_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Print the version and end."""
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"osbench {version('osbench')}")
        context.exit()


@click.group(cls=OsbenchCommands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Show it, end."
)
@click.option("--home", metavar="DIR", help="Where database, key and state are kept.  [env: OSBENCH_HOME]")
@local_option
@click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.")
@click.option("-q", "--quiet", is_flag=True, help="Show results and errors only.")
@click.pass_obj
def cli(workshop: Workshop, home: str | None, verbose: int, quiet: bool) -> None:
    """Put exactly known load on an OpenStack cloud and see, call by call, what it did."""
    workshop.home_path = home
    workshop.verbosity = -1 if quiet else verbose
    handler = StandardError()
    handler.setFormatter(ForPeople() if workshop.verbosity <= 0 else logging.Formatter(LOG_FORMAT))
    logging.basicConfig(level=LEVELS.get(workshop.verbosity, logging.DEBUG), handlers=[handler])


for command in (demo, deployment, task, agent, scenario, completion_command("osbench")):
    cli.add_command(command)


def main() -> NoReturn:
    """The script `osbench`."""
    cli.main(prog_name="osbench")
