"""A process that another process finds again, and never takes another one for.

Rules: ids of processes are used again, so a process is known by its id, its start time and the boot of the machine
together. The start time is counted from the boot: wall time is set now and then, and would make a stranger of it.
"""

from pathlib import Path

import msgspec
import psutil

from osbench.common.error import ProtocolError
from osbench.common.private_file import write_private

#: How far two readings of one process's start time may lie apart, seconds (the kernel keeps them in ticks of 10 ms).
SAME_START_S = 0.05


class KnownProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process as it is known for sure.

    Attributes:
        started_s: its start, seconds since the boot. boot: `boot_number` of then.
    """

    pid: int
    started_s: float
    boot: int

    def alive(self) -> psutil.Process | None:
        """The process, when it still runs and is the same."""
        if self.boot != boot_number():
            return None
        try:
            process = psutil.Process(self.pid)
            is_same = abs(_started_s(process) - self.started_s) <= SAME_START_S
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def save(self, path: Path) -> None:
        """Write it down, for `read_process` of another process.

        Raises:
            OSError: the file cannot be written.
        """
        write_private(path, msgspec.json.encode(self))


def know(process: psutil.Process) -> KnownProcess:
    """What to know of a running process.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    return KnownProcess(pid=process.pid, started_s=_started_s(process), boot=boot_number())


def read_process(path: Path) -> KnownProcess | None:
    """What `save` wrote; None if there is no such file. It says nothing of whether the process still runs.

    Raises:
        ProtocolError: the file holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=KnownProcess)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{path}: no record of a process: {error}") from error


def boot_number() -> int:
    """A number of this boot of the machine (random(4), boot_id); 0 where the system tells none."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return 0
    return int(text.replace("-", "").strip()[:15], 16)


def _started_s(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()
