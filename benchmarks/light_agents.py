"""What 500 agents that only beat cost the coordinator: CPU of its main and its ingest process, of one core.

What is measured: the real daemon over tcp with CURVE, and one process with 500 agents (benchmarks/light_fleet), each with a
key, connections and an `AgentState` of its own. First the burst of clock probes at the join is let pass, then user + sys of
both processes is read over a time. Each agent says a report a second and a probe each five seconds, and both ends ping.

    python -m benchmarks.light_agents [--agents 500] [--seconds 20]
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.curve import load_key_pair, make_key_pair
from osbench.coordinator.home import open_home
from osbench.coordinator.store.sql import SqlStore, open_store

LIMIT = 0.2
START_S = 60.0
SETTLE_S = 6.0
FLEET = Path(__file__).with_name("light_fleet.py")


@dataclass
class Fleet:
    """The process of the light agents.

    Attributes:
        process: `light_fleet`, with its setup said to it.
    """

    process: "subprocess.Popen[str]"

    def count(self) -> dict[str, int]:
        """What its agents are and said so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counted: dict[str, int] = json.loads(self.process.stdout.readline())
        return counted

    def wait_welcomed(self) -> dict[str, int]:
        """Wait until the coordinator has taken all of them; the count of then."""
        deadline_s = time.monotonic() + START_S
        while (counted := self.count())["welcomed"] < counted["agents"]:
            if time.monotonic() > deadline_s:
                raise SystemExit(f"not all agents were taken within {START_S:g} s: {counted}")
            time.sleep(0.2)
        return counted


def enrol(store: SqlStore, count: int) -> list[dict[str, str]]:
    """Enrol so many agents as their operators would have, with an invitation each; name and keys of each."""
    identities = []
    now_ns = time.time_ns()
    for number in range(count):
        name, pair = f"light-{number}", make_key_pair()
        store.invite_create(digest=f"{number:064x}", name=name, expires_ns=now_ns + 900 * NS_PER_S)
        store.invite_redeem(digest=f"{number:064x}", name=name, public_key=pair.public, now_ns=now_ns)
        identities.append({"name": name, "public": pair.public, "secret": pair.secret})
    return identities


def setup_of(identities: Sequence[dict[str, str]], home: Path, host: str, control: int, bulk: int) -> dict[str, Any]:
    """What `light_fleet` is told; the coordinator of the home has run already."""
    server = load_key_pair(home / "coordinator.key")
    assert server is not None, "a coordinator that ran has a key"
    return {
        "control": f"tcp://{host}:{control}",
        "bulk": f"tcp://{host}:{bulk}",
        "server_key": server.public,
        "agents": list(identities),
    }


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def coordinator(home: Path, control: int, bulk: int, enrolment: int, api: int) -> Iterator[psutil.Process]:
    """The daemon of a home on loopback, until the block ends."""
    command = [sys.executable, "-m", "osbench.coordinator.daemon.main", "--home", str(home), "start"]
    command += ["--listen", "127.0.0.1", "--control-port", str(control), "--bulk-port", str(bulk)]
    command += ["--enrol-port", str(enrolment), "--api-port", str(api), "--log-level", "ERROR"]
    process = subprocess.Popen(command)
    try:
        deadline_s = time.monotonic() + START_S
        while not (home / "api.json").exists():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit("the coordinator did not come up")
            time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def fleet(setup: dict[str, Any]) -> Iterator[Fleet]:
    """Light agents on this machine, until the block ends."""
    process = subprocess.Popen([sys.executable, str(FLEET)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(setup) + "\n")
        process.stdin.flush()
        yield Fleet(process)
    finally:
        process.stdin.close()
        process.wait(30)


def cpu_s(process: psutil.Process) -> float:
    """User + sys of one process, all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def parts_of(main: psutil.Process) -> dict[str, psutil.Process]:
    """The coordinator's processes that agents keep busy."""
    ingest = next(child for child in main.children() if "ingest_process" in " ".join(child.cmdline()))
    return {"main": main, "ingest": ingest}


def measure(parts: dict[str, psutil.Process], seconds: float) -> dict[str, float]:
    """Share of a core that each of some processes takes over a time."""
    before, began_s = {name: cpu_s(one) for name, one in parts.items()}, time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    return {name: (cpu_s(one) - before[name]) / took_s for name, one in parts.items()}


def main() -> int:
    """Measure and print; 1 if the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osbench-bench-") as folder:
        home = open_home(folder, {})
        store = open_store(home.database, clock=SystemClock(), key_file=home.key_file)
        identities = enrol(store, options.agents)
        store.close()
        ports = free_ports(4)
        with (
            coordinator(home.path, *ports) as process,
            fleet(setup_of(identities, home.path, "127.0.0.1", ports[0], ports[1])) as light,
        ):
            light.wait_welcomed()
            time.sleep(SETTLE_S)
            before = light.count()
            shares = measure(parts_of(process), options.seconds)
            after = light.count()
    said = {what: after[what] - before[what] for what in ("reports", "probes")}
    total = sum(shares.values())
    print(
        f"{options.agents} light agents, {said['reports'] / options.seconds:,.0f} reports and"
        f" {said['probes'] / options.seconds:,.0f} probes a second over {options.seconds:g} s"
    )
    print(f"coordinator, of one core: main {shares['main']:.1%}, ingest {shares['ingest']:.1%}")
    print(f"both = {total:.1%}   (at most {LIMIT:.0%})")
    return int(total > LIMIT or after["welcomed"] < options.agents)


if __name__ == "__main__":
    sys.exit(main())
