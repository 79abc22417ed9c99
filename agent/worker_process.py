"""A worker as its supervisor sees it: a process of its own, a pipe each way, and marks that outlive it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from osbench.agent.marks import Marks
from osbench.agent.pipe import FromWorker, Setup, ToWorker, read_from_worker
from osbench.agent.spool import marks_path
from osbench.common.error import ProtocolError
from osbench.common.framing import pack_frame
from osbench.common.messages import ShareProgress, WorkerReport

log = logging.getLogger(__name__)


class WorkerProcess:
    """One worker of one run.

    Attributes:
        command: starts a worker process. worker: its number. has_exited: the process is gone.
    """

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "osbench.agent.worker")

    def __init__(self, worker: int, folder: Path, life: int, process: asyncio.subprocess.Process) -> None:
        self.worker = worker
        self.has_exited = False
        self._marks_path = marks_path(folder, life, worker)
        self._process = process
        self._marks: Marks | None = None

    @classmethod
    async def spawn(cls, setup: Setup) -> "WorkerProcess":
        """Start a worker process and tell it what it is; never forked, so that no socket of ours is in it."""
        process = await asyncio.create_subprocess_exec(
            *cls.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**26,
        )
        made = cls(setup.worker, Path(setup.spool), setup.life, process)
        made.send(setup)
        return made

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: ToWorker) -> None:
        """Tell the worker; a worker that is gone hears nothing, and its exit is reported by `listen`."""
        assert self._process.stdin is not None
        if not self.has_exited and not self._process.stdin.is_closing():
            self._process.stdin.write(pack_frame(message))

    async def listen(self, on_message: Callable[[FromWorker], None]) -> int:
        """Hand on what the worker says until it is gone; returns its exit status."""
        assert self._process.stdout is not None
        try:
            while (message := await read_from_worker(self._process.stdout)) is not None:
                on_message(message)
        except ProtocolError as error:
            log.error("worker %d speaks nonsense and is ended: %s", self.worker, error)
            self.kill()
        status = await self._process.wait()
        self.has_exited = True
        return status

    def let_go(self) -> None:
        """Close its input: it drains what it has, and ends."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        if not self.has_exited and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)

    def marks(self) -> Marks | None:
        """Its marks; None before it has made them."""
        if self._marks is None and self._marks_path.exists():
            try:
                self._marks = Marks(self._marks_path)
            except ProtocolError:
                return None  # being made this very moment
        return self._marks

    def close(self) -> None:
        """Let go of the marks."""
        if self._marks is not None:
            self._marks.close()
            self._marks = None


def report_of(marks: Marks, worker: int, state: str) -> WorkerReport:
    """What marks tell, as the worker's report.

    Args:
        state: in which to report it; the marks' own state is only a worker's that lives.
    """
    revision, slots = marks.revision, marks.slots  # In this order: what it obeys is at least as new as it says.
    shares: tuple[ShareProgress, ...] = marks.shares()
    return WorkerReport(
        worker=worker,
        state=state,
        shares=shares,
        started=marks.get("started"),
        ended=marks.get("ended"),
        failed=marks.get("failed"),
        dropped=marks.get("dropped"),
        in_flight=marks.get("in_flight"),
        last_seq=marks.get("last_seq"),
        iterations_written=marks.get("iterations_written"),
        lag_max_ns=marks.get("lag_max_ns"),
        stall_ns=marks.get("stall_ns"),
        start_error_ns=marks.start_error_ns,
        revision=revision,
        slots=slots,
    )
