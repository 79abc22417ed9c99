"""The daemon as a process of its host: one for each home, found again by others, told to end.

Rules: the lock is the system's, so a process that died holds nothing; the file beside it only tells who it is. Nobody
signals a process that is not known for sure to be the daemon.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from osbench.common.error import InputError, OsbenchError, ProtocolError
from osbench.common.known_process import know, read_process


class DaemonProcess:
    """The coordinator of one home.

    Args:
        home: its folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = home / "coordinator.lock"
        self._known = home / "coordinator.process.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the coordinator of this home.

        Raises:
            InputError: there is one.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"a coordinator runs on {self._home} already; stop it first") from None
            know(psutil.Process()).save(self._known)
            try:
                yield
            finally:
                self._known.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def running(self) -> psutil.Process | None:
        """The coordinator's process; None if none runs."""
        try:
            known = read_process(self._known)
        except (OSError, ProtocolError):
            return None
        return known.alive() if known is not None else None

    def terminate(self, process: psutil.Process, timeout_s: float) -> None:
        """SIGTERM, and wait for the end.

        Raises:
            OsbenchError: it does not end in time; it is not killed, since it may be writing.
        """
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
        while self.running() is not None:
            if time.monotonic() >= deadline:
                raise OsbenchError(f"process {process.pid} does not end within {timeout_s:g} s; its log says why")
            time.sleep(0.05)
