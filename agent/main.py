"""`osbench-agent`: the daemon of a load host, and what its operator asks and tells it."""

import asyncio
import json
import logging
import os
import re
import resource
import signal
import sys
import time
from pathlib import Path

import click
import msgspec
import uvloop

from osbench.agent.config import MAX_WORKERS, AgentConfig, default_config_path, default_spool_path, read_config
from osbench.agent.open_files import GOOD_NOFILE, raise_open_files
from osbench.agent.spool_folder import SpoolFolder
from osbench.agent.spool_lock import SpoolLock, holder
from osbench.agent.status import moment, read_status, span, status_lines
from osbench.agent.supervisor import Supervisor
from osbench.common.clock import NS_PER_S
from osbench.common.completion import complete_variable, completion_command
from osbench.common.curve import fingerprint
from osbench.common.daemonize import Launch, launch, told
from osbench.common.error import AgentError, InputError
from osbench.common.exit_codes import ErrorsToExitCodes
from osbench.common.invitation import MAX_LINE_CHARACTERS, parse_invitation
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


class AgentCommands(ErrorsToExitCodes):
    """Errors say whose they are: they often stand in the journal of a host."""

    said_before = "osbench-agent: "


@click.group(cls=AgentCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="osbench", prog_name="osbench-agent")
def cli() -> None:
    """Puts the load of OSBench on a cloud from this host."""


def byte_count(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """A number of bytes as people write it: bare, or with a binary unit."""
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]iB)?", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no number of bytes like 4294967296 or 4GiB")
    power = ("", "KiB", "MiB", "GiB", "TiB").index(found[2] or "")
    return int(found[1]) << 10 * power


def _config_path(path: Path | None) -> Path:
    """Where the configuration is."""
    return (path or default_config_path(os.environ)).expanduser().absolute()


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
    config = read_config(_config_path(config_path))
    folder = SpoolFolder(Path(config.spool))
    if is_daemon:
        log_file = log_file or folder.root / "agent.log"
    launched = launch(log_file, in_background=is_daemon)
    if isinstance(launched, int):
        click.echo(f"agent {config.name} runs as process {launched} and logs to {log_file}")
        return
    with told(launched):
        _run(config, folder, log_format, log_level, grace_s, launched)


def _run(
    config: AgentConfig,
    folder: SpoolFolder,
    log_format: str,
    log_level: str,
    grace_s: float,
    launched: Launch,
) -> None:
    configure_logging(log_level, as_json=log_format == "json")
    if (limit := raise_open_files()) < GOOD_NOFILE and limit != resource.RLIM_INFINITY:
        log.warning("%d open files at most; a large load needs %d (LimitNOFILE= in the unit)", limit, GOOD_NOFILE)
    lock = SpoolLock(folder.root)
    try:
        uvloop.run(_live(config, folder, grace_s, launched))
    finally:
        lock.close()


async def _live(config: AgentConfig, folder: SpoolFolder, grace_s: float, launched: Launch) -> None:
    supervisor = Supervisor(config, folder, grace_s)
    log.info("agent %s, life %d, %d workers, spool %s", config.name, supervisor.life, config.worker_count, config.spool)
    # Stamps of records are on this clock: with this line they can be told on any other of the machine.
    log.debug("the clock of this life is %d ns ahead of the monotonic clock", supervisor.clock.offset_ns)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    launched.succeeded()
    await supervisor.live()


