"""Namespaces without names: a process keeps them, and they are gone when it is.

Rules: nothing is left behind, also not by `kill -9` of the tests: the kernel ends a keeper with the thread that started
it (prctl PR_SET_PDEATHSIG), and with a keeper, which is the first process of a pid namespace, all that ran in it. Start
keepers in the main thread only. The tools are those of util-linux (unshare, nsenter, setpriv).
"""

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
#: A host's first process: it does nothing, and has the kernel reap what loses its parent (SIGCHLD ignored, wait(2)).
_IDLE = "echo ready; exec env --ignore-signal=CHLD sleep infinity"
_START_S = 10.0

Answer = TypeVar("Answer")


class Keeper:
    """Holds a network, pid, mount and hostname namespace of its own, and one of time where a shift is given.

    Args:
        shift_s: by how much the monotonic clock in there is ahead of this machine's.

    Attributes:
        pid: of the first process of the pid namespace, as this machine numbers it.
    """

    def __init__(self, shift_s: int = 0) -> None:
        flags = ["--net", "--pid", "--mount", "--uts", "--fork", "--kill-child=KILL", "--mount-proc"]
        self._time: list[str] = []
        if shift_s:
            flags += ["--time", "--monotonic", str(shift_s), "--boottime", str(shift_s)]
            self._time = ["--time"]
        self._outer = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *flags, "sh", "-c", _IDLE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._outer.stdout is not None
        if self._outer.stdout.readline() != "ready\n":
            _, error = self._outer.communicate(timeout=_START_S)
            raise OSError(f"no namespaces: {error.strip()}")
        self.pid = children_of(self._outer.pid)[0]
        self._pid_namespace = Path(f"/proc/{self.pid}/ns/pid").stat().st_ino

    def entering(self, *command: str) -> list[str]:
        """The command line that runs a command in all of these namespaces."""
        return ["nsenter", "--target", str(self.pid), "--net", "--pid", "--mount", "--uts", *self._time, "--", *command]

    def configure(self, *lines: str) -> None:
        """Run lines of `ip` on the network in there.

        Raises:
            OSError: `ip` refused one.
        """
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", "--", "ip", "-batch", "-"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"ip refused {lines}: {done.stderr.strip()}")

    def processes(self) -> list[int]:
        """All that runs in there but the keeper itself, by this machine's numbers."""
        return [pid for pid in _all_pids() if pid != self.pid and _namespace_of(pid) == self._pid_namespace]

    def within(self, function: Callable[[], Answer]) -> Answer:
        """Call a function in a thread that is on the network in there; sockets it makes belong there."""

        def enter() -> Answer:
            enter_network(self.pid)
            return function()

        with ThreadPoolExecutor(max_workers=1) as executor:
            return executor.submit(enter).result()

    def close(self) -> None:
        """End everything in there, and wait for it."""
        self._outer.kill()
        self._outer.communicate()
        # The kernel ends what ran in there a moment after its first process.
        wait_until(lambda: not self.processes(), "the processes of a host to end")


def enter_network(pid: int) -> None:
    """Move this thread to the network of a process, for ever."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(namespace)


def children_of(pid: int) -> list[int]:
    """Processes that a single-threaded process started (proc(5), children); none of one that is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def state_of(pid: int) -> str:
    """One letter (proc(5), stat): T is stopped, Z waits to be reaped, as does what is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def wait_until(condition: Callable[[], object], what: str, patience_s: float = _START_S) -> None:
    """Look until it is so.

    Raises:
        TimeoutError: it never was.
    """
    deadline_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {patience_s:g} s in vain for {what}")
        time.sleep(0.005)


def missing(tools: Sequence[str] = ("ip", "tc", "unshare", "nsenter", "setpriv")) -> str:
    """Why there can be no hosts here; empty if there can."""
    if os.geteuid() != 0:
        return "test hosts are network namespaces: they need root"
    if absent := [tool for tool in tools if shutil.which(tool) is None]:
        return f"test hosts need {', '.join(absent)} (packages iproute2 and util-linux)"
    try:
        Keeper().close()
    except OSError as error:
        return f"test hosts need namespaces, which this machine gives not: {error}"
    return ""


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _namespace_of(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
