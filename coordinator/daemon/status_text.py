"""What `osbench-coordinator status` and `stop --drain` ask of the coordinator that runs here, over its own API."""

import json
import time
from importlib.metadata import version

import click
import msgspec

from osbench.common.error import CoordinatorError, InputError
from osbench.coordinator.api.access import find_access
from osbench.coordinator.api.client import ApiClient
from osbench.coordinator.daemon.process import DaemonProcess
from osbench.coordinator.desk import CoordinatorStatus
from osbench.coordinator.home import Home

#: How often it is looked whether a task that drains has ended.
LOOK_S = 0.5


def open_client(home: Home) -> ApiClient:
    """The API of the coordinator of this home.

    Raises:
        CoordinatorError: none serves here.
    """
    access = find_access(home.path, {})
    if access is None:
        raise CoordinatorError(f"the coordinator of {home.path} does not serve its API (yet); its log says why")
    return ApiClient(access, release=version("osbench"))


def print_status(home: Home, *, as_json: bool) -> int:
    """Show how the coordinator is; returns the exit code."""
    process = DaemonProcess(home.path).running()
    if process is None:
        if as_json:
            click.echo(json.dumps({"running": False, "home": str(home.path)}))
        else:
            click.echo(f"No coordinator runs on {home.path}; start one with `osbench-coordinator start`.")
        return 1
    with open_client(home) as client:
        status = client.status()
    if as_json:
        shown = {"running": True, "home": str(home.path), "pid": process.pid, **msgspec.to_builtins(status)}
        click.echo(json.dumps(shown, indent=2))
        return 0
    for line in status_lines(status, process.pid, str(home.path), time.time_ns()):
        click.echo(line)
    return 0


def status_lines(status: CoordinatorStatus, pid: int, home: str, wall_ns: int) -> list[str]:
    """The status in words.

    Args:
        wall_ns: now.
    """
    up_s = max(wall_ns - status.up_since_ns, 0) // 10**9
    agents = ", ".join(f"{count} {word}" for word, count in sorted(status.agents.items()) if count) or "none"
    lines = [
        f"Coordinator {status.version} of {home} runs as process {pid}, up for {_duration(up_s)}",
        f"Agents: {agents}",
        f"Task under way: {status.task or 'none'}; waiting: {status.queued}",
        f"Store: {status.store_url}",
    ]
    for line in status.processes:
        lines.append(
            f"Process {line.name} ({line.pid}): {line.cpu_permille / 10:.1f} % of a core, "
            f"{line.memory_bytes / 2**20:.0f} MiB"
        )
    return [*lines, *(f"Trouble: {text}" for text in status.trouble)]


def drain_task(home: Home) -> None:
    """Ask the task under way to end, let what is in flight end, and wait until it has cleaned up."""
    with open_client(home) as client:
        if not (task := client.status().task):
            return
        try:
            click.echo(client.task_end(task, soft=True), err=True)
        except InputError:
            return  # It has just ended.
        while client.status().task == task:
            time.sleep(LOOK_S)


def _duration(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)[:20] or "0 s"