@cli.command()
@config_option
@click.option("--name", help="The name this host expects; an invitation for another one is refused.")
@click.option(
    "--label", "labels", multiple=True, metavar="WORD", help="By which tasks choose agents; as often as wanted."
)
@click.option(
    "--workers", type=click.IntRange(0, MAX_WORKERS), default=0, show_default="one per core", help="Processes."
)
@click.option(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for records not yet delivered; by default that of the configuration that is replaced, else "
    "/var/lib/osbench/agent for root, else osbench/agent in the user's data folder.",
)
@click.option(
    "--spool-limit",
    "spool_limit_bytes",
    callback=byte_count,
    default="4GiB",
    show_default=True,
    metavar="SIZE",
    help="Above it rows of calls are given up and their histograms kept; bytes, or with KiB, MiB, GiB, TiB.",
)
@click.option("--force", "is_forced", is_flag=True, help="Replace a configuration that is there; the spool stays.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 600),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="For the coordinator to answer.",
)
def join(
    config_path: Path | None,
    name: str | None,
    labels: tuple[str, ...],
    workers: int,
    spool: Path | None,
    spool_limit_bytes: int,
    is_forced: bool,
    timeout_s: float,
) -> None:
    """Make this host an agent: takes the line that `osbench-coordinator invite NAME` printed from standard input.

    Example: ssh control osbench-coordinator invite load-1 | osbench-agent join --label rack-2
    """
    from osbench.agent.joining import JoinOptions
    from osbench.agent.joining import join as join_coordinator

    path = _config_path(config_path)
    invitation = parse_invitation(_read_invitation())
    if name is not None and name != invitation.name:
        raise InputError(f"the invitation is for agent {invitation.name!r}, not for {name!r}")
    chosen = (spool or _present_spool(path, is_forced) or default_spool_path()).expanduser().absolute()
    config = join_coordinator(
        invitation,
        JoinOptions(
            config=path,
            spool=chosen,
            workers=workers,
            spool_limit_bytes=spool_limit_bytes,
            labels=labels,
            is_forced=is_forced,
            timeout_s=timeout_s,
        ),
    )
    click.echo(
        f"agent {config.name} has joined the coordinator at {config.control}, key {fingerprint(config.public_key)}"
    )
    click.echo(f"configuration {path}, spool {config.spool}")
    if (pid := holder(chosen)) is not None:
        click.echo(f"next: end process {pid}, which still runs with the old configuration, and start the agent again")
    else:
        click.echo("next: osbench-agent start (or, with the unit installed: systemctl enable --now osbench-agent)")


def _read_invitation() -> str:
    """One line: of standard input, or typed unseen at a terminal. Never of the command line, which everybody sees."""
    if sys.stdin.isatty():
        return str(click.prompt("invitation", hide_input=True, err=True))
    return sys.stdin.readline(MAX_LINE_CHARACTERS + 2)


def _present_spool(path: Path, is_forced: bool) -> Path | None:
    """The spool of the configuration that is replaced, which may hold records."""
    if not (is_forced and path.exists()):
        return None
    try:
        return Path(read_config(path).spool)
    except InputError as error:
        click.echo(f"osbench-agent: the configuration that is replaced cannot be read: {error}", err=True)
        return None


@cli.command()
@config_option
@json_option
def check(config_path: Path | None, as_json: bool) -> None:
    """Look whether an agent can work on this host: configuration, coordinator, limits, spool, clock, libraries.

    The exit status is 1 if anything fails.
    """
    from osbench.agent.check import check_host

    findings = check_host(_config_path(config_path))
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.level:<5} {finding.what:<8} {finding.text}")
            if finding.cure:
                click.echo(f"{'':14} {finding.cure}")
    failed = [finding.what for finding in findings if finding.level == "fail"]
    if failed:
        raise AgentError(f"this host is not fit: {', '.join(failed)}")


@cli.command()
@config_option
@json_option
def status(config_path: Path | None, as_json: bool) -> None:
    """Show how the agent of this host stands; the exit status is 0 if it runs and 1 if it does not."""
    path = _config_path(config_path)
    config = read_config(path)
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


cli.add_command(completion_command("osbench-agent"))


def main() -> None:
    """Entry point; ends with the exit code of the error that ended it."""
    # The name by which a shell asks for completions is that of the command, however it was started.
    cli.main(prog_name="osbench-agent", complete_var=complete_variable("osbench-agent"))


if __name__ == "__main__":
    main()
