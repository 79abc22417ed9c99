"""A closed network of test hosts.

Rules: the bridge stands in a namespace of its own, which nothing joins to the machine's network: no packet can leave.
Addresses are 10.77.0.0/16. Several labs do not know of each other.
"""

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from lab.cores import CoreShare, sweep
from lab.host import Host
from lab.namespaces import Keeper

TESTS = Path(__file__).parent.parent


class Lab:
    """Makes hosts; a context manager that ends them all.

    Args:
        folder: for the hosts' own folders.
    """

    def __init__(self, folder: Path) -> None:
        sweep()
        self._folder = folder
        self._keeper = Keeper()
        self.hosts: dict[str, Host] = {}
        self._keeper.configure(
            "link set lo up", "link add br0 type bridge forward_delay 0 stp_state 0", "link set br0 up"
        )

    def host(self, name: str, *, cores: float | None = None, shift_s: int = 0, delay_s: float | None = None) -> Host:
        """Make a host and join it to the network.

        Args:
            name: up to 12 letters and digits.
            cores: how much CPU all its processes may use together; None for as much as there is.
            shift_s: its monotonic clock minus this machine's.
            delay_s: how long a frame takes each way, which can be changed later; None for a plain, fast cable.
        """
        assert name not in self.hosts
        number = len(self.hosts) + 2
        address, port = f"10.77.{number // 250}.{number % 250}", f"p-{name}"
        folder = self._folder / name
        (folder / "home").mkdir(parents=True, mode=0o700)
        keeper = Keeper(shift_s)
        relay = None
        if delay_s is None:
            self._keeper.configure(f"link add {port} type veth peer name eth0 netns {keeper.pid}")
        else:
            relay = self._relay(keeper, port)
        self._keeper.configure(f"link set {port} master br0 up")
        keeper.configure("link set lo up", f"addr add {address}/16 dev eth0", "link set eth0 up")
        host = Host(
            name=name,
            address=address,
            port=port,
            folder=folder,
            lab=self._keeper,
            keeper=keeper,
            shift_s=shift_s,
            cores=None if cores is None else CoreShare(name, cores),
            relay=relay,
        )
        if delay_s:
            host.set_delay(delay_s)
        self.hosts[name] = host
        return host

    def close(self) -> None:
        """End all hosts."""
        for host in self.hosts.values():
            host.close()
        self.hosts.clear()
        self._keeper.close()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _relay(self, keeper: Keeper, port: str) -> "subprocess.Popen[str]":
        relay = subprocess.Popen(
            [sys.executable, "-m", "lab.relay", str(self._keeper.pid), str(keeper.pid), port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
        )
        assert relay.stdout is not None
        assert relay.stdout.readline() == "ready\n", "the relay did not start"
        relay.stdout.close()
        return relay
