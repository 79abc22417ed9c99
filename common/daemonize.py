"""Going to the background: two forks, before there is any loop, socket or thread, which a fork would break.

Rules: the command that was typed waits until the daemon says that it is up, or why it is not, so that its exit status is
worth something. The daemon's standard output and error go to its log file.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from osbench.common.error import InputError, OsbenchError

_UP = b"up "


@dataclass(slots=True)
class Launch:
    """The daemon's end of the pipe to the command that started it; in the foreground nobody listens."""

    _writer: int = -1

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


def launch(log_file: Path | None, *, in_background: bool) -> Launch | int:
    """Begin as a daemon does: log where it is wanted, in the foreground or not.

    Args:
        log_file: instead of standard error; must be named for the background.

    Returns:
        In the daemon: whom to tell how it went. In the command that stays behind: the daemon's process id.

    Raises:
        InputError: the log file cannot be opened.
        OsbenchError: in the command: the daemon did not come up, and why.
    """
    assert log_file is not None or not in_background, "a daemon has no terminal to log to"
    descriptor = open_log(log_file) if log_file is not None else -1
    if in_background:
        return daemonize(descriptor)
    if descriptor >= 0:
        log_to(descriptor)
    return Launch()


@contextmanager
def told(launched: Launch) -> Iterator[None]:
    """Say what went wrong to the command that waits."""
    try:
        yield
    except OsbenchError as error:
        launched.failed(str(error))
        raise


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
