"""`osbench-coordinator`: the daemon of a control node, and what its operator does with it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from osbench.common.completion import complete_variable, completion_command
from osbench.common.daemonize import launch, told
from osbench.common.error import InputError
from osbench.common.exit_codes import ErrorsToExitCodes
from osbench.common.logs import FORMATS, LEVELS, configure_logging
from osbench.coordinator.daemon.config import CoordinatorConfig, read_config
from osbench.coordinator.daemon.database_commands import db
from osbench.coordinator.daemon.membership_commands import invite, keys, revoke
from osbench.coordinator.daemon.process import DaemonProcess
from osbench.coordinator.home import Home, open_home

SCRIPT = "osbench-coordinator"
EPILOG_START = """\b
Examples:
  osbench-coordinator start
  osbench-coordinator start --advertise control1.example.org --lease-s 120
  osbench-coordinator start --daemonize --log-file /var/log/osbench/coordinator.log
  OSBENCH_COORDINATOR_CONTROL_PORT=8761 osbench-coordinator start --log-format json

\b
Settings hold in this order: command line, OSBENCH_COORDINATOR_<KEY>, the file (HOME/coordinator.yaml), defaults.
SIGTERM and Ctrl-C leave a task under way as it is: its agents go on until their lease is over, and the next start
takes it up again. `osbench task abort` ends a task.
"""
EPILOG_STATUS = """\b
Examples:
  osbench-coordinator status
  osbench-coordinator status --json | jq .agents
"""
EPILOG_STOP = """\b
Examples:
  osbench-coordinator stop
  osbench-coordinator stop --drain
"""
#: How long a coordinator may take to end after SIGTERM.
LEAVE_S = 30.0


@click.group(cls=ErrorsToExitCodes, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="osbench", prog_name=SCRIPT)
@click.option("--home", metavar="DIR", help="Where database, keys and state are kept.  [env: OSBENCH_HOME]")
@click.pass_context
def cli(context: click.Context, home: str | None) -> None:
    """Coordinate load agents on many hosts: serve them, and the command line `osbench`."""
    # Opened when a command needs it: --help of a command makes no folder.
    context.obj = home


def the_home(context: click.Context) -> Home:
    """The home that was asked for, made if it is not there."""
    return open_home(context.obj, os.environ)


@cli.command(epilog=EPILOG_START)
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="YAML file of settings.")
@click.option("--listen", metavar="ADDRESS", help="Where agents come in.  [default: 0.0.0.0]")
@click.option("--advertise", metavar="HOST", help="How agents reach this host; stands in invitations.")
@click.option("--control-port", type=int, metavar="PORT", help="[default: 7761]")
@click.option("--bulk-port", type=int, metavar="PORT", help="[default: 7762]")
@click.option("--enrol-port", type=int, metavar="PORT", help="[default: 7763]")
@click.option("--api-port", type=int, metavar="PORT", help="Of the REST API, on loopback.  [default: 7760]")
@click.option("--lease-s", type=float, metavar="S", help="How long agents go on without this process.  [default: 60]")
@click.option("--daemonize", "in_background", is_flag=True, help="Go to the background once it serves.")
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), help="[default: standard error]")
@click.option("--log-level", type=click.Choice(LEVELS, case_sensitive=False), default="INFO", show_default=True)
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.pass_context
def start(
    context: click.Context,
    /,
    config_file: Path | None,
    in_background: bool,
    log_file: Path | None,
    log_level: str,
    log_format: str,
    **flags: Any,
) -> None:
    """Serve agents and the command line, in the foreground."""
    home = the_home(context)
    config = read_config(config_file, home.path, os.environ, flags)
    process = DaemonProcess(home.path)
    if (running := process.running()) is not None:
        raise InputError(f"a coordinator runs on {home.path} already, as process {running.pid}; stop it first")
    if in_background:
        log_file = log_file or home.path / "coordinator.log"
    launched = launch(log_file, in_background=in_background)
    if isinstance(launched, int):
        click.echo(f"Coordinator runs as process {launched}; log: {log_file}", err=True)
        return
    configure_logging(log_level, as_json=log_format == "json")
    with told(launched), process.held():
        serve(home, config, launched.succeeded)


def serve(home: Home, config: CoordinatorConfig, on_up: Callable[[], None]) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Args:
        on_up: called once it serves.
    """
    import uvloop

    from osbench.coordinator.daemon.daemon import run_daemon

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run_daemon(home, config, stop, on_up)

    uvloop.run(run())


@cli.command(epilog=EPILOG_STATUS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """Show whether a coordinator runs here, and how it is; exit 1 if none does."""
    from osbench.coordinator.daemon.status_text import print_status

    return print_status(the_home(context), as_json=as_json)


@cli.command(epilog=EPILOG_STOP)
@click.option("--drain", is_flag=True, help="Let the task under way end what it has in flight, and clean up, first.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 86_400), help="Seconds to wait.  [default: 30]")
@click.pass_context
def stop(context: click.Context, drain: bool, timeout_s: float | None) -> None:
    """Stop the coordinator that runs here. A task under way is left for the next start, unless --drain."""
    from osbench.coordinator.daemon.status_text import drain_task

    home = the_home(context)
    process = DaemonProcess(home.path)
    running = process.running()
    if running is None:
        raise InputError(f"no coordinator runs on {home.path}")
    if drain:
        drain_task(home)
    process.terminate(running, timeout_s or LEAVE_S)
    click.echo("Coordinator stopped.", err=True)


for command in (invite, revoke, keys, db, completion_command(SCRIPT)):
    cli.add_command(command)


def main() -> None:
    """The script `osbench-coordinator`."""
    cli.main(prog_name=SCRIPT, complete_var=complete_variable(SCRIPT))


if __name__ == "__main__":
    main()
