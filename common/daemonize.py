"""Going to the background: two forks, before there is any loop, socket or thread, which a fork would break.

Rules: the command that was typed waits until the daemon says that it is up, or why it is not, so that its exit status is
worth something. The daemon's standard output and error go to its log file.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from osbench.common.error import InputError, OsbenchError

_UP = b"up "


@dataclass(slots=True)
class Launch:
    """The daemon's end of the pipe to the command that started it."""

    _writer: int

    def succeeded(self) -> None:
        """The daemon is up."""
        self._say(_UP + str(os.getpid()).encode())

    def failed(self, reason: str) -> None:
        """The daemon cannot come up."""
        self._say(reason.encode(errors="replace")[:4_000])

    def _say(self, words: bytes) -> None:
        if self._writer >= 0:
            try:
                os.write(self._writer, words)
            except BrokenPipeError:
                pass  # whoever typed the command did not wait
            os.close(self._writer)
            self._writer = -1


def open_log(path: Path) -> int:
    """The log file, made 0600 if it is not there, for appending.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"log file {path}: {error.strerror}; give another with --log-file") from error


def log_to(descriptor: int) -> None:
    """Standard output and error go to this file from now on; the descriptor is closed."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def daemonize(log_descriptor: int) -> Launch | int:
    """Fork twice.

    Returns:
        In the daemon: its end of the pipe, on which it must say how it went. In the command: the daemon's process id.

    Raises:
        OsbenchError: in the command: the daemon did not come up, and why.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        os.close(log_descriptor)
        os.waitpid(child, 0)
        return _wait(reader)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)  # so that the daemon leads no session and never gets a terminal
    os.chdir("/")
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    log_to(log_descriptor)
    return Launch(writer)


def _wait(reader: int) -> int:
    with os.fdopen(reader, "rb") as pipe:
        words = pipe.read()
    if words.startswith(_UP):
        return int(words.removeprefix(_UP))
    raise OsbenchError(words.decode(errors="replace") or "the daemon ended before it was up; its log says why")
