"""The daemon as a process of its host: one for each home, found again by others, sent to the background.

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

    def is_up(self) -> bool:
        """Whether it serves: its API file is there, and newer than its process."""
        with contextlib.suppress(OSError):
            return (self._home / "api.json").stat().st_mtime >= self._known.stat().st_mtime
        return False

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


def daemonize(log_file: Path) -> bool:
    """Go on in a process that no terminal ends; before any socket, thread or loop is made.

    Returns:
        True in the process that was called, False in the new one, whose output goes to the log.

    Raises:
        InputError: the log cannot be written.
    """
    try:
        output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"log file {log_file}: {error.strerror}") from error
    if (child := os.fork()) != 0:
        os.close(output)
        os.waitpid(child, 0)
        return True
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    return False
