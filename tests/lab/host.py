"""One test host: what runs on it, and what is done to it.

Rules: a host's processes are known by the pid namespace they are in, so none escapes a freeze or a kill by becoming a
daemon. Paths are absolute: all hosts see this machine's files, and each has a home folder of its own.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lab.cores import CoreShare
from lab.namespaces import Keeper, children_of, state_of, wait_until

Answer = TypeVar("Answer")


@dataclass
class HostProcess:
    """A process on a host.

    Attributes:
        pid: as this machine numbers it. log: what it prints, both channels.
    """

    pid: int
    log: Path
    _proxy: "subprocess.Popen[bytes]"

    def signal(self, number: int) -> None:
        """Send it a signal; one that is gone hears none."""
        if self.is_alive():
            os.kill(self.pid, number)
        if number in (signal.SIGKILL, signal.SIGCONT):
            self.wake()

    def hold(self) -> None:
        """Have the one that stands for it outside look away, while it is stopped.

        nsenter stops itself when it sees its child stopped, and has it go on when it goes on itself: a moment after that
        the child might have been stopped anew.
        """
        if self._proxy.poll() is None:
            self._proxy.send_signal(signal.SIGSTOP)
            wait_until(lambda: state_of(self._proxy.pid) in "TZ", "nsenter to stop")

    def wake(self) -> None:
        """Have the one that stands for it outside look again."""
        if self._proxy.poll() is None:
            self._proxy.send_signal(signal.SIGCONT)

    def is_alive(self) -> bool:
        return self._proxy.poll() is None

    def wait(self, patience_s: float = 60.0) -> int:
        """Its exit code, minus the number of the signal that ended it; waits for it."""
        return self._proxy.wait(patience_s)

    def kill(self) -> int:
        """kill -9, and its exit code."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def output(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace")


class Host:
    """A namespace host; `Lab.host` makes it.

    Attributes:
        name, address: unique in the lab. folder: its own; `home` in it is its user's.
        shift_s: its monotonic clock minus this machine's.
    """

    def __init__(
        self,
        *,
        name: str,
        address: str,
        port: str,
        folder: Path,
        lab: Keeper,
        keeper: Keeper,
        shift_s: int,
        cores: CoreShare | None,
        relay: "subprocess.Popen[str] | None",
    ) -> None:
        self.name, self.address, self.folder, self.shift_s = name, address, folder, shift_s
        self._port, self._lab, self._keeper, self._cores, self._relay = port, lab, keeper, cores, relay
        self._started: list[HostProcess] = []
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
        }
        for kept in ("PYTHONPATH", "PYTHONDEVMODE"):
            if kept in os.environ:
                self.environment[kept] = os.environ[kept]

    # What runs on it.

    def start(self, *command: str, env: Mapping[str, str] | None = None, stdin: str = "") -> HostProcess:
        """Start a command that runs for a while; see `run` for those that are over at once."""
        number = len(self._started)
        log = self.folder / f"output-{number}-{Path(command[0]).name}"
        with log.open("wb") as output:
            proxy = subprocess.Popen(
                self.entering(*command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment, **(env or {})},
            )
        assert proxy.stdin is not None
        proxy.stdin.write(stdin.encode())
        proxy.stdin.close()
        wait_until(lambda: children_of(proxy.pid) or proxy.poll() is not None, f"{command} on {self.name}")
        pids = children_of(proxy.pid)
        assert pids, f"{command} on {self.name} was over at once: {log.read_text()}"
        started = HostProcess(pids[0], log, proxy)
        self._started.append(started)
        return started

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, stdin: str = "", patience_s: float = 60.0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; nothing is checked."""
        return subprocess.run(
            self.entering(*command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**self.environment, **(env or {})},
            timeout=patience_s,
        )

    def within(self, function: Callable[[], Answer]) -> Answer:
        """Call a function of this process as if on the host, as far as the network is concerned."""
        return self._keeper.within(function)

    def processes(self) -> list[int]:
        """All that runs on it, by this machine's numbers."""
        return self._keeper.processes()

    def entering(self, *command: str) -> list[str]:
        """The command line that runs a command on it, for what needs pipes of its own."""
        entering = self._keeper.entering(*command)
        return entering if self._cores is None else self._cores.limiting(*entering)

    # What is done to it.

    def unplug(self) -> None:
        """Take the cable out: the host sees that its link is down."""
        self._lab.configure(f"link set {self._port} down")

    def plug(self) -> None:
        """Put the cable in again."""
        self._lab.configure(f"link set {self._port} up")

    def mute(self) -> None:
        """Half a connection: what is sent to the host arrives, what it sends does not, and nobody is told."""
        self._swallow("add", self._keeper, "eth0")

    def deafen(self) -> None:
        """The other half: what the host sends arrives, what is sent to it does not."""
        self._swallow("add", self._lab, self._port)

    def unmute(self) -> None:
        """What it sends arrives again."""
        self._swallow("del", self._keeper, "eth0")

    def undeafen(self) -> None:
        """What is sent to it arrives again."""
        self._swallow("del", self._lab, self._port)

    def set_delay(self, delay_s: float, jitter_s: float = 0.0) -> None:
        """How long each frame takes, each way; only for hosts that were made with a delay."""
        assert self._relay is not None, f"{self.name} has a plain cable: make it with a delay"
        assert self._relay.stdin is not None
        self._relay.stdin.write(json.dumps({"delay_s": delay_s, "jitter_s": jitter_s}) + "\n")
        self._relay.stdin.flush()

    def freeze(self) -> None:
        """Stop all its processes where they are; they are when this returns."""
        for one in self._started:
            one.hold()
        self._send_all(signal.SIGSTOP)
        wait_until(lambda: all(state_of(pid) in "TZ" for pid in self.processes()), f"{self.name} to stand still")

    def thaw(self) -> None:
        """Let them go on."""
        self._send_all(signal.SIGCONT)
        for one in self._started:
            one.wake()

    def kill(self) -> None:
        """kill -9 of all its processes; the host itself stays, and its network."""
        self._send_all(signal.SIGKILL)
        for one in self._started:
            # It is in the list of processes until it was waited for, which a stopped proxy does not.
            one.wake()
            one.wait()
        wait_until(lambda: not self.processes(), f"all processes of {self.name} to end")

    def close(self) -> None:
        """End it and its network."""
        self.kill()
        self._keeper.close()
        if self._relay is not None:
            assert self._relay.stdin is not None
            self._relay.stdin.close()
            self._relay.wait(10)
        if self._cores is not None:
            self._cores.close()

    def _swallow(self, verb: str, keeper: Keeper, device: str) -> None:
        # A queue that loses everything (sch_blackhole of the kernel itself) needs no firewall.
        command = ["nsenter", "--target", str(keeper.pid), "--net", "--"]
        subprocess.run([*command, "tc", "qdisc", verb, "dev", device, "root", "blackhole"], check=True)

    def _send_all(self, number: int) -> None:
        """Send a signal to all processes, those too that are started meanwhile."""
        told: set[int] = set()
        while new := set(self.processes()) - told:
            for pid in new:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            told |= new
