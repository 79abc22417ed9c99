"""One agent for each spool: a lock that is held as long as the agent's process lives, whatever ends it.

Rules: flock(2), so the kernel frees it; workers do not inherit it. The process id in the file is for people and for
messages only: it is the lock that tells whether anybody is there.
"""

import fcntl
import os
import time
from pathlib import Path

from osbench.common.error import AgentError

LOCK_NAME = "lock"
TRIES = 5
PAUSE_S = 0.05


class SpoolLock:
    """The lock of a spool, held.

    Raises:
        AgentError: another agent holds it, or the file cannot be made.
    """

    def __init__(self, root: Path) -> None:
        path = root / LOCK_NAME
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AgentError(f"{path}: {error.strerror}; give a spool folder that this user may write") from error
        if not self._take():
            os.close(self._descriptor)
            raise AgentError(
                f"another agent, process {_pid_in(path) or 'unknown'}, works on the spool {root}: stop it, or give each "
                "agent a spool of its own"
            )
        self._write_pid()

    def _take(self) -> bool:
        for attempt in range(TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                # It may be somebody who only looks (`holder`).
                time.sleep(PAUSE_S if attempt + 1 < TRIES else 0.0)
        return False

    def _write_pid(self) -> None:
        line = f"{os.getpid():<19}\n".encode()
        try:
            # In place and always of one length, so that it needs no room that a full disk has not.
            os.pwrite(self._descriptor, line, 0)
        except OSError:
            return  # only words are missing; the lock is held

    def close(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def holder(root: Path) -> int | None:
    """The process that works on a spool; None if there is none, 0 if it is not known which.

    Raises:
        AgentError: this user may not look.
    """
    path = root / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AgentError(f"{path}: {error.strerror}; ask as the user that the agent runs as") from error
    try:
        # A shared lock, so that two who ask at once do not take each other for the agent.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(path)
    finally:
        os.close(descriptor)
    return None


def _pid_in(path: Path) -> int:
    try:
        text = path.read_bytes()[:32].strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
