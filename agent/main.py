"""`osbench-agent`: the daemon of a load host, and what its operator asks and tells it."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import click
import msgspec
import uvloop

from osbench.agent.config import AgentConfig, default_config_path, read_config
from osbench.agent.daemonize import Launch, daemonize, log_to, open_log
from osbench.agent.spool_folder import SpoolFolder
from osbench.agent.spool_lock import SpoolLock, holder
from osbench.agent.status import moment, read_status, span, status_lines
from osbench.agent.supervisor import Supervisor
from osbench.common.clock import NS_PER_S
from osbench.common.error import AgentError, OsbenchError
from osbench.common.logs import FORMATS, LEVELS, configure_logging

#: Not __name__, which is __main__ when this is run with -m.
log = logging.getLogger("osbench.agent.main")

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file; by default that of OSBENCH_AGENT_CONFIG, else /etc/osbench/agent.json for root, else "
    "osbench/agent.json in the user's configuration folder.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="osbench", prog_name="osbench-agent")
def cli() -> None:
    """Puts the load of OSBench on a cloud from this host."""


def config_at(path: Path | None) -> tuple[Path, AgentConfig]:
    """The configuration to use, and where it is."""
    chosen = (path or default_config_path(os.environ)).expanduser().absolute()
    return chosen, read_config(chosen)


@cli.command()
@config_option
@click.option("--daemonize", "is_daemon", is_flag=True, help="Go to the background once the agent is up.")
@click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Log there instead of stderr; agent.log in the spool folder by default with --daemonize.",
)
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True, help="Form of the log.")
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Least level.",
)
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0, 3_600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long iterations in flight may take to end after SIGTERM.",
)
def start(
    config_path: Path | None, is_daemon: bool, log_file: Path | None, log_format: str, log_level: str, grace_s: float
) -> None:
    """Run the agent until SIGTERM or SIGINT; what is in flight drains, and what is not yet delivered stays in the spool.

    A second signal ends it at once. It needs nothing after `osbench-agent join`.

    Example: osbench-agent start --log-format json
    """
    _, config = config_at(config_path)
    folder = SpoolFolder(Path(config.spool))
    if is_daemon:
        log_file = log_file or folder.root / "agent.log"
    log_descriptor = open_log(log_file) if log_file is not None else -1
    if not is_daemon:
        if log_descriptor >= 0:
            log_to(log_descriptor)
        _run(config, folder, log_format, log_level, grace_s)
        return
    launch = daemonize(log_descriptor)
    if isinstance(launch, int):
        click.echo(f"agent {config.name} runs as process {launch} and logs to {log_file}")
        return
    try:
        _run(config, folder, log_format, log_level, grace_s, launch)
    except OsbenchError as error:
        launch.failed(str(error))
        raise


def _run(
    config: AgentConfig,
    folder: SpoolFolder,
    log_format: str,
    log_level: str,
    grace_s: float,
    launch: Launch | None = None,
) -> None:
    configure_logging(log_level, as_json=log_format == "json")
    lock = SpoolLock(folder.root)
    try:
        uvloop.run(_live(config, folder, grace_s, launch))
    finally:
        lock.close()


async def _live(config: AgentConfig, folder: SpoolFolder, grace_s: float, launch: Launch | None) -> None:
    supervisor = Supervisor(config, folder, grace_s)
    log.info("agent %s, life %d, %d workers, spool %s", config.name, supervisor.life, config.worker_count, config.spool)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    if launch is not None:
        launch.succeeded()
    await supervisor.live()


@cli.command()
@config_option
@json_option
def status(config_path: Path | None, as_json: bool) -> None:
    """Show how the agent of this host stands; the exit status is 0 if it runs and 1 if it does not."""
    path, config = config_at(config_path)
    folder = Path(config.spool)
    pid, told = holder(folder), read_status(folder)
    # The first second of an agent's life shows what the one before it wrote.
    is_running = pid is not None
    is_current = is_running and told is not None and told.pid == pid
    now_ns = time.time_ns()
    if as_json:
        shown = None if told is None else msgspec.to_builtins(told)
        answer = {"name": config.name, "running": is_running, "pid": pid, "config": str(path), "status": shown}
        click.echo(json.dumps(answer, indent=2))
    elif is_current and told is not None:
        click.echo("\n".join(status_lines(told, now_ns)))
    elif is_running:
        click.echo(f"agent {config.name} runs as process {pid} and has not yet said how it stands")
    if not is_running:
        since = ""
        if told is not None:
            age = span((now_ns - told.written_ns) / NS_PER_S)
            since = f"; it was last seen {age} ago ({moment(told.written_ns)}) as process {told.pid}"
        raise AgentError(f"agent {config.name} is not running{since}; start it with `osbench-agent start`")


def main() -> None:
    """Entry point; ends with the exit code of the error that ended it."""
    try:
        cli(standalone_mode=False)
    except OsbenchError as error:
        click.echo(f"osbench-agent: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(4)
    except click.ClickException as error:
        error.show()
        sys.exit(1)


if __name__ == "__main__":
    main()
