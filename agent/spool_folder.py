"""The spool's folder on disk: which runs and lives are in it, how large it is, and what a dead life left there.

Rules: only the supervisor comes here. A life's progress is final when none of its workers lives any more; orphans are
given a while to end by themselves and are ended then.
"""

import errno
import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from osbench.agent.marks import Marks, writer_pid
from osbench.agent.spool import marks_path
from osbench.agent.spool_index import SpoolIndex
from osbench.agent.worker_process import report_of
from osbench.common.error import AgentError, ProtocolError
from osbench.common.messages import PastWorker, WorkerReport
from osbench.common.private_file import write_private

log = logging.getLogger(__name__)

#: How long workers of an earlier life may go on before they are ended, and how often that is looked at.
ORPHAN_S = 30.0
LOOK_S = 0.1
_RUN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def is_run_name(run: str) -> bool:
    """Whether this can be the name of a run: it becomes a folder, so it must not lead out of the spool."""
    return _RUN_NAME.fullmatch(run) is not None


def _checked(run: str) -> str:
    assert is_run_name(run), f"{run!r} is no name of a run"
    return run


class SpoolFolder:
    """The folder `root`, made if it is not there.

    Raises:
        AgentError: it cannot be made or is not ours to write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
        except OSError as error:
            raise AgentError(f"spool {root}: {error.strerror}; give a folder that this user may write") from error

    def next_life(self, now_ns: int) -> int:
        """A number larger than any life before, even if the clock was set back, and kept before it is used.

        Raises:
            AgentError: it cannot be kept.
        """
        file = self.root / "life"
        life = max(now_ns, self._last_life(file) + 1)
        try:
            self._keep_life(file, f"{life:<20}".encode())
        except OSError as error:
            raise AgentError(f"{file}: {error.strerror}; make room, or give another spool folder") from error
        return life

    def _last_life(self, file: Path) -> int:
        """The life before; where its file is gone or damaged, the last that left anything."""
        try:
            text = file.read_bytes()[:32].strip()
        except FileNotFoundError:
            text = b""
        if text.isdigit():
            return int(text)
        lives = (path.name.split("-")[0] for path in self.root.glob("*/*-*.*"))
        return max((int(life) for life in lives if life.isdigit()), default=0)

    @staticmethod
    def _keep_life(file: Path, text: bytes) -> None:
        try:
            write_private(file, text)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not file.exists():
                raise
            # A full disk must not keep the agent from shipping what fills it: lives are of one length and fit in place.
            with file.open("r+b") as old:
                old.write(text)
                old.flush()
                os.fsync(old.fileno())

    def run(self, run: str) -> Path:
        """Folder of a run, whether it is there or not."""
        return self.root / _checked(run)

    def runs(self) -> list[str]:
        """Runs with anything in the spool."""
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and is_run_name(entry.name))

    def delete(self, run: str) -> None:
        """Delete all there is of a run."""
        shutil.rmtree(self.root / _checked(run), ignore_errors=True)

    def size_bytes(self) -> int:
        """What all segments take, in bytes."""
        total = 0
        for segment in self.root.glob("*/*.seg"):
            try:
                total += segment.stat().st_size
            except FileNotFoundError:
                continue  # acknowledged and deleted meanwhile
        return total

    def past_workers(
        self, index: SpoolIndex, before_life: int, is_over: Callable[[], bool] = lambda: False
    ) -> tuple[PastWorker, ...]:
        """Workers of earlier lives, their batches taken into the index; waits for those that still live.

        Args:
            is_over: whether to stop waiting, since the agent ends; what is returned then means nothing.
        """
        self._wait_for_orphans(before_life, is_over)
        found = []
        for run in self.runs():
            folder = self.root / run
            for life, worker in sorted(self._workers(folder)):
                if life >= before_life:
                    continue
                try:
                    index.scan(folder, life, worker)
                except (OSError, ProtocolError) as error:
                    log.error("what worker %d of life %d left cannot be read: %s", worker, life, error)
                report = self._report(folder, life, worker, index)
                if report is not None:
                    found.append(PastWorker(run=run, life=life, worker=report))
        return tuple(found)

    def _report(self, folder: Path, life: int, worker: int, index: SpoolIndex) -> WorkerReport | None:
        path = marks_path(folder, life, worker)
        if not path.exists():
            return None
        try:
            marks = Marks(path)
        except ProtocolError as error:
            log.error("marks of worker %d of life %d are lost: %s", worker, life, error)
            return None
        if not marks.is_of_this_boot:
            log.warning(
                "marks of worker %d of life %d are of an earlier boot: how far it was is not known", worker, life
            )
            marks.close()
            return None
        spool = index.worker(folder.name, life, worker)
        report = msgspec.structs.replace(
            report_of(marks, worker, "ended" if marks.state == "ended" else "died"),
            in_flight=0,
            lost=index.lost_of(folder.name, life, worker),
        )
        # A worker may have been killed between writing a batch and marking it: the spool knows better.
        report = msgspec.structs.replace(report, last_seq=max(report.last_seq, spool.last_seq))
        marks.close()
        return report

    def _workers(self, folder: Path) -> set[tuple[int, int]]:
        names = (path.stem.split("-") for path in folder.glob("*-*.*"))
        return {(int(name[0]), int(name[1])) for name in names if name[0].isdigit() and name[1].isdigit()}

    def _orphans(self, before_life: int) -> Iterator[tuple[Path, int]]:
        for path in self.root.glob("*/*.marks"):
            life = path.name.split("-")[0]
            if life.isdigit() and int(life) < before_life and (pid := writer_pid(path)):
                yield path, pid

    def _wait_for_orphans(self, before_life: int, is_over: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ORPHAN_S
        while not is_over() and (orphans := list(self._orphans(before_life))):
            if time.monotonic() > deadline:
                for path, pid in orphans:
                    log.warning("ending worker %d, an orphan of an earlier life (%s)", pid, path.name)
                    os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + ORPHAN_S
            time.sleep(LOOK_S)
