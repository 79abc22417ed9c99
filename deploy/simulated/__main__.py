"""The simulated cloud as a process: `python -m osbench.deploy.simulated --listen 127.0.0.1:0 --ready-file PATH`.

Rules: the composition root of this package. The ready file (0600) is written whole, only when the server listens, and
holds what a client needs but no password. The process ends on SIGTERM or SIGINT, when the parent it was told of is
gone, or when its lifetime is over. Exit codes: 0 ended as asked, 1 a configuration or address it cannot take.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import uvloop

from osbench.common.clock import SystemClock
from osbench.common.error import InputError, OsbenchError
from osbench.deploy.simulated.cloud import Cloud
from osbench.deploy.simulated.config import SimulationSpec, make_spec, read_spec
from osbench.deploy.simulated.server import AccessLog, Serving

PARENT_CHECK_S = 0.5
MAX_LIFETIME_S = 30 * 86_400.0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m osbench.deploy.simulated", description=__doc__.split("\n")[0])
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT; port 0 takes any free one")
    parser.add_argument("--config", type=Path, help="YAML or JSON file; without one all defaults hold")
    parser.add_argument("--ready-file", type=Path, help="written once the server listens")
    parser.add_argument("--access-log", type=Path, help="one line a request")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    parser.add_argument("--lifetime", type=float, default=MAX_LIFETIME_S, help="end after this many seconds")
    return parser.parse_args(arguments)


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of a HOST:PORT text.

    Raises:
        InputError: it is none.
    """
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"--listen {listen}: HOST:PORT with a port within 0 … 65535 is needed")
    return host.strip("[]"), int(port)


def origin_of(address: tuple[str, int]) -> str:
    """The URL of a listening address (RFC 3986, 3.2.2: an IPv6 one stands in brackets)."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{host}:{address[1]}"


def write_ready(path: Path, spec: SimulationSpec, address: tuple[str, int]) -> None:
    """Write the ready file: address, sign-in URL and process id; readable by its owner only."""
    origin = origin_of(address)
    document = {
        "auth_url": f"{origin}/identity/v3",
        "origin": origin,
        "pid": os.getpid(),
        "region": spec.region,
        "username": spec.admin.name,
        "project_name": spec.admin.project,
    }
    half = path.with_name(path.name + ".half")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    half.replace(path)


async def serve(options: argparse.Namespace, spec: SimulationSpec) -> None:
    """Serve until told to end."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    cloud = Cloud(spec, SystemClock(), os.urandom)
    log = None
    if options.access_log is not None:
        log = AccessLog(options.access_log.open("a", buffering=1 << 16), cloud.world.fine_stamp)
    serving = Serving(cloud, log)
    host, port = address_of(options.listen)
    try:
        await serving.start(host, port)
    except OSError as error:
        raise InputError(f"--listen {options.listen}: {error.strerror or error}") from error
    if options.ready_file is not None:
        write_ready(options.ready_file, spec, serving.address)
    print(f"simulated cloud: {origin_of(serving.address)}/identity/v3", flush=True)
    watch = None if options.parent_pid is None else loop.create_task(_watch(options.parent_pid, done))
    try:
        await asyncio.wait_for(done.wait(), min(options.lifetime, MAX_LIFETIME_S))
    except TimeoutError:
        print("simulated cloud: its lifetime is over", flush=True)
    if watch is not None:
        watch.cancel()
    await serving.stop()


async def _watch(parent_pid: int, done: asyncio.Event) -> None:
    """Set `done` when the parent is gone; its start time tells it from a later process of the same id."""
    try:
        parent = psutil.Process(parent_pid)
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(PARENT_CHECK_S)
    except psutil.NoSuchProcess:
        pass
    done.set()


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        spec = make_spec({}) if options.config is None else read_spec(options.config)
        uvloop.run(serve(options, spec))
    except OsbenchError as error:
        print(f"simulated cloud: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
