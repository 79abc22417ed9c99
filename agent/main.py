"""`osbench-agent`: the daemon of a load host."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click
import uvloop

from osbench.agent.config import read_config
from osbench.agent.supervisor import Supervisor
from osbench.common.error import OsbenchError

log = logging.getLogger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="osbench", prog_name="osbench-agent")
def cli() -> None:
    """Puts the load of OSBench on a cloud from this host."""


@cli.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="JSON file: name, control, bulk, spool, workers.",
)
@click.option("--log-level", default="INFO", show_default=True, help="DEBUG, INFO, WARNING or ERROR.")
def start(config_path: Path, log_level: str) -> None:
    """Run the agent in the foreground until SIGTERM or SIGINT; records not yet delivered stay in the spool.

    Example: osbench-agent start --config /etc/osbench/agent.json
    """
    if log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise click.BadParameter(f"{log_level!r} is not one of DEBUG, INFO, WARNING, ERROR", param_hint="--log-level")
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    uvloop.run(_live(config_path))


async def _live(config_path: Path) -> None:
    config = read_config(config_path)
    supervisor = Supervisor(config)
    log.info("agent %s, life %d, %d workers, spool %s", config.name, supervisor.life, config.worker_count, config.spool)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.live()


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
