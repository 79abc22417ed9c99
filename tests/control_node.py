"""Load hosts and a control node: real `osbench-agent` processes, and the parts of a coordinator that they meet first.

The control node has the coordinator's own sockets, gatekeeper, gateway and enrolment, and a real store. It takes hosts in,
welcomes agents and answers their clock probes; it conducts no run. It works in a thread, with a loop of its own, so that a
test can wait for agents' processes.
"""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from local_osbench import wait_for

from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.curve import make_key_pair
from osbench.common.messages import Hello, Refusal, Report, ToAgent, ToCoordinator, Welcome
from osbench.common.sockets import bound_endpoint, bulk_router, control_router
from osbench.coordinator.enrolment import EnrolmentDesk
from osbench.coordinator.gatekeeper import Gatekeeper
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.keyring import KeyRing
from osbench.coordinator.membership import invite, revoke
from osbench.coordinator.peers import KeyedPeers
from osbench.coordinator.store.sql import open_store


class ControlNode:
    """What a test sees of it.

    Attributes:
        refusal: said to whoever says hello; empty to welcome. heard: hellos. reports: the newest of each agent.
    """

    def __init__(self, folder: Path) -> None:
        self.refusal = ""
        self.heard: list[Hello] = []
        self.reports: dict[str, Report] = {}
        self._clock = SystemClock()
        self._store = open_store(str(folder / "osbench.db"), clock=self._clock)
        self._key = make_key_pair()
        self._ring = KeyRing({})
        self._port = 0
        self._ports: tuple[int, int, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Come up, on the ports it had before."""
        is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(is_up)))
        self._thread.start()
        assert is_up.wait(10)

    def stop(self) -> None:
        """Go down; the store stays."""
        if self._thread is not None:
            assert self._loop is not None
            assert self._ending is not None
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join(10)
            self._thread = None

    def close(self) -> None:
        self.stop()
        self._store.close()

    def send(self, agent: str, message: ToAgent) -> None:
        """Say something to an agent that was heard."""
        assert self._loop is not None
        assert asyncio.run_coroutine_threadsafe(self._gateway.send(agent, message), self._loop).result(10)

    def invite(self, name: str, minutes: float = 15.0) -> str:
        """The line for a host."""
        return invite(
            self._store, self._key, name, host="127.0.0.1", port=self._port, minutes=minutes, clock=self._clock
        ).line()

    def revoke(self, name: str) -> None:
        """Take the key away; connections that are there are ended, as a restart of the coordinator does."""
        revoke(self._store, name, self._clock)
        self._read_keys()

    def restore(self, name: str, public_key: str) -> None:
        """The key is let in again, as after another join with it."""
        self._ring.replace({**self._ring.names(), public_key: name})

    def _read_keys(self) -> None:
        self._ring.replace({key.public_key: key.name for key in self._store.agent_key_list()})

    async def _serve(self, is_up: threading.Event) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        context = zmq.asyncio.Context()
        gatekeeper = Gatekeeper(context, self._ring)
        gatekeeper.start()
        self._read_keys()
        wanted = self._ports or ("*", "*", "*")
        control = control_router(context, f"tcp://127.0.0.1:{wanted[0]}", server=self._key)
        plain: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(context.underlying)
        bulk = bulk_router(plain, f"tcp://127.0.0.1:{wanted[1]}", server=self._key)
        ports = [int(bound_endpoint(socket).rpartition(":")[2]) for socket in (control, bulk)]
        desk = EnrolmentDesk(
            context,
            f"tcp://127.0.0.1:{wanted[2]}",
            self._key,
            self._store,
            clock=self._clock,
            control_port=ports[0],
            bulk_port=ports[1],
            advertise="",
            on_enrolled=self._on_enrolled,
        )
        self._port = int(desk.endpoint.rpartition(":")[2])
        self._ports = (ports[0], ports[1], self._port)
        gateway = Gateway(control, self._clock, self._hear, KeyedPeers(self._ring))
        self._gateway = gateway
        tasks = [asyncio.create_task(gateway.listen()), asyncio.create_task(desk.serve())]
        is_up.set()
        await self._ending.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gatekeeper.stop()
        bulk.close(linger=0)
        context.destroy(linger=0)

    async def _on_enrolled(self) -> None:
        self._read_keys()

    def _hear(self, agent: str, message: ToCoordinator, _received_ns: int) -> None:
        if isinstance(message, Hello):
            self.heard.append(message)
            answer: ToAgent = Welcome(life=message.life, lease_ns=30 * NS_PER_S)
            if self.refusal:
                answer = Refusal(reason=self.refusal)
            sending = asyncio.ensure_future(self._gateway.send(agent, answer))
            sending.add_done_callback(lambda done: done.result())
        elif isinstance(message, Report):
            self.reports[agent] = message

    def has_report_of(self, agent: str, life: int) -> bool:
        report = self.reports.get(agent)
        return report is not None and report.life == life


@dataclass
class LoadHost:
    """A host of one agent: its files, and the processes that were started on it."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "etc" / "agent.json"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command of osbench-agent, to its end."""
        command = [
            sys.executable,
            "-m",
            "osbench.agent.main",
            arguments[0],
            "--config",
            str(self.config),
            *arguments[1:],
        ]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    def join(self, invitation: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Become an agent."""
        return self.run("join", "--spool", str(self.spool), *options, stdin=invitation + "\n")

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start the agent in the foreground; its log is in `log-<n>`."""
        command = [sys.executable, "-m", "osbench.agent.main", "start", "--config", str(self.config), *options]
        with (self.folder / f"log-{len(self.processes)}").open("w") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
        self.processes.append(process)
        return process

    def log(self, number: int = -1) -> str:
        """What an agent logged."""
        return (self.folder / f"log-{number % len(self.processes)}").read_text()

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        answer: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return answer

    def wait_for_link(self, state: str) -> dict[str, Any]:
        """Wait until the control channel is said to be in a state; the status of then, read as `status` reads it."""

        def look() -> dict[str, Any] | None:
            try:
                told: dict[str, Any] = json.loads((self.spool / "status.json").read_text())
            except FileNotFoundError:
                return None
            return told if told["control"]["state"] == state else None

        found: dict[str, Any] = wait_for(f"a control channel that is {state}", look, 30)
        return found

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
