"""A coordinator's daemon and agents of its own on loopback: real processes, started by the commands people type."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from local_osbench import wait_for
from stored_records import StoredRecords

from osbench.common.known_process import read_process
from osbench.coordinator.api.access import find_access
from osbench.coordinator.api.client import ApiClient

PATIENCE_S = 60.0


def script(name: str) -> str:
    """One of the commands, of the environment that runs this test."""
    return str(Path(sys.executable).with_name(name))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, as far as can be known."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@dataclass
class Daemons(StoredRecords):
    """One coordinator, its agents, and a shell beside it.

    Attributes:
        folder: of this test. settings: of the coordinator.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    coordinator: subprocess.Popen[bytes] | None = None
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    commands: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700, parents=True)
        control, bulk, enrol, api = free_ports(4)
        ports = {"control_port": control, "bulk_port": bulk, "enrol_port": enrol, "api_port": api}
        known = {"listen": "127.0.0.1", "advertise": "127.0.0.1", **ports, **self.settings}
        (self.home / "coordinator.yaml").write_text(json.dumps(known))

    # The coordinator.

    def start_coordinator(self) -> None:
        """Start it, and wait until it serves."""
        if self.coordinator is not None:
            self.coordinator.wait(PATIENCE_S)
        (self.home / "api.json").unlink(missing_ok=True)
        with (self.folder / "coordinator.log").open("ab") as log:
            self.coordinator = subprocess.Popen(
                [script("osbench-coordinator"), "--home", str(self.home), "start"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for("the API", lambda: (self.home / "api.json").exists() or self.coordinator_log_if_gone())

    def coordinator_log_if_gone(self) -> bool:
        """Fails with the log where the coordinator has ended."""
        assert self.coordinator is not None
        assert self.coordinator.poll() is None, self.log()
        return False

    def log(self) -> str:
        """What the coordinator said so far."""
        return (self.folder / "coordinator.log").read_text()

    def ingest(self) -> psutil.Process:
        """Its ingest process."""
        assert self.coordinator is not None
        children = psutil.Process(self.coordinator.pid).children()
        return next(child for child in children if "ingest_process" in " ".join(child.cmdline()))

    def kill_coordinator(self) -> None:
        """As the kernel does it when memory is out: it and its children."""
        assert self.coordinator is not None
        family = [*psutil.Process(self.coordinator.pid).children(recursive=True), psutil.Process(self.coordinator.pid)]
        for process in reversed(family):
            process.kill()
        self.coordinator.wait(PATIENCE_S)

    def coordinate(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A command of the operator."""
        return _finished([script("osbench-coordinator"), "--home", str(self.home), *arguments], given)

    # Agents.

    def agent_config(self, name: str) -> Path:
        return self.folder / name / "agent.json"

    def join(self, name: str, *options: str, workers: int = 1) -> None:
        """Invite an agent and have it join."""
        line = self.coordinate("invite", name).stdout
        (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        done = _finished(
            [
                script("osbench-agent"),
                "join",
                "--config",
                str(self.agent_config(name)),
                "--spool",
                str(self.folder / name / "spool"),
                "--workers",
                str(workers),
                *options,
            ],
            line,
        )
        assert done.returncode == 0, done.stderr

    def start_agent(self, name: str) -> None:
        """Start an agent that has joined."""
        with (self.folder / name / "agent.log").open("ab") as log:
            self.agents[name] = subprocess.Popen(
                [script("osbench-agent"), "start", "--config", str(self.agent_config(name))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_agent(self, name: str) -> None:
        """SIGKILL of the supervisor; its workers notice."""
        self.agents[name].kill()
        self.agents[name].wait(PATIENCE_S)

    def standing(self, name: str) -> str:
        """How the coordinator thinks of an agent."""
        access = find_access(self.home, {})
        assert access is not None, "a coordinator that runs has left its access"
        with ApiClient(access, release="test") as client:
            return next((line.standing.value for line in client.agent_list() if line.name == name), "")

    def wait_connected(self, name: str) -> None:
        """Wait until an agent is there."""
        wait_for(f"agent {name}", lambda: self.standing(name) == "connected")

    def with_agents(self, names: Sequence[str]) -> None:
        """Join and start agents, and wait until they are connected."""
        for name in names:
            self.join(name)
            self.start_agent(name)
        for name in names:
            self.wait_connected(name)

    # The shell beside the coordinator.

    def make_cloud(self) -> None:
        """A deployment that costs little."""
        done = self.run("deployment", "create", "cloud", "--engine", "simulated")
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command `osbench`, to its end."""
        return _finished([script("osbench"), "--home", str(self.home), *arguments], "")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command `osbench` that goes on."""
        command = [script("osbench"), "--home", str(self.home), *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.commands.append(process)
        return process

    def logs(self) -> str:
        """What everybody here said, for whoever looks into a test that failed."""
        return "\n".join(f"== {path}\n{path.read_text()}" for path in sorted(self.folder.glob("**/*.log")))

    def end_all(self) -> None:
        """End everything that was started here."""
        everything: list[subprocess.Popen[Any]] = [*self.commands, *self.agents.values()]
        if self.coordinator is not None:
            everything.append(self.coordinator)
        for process in everything:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        for process in everything:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._end_clouds()

    def _end_clouds(self) -> None:
        """Simulated clouds outlive who made them."""
        for path in self.home.glob("deployments/*/process.json"):
            known = read_process(path)
            cloud = known.alive() if known is not None else None
            if cloud is not None:
                cloud.terminate()
                psutil.wait_procs([cloud], 10)


def _finished(command: Sequence[str], given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
