"""A worker's marks: how far it is, in a memory-mapped file that outlives it.

Rules: one writer, the worker; readers are its supervisor and the next life of the agent. A rank is marked before its
iteration starts, so after a kill -9 the started iterations are known exactly: what lies below the mark was started,
what lies above was not. Ranks from a share's limit on are never started by this worker, whatever it is told later; and it
has no more in flight than its slots, unless newer orders than those of its revision allow it: whoever reads takes the
revision first, then the slots. The writer holds a lock on the file as long as it lives: marks that still may move are
final for nobody. (After a power cut the file may be old, since the kernel writes it back when it likes: marks of an
earlier boot are not relied on.)

    word 0        magic and version          word 1   state (STATES)
    word 2 … 12   counters, see COUNTERS     word 13  shares in use   word 14  process id   word 15  boot
    word 16 + 2k  epoch of the k-th share    word 17 + 2k   ranks started in it
    word 512 + k  limit of the k-th share + 1, 0 for none
    word 1000     revision of the orders obeyed             word 1001   slots + 1, 0 where they are not bounded

All words are 64-bit little-endian. Marks of version 1 had no word from 512 on, and are read as having none of it.
"""

import fcntl
import mmap
import os
import sys
from pathlib import Path

from osbench.common.error import ProtocolError
from osbench.common.known_process import boot_number
from osbench.common.messages import ShareProgress
from osbench.common.share import MAX_SHARES

MAGIC = 0x4F53424D_00000002
#: Words in a file, by version.
WORDS_OF = {0x4F53424D_00000001: 512, MAGIC: 1024}
STATES = ("preparing", "ready", "running", "draining", "ended")
COUNTERS = (
    "started",
    "ended",
    "failed",
    "dropped",
    "in_flight",
    "last_seq",
    "iterations_written",
    "lag_max_ns",
    "stall_ns",
    "start_error_ns",
    "alive_ns",
)
WORDS = WORDS_OF[MAGIC]
_SHARES_USED = 13
_PID = 14
_BOOT = 15
_FIRST_SHARE = 16
_FIRST_LIMIT = 512
_REVISION = 1000
_SLOTS = 1001

assert _FIRST_SHARE + 2 * MAX_SHARES <= _FIRST_LIMIT, "shares reach into limits"
assert _FIRST_LIMIT + MAX_SHARES <= _REVISION, "limits reach into what comes after"

assert sys.byteorder == "little", "marks are written as native words; only little-endian machines are supported"


class Marks:
    """The marks of one worker, mapped into memory.

    Raises:
        ProtocolError: the file is not marks of this version.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._lock = -1
        if create:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Not truncated to its length: a page that finds no room on the disk later would end the worker by SIGBUS.
            os.posix_fallocate(self._lock, 0, WORDS * 8)
        with path.open("r+b") as file:
            size = path.stat().st_size
            if size not in [words * 8 for words in WORDS_OF.values()]:
                raise ProtocolError(f"{path} is {size} bytes long; marks have {WORDS * 8}")
            self._map = mmap.mmap(file.fileno(), size)
        self.words = memoryview(self._map).cast("Q")
        if create:
            self.words[0] = MAGIC
            self.words[_PID] = os.getpid()
            self.words[_BOOT] = boot_number()
        if WORDS_OF.get(self.words[0], 0) * 8 != size:
            self.close()
            raise ProtocolError(f"{path} does not hold marks of version {MAGIC & 0xFFFFFFFF}")

    def close(self) -> None:
        """Unmap; the file stays."""
        self.words.release()
        self._map.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def state(self) -> str:
        return STATES[self.words[1]]

    @state.setter
    def state(self, state: str) -> None:
        self.words[1] = STATES.index(state)

    @property
    def is_of_this_boot(self) -> bool:
        """The machine has run on since they were made; else the kernel may not have written the last of them."""
        return self.words[_BOOT] == boot_number()

    def set(self, counter: str, value: int) -> None:
        """Set one of COUNTERS, 0 or more."""
        self.words[2 + COUNTERS.index(counter)] = value

    def get(self, counter: str) -> int:
        """Read one of COUNTERS."""
        return self.words[2 + COUNTERS.index(counter)]

    @property
    def start_error_ns(self) -> int:
        """How late its first iteration was; -1 if it has started none of the first division."""
        return self.get("start_error_ns") - 1

    def set_start_error(self, error_ns: int) -> None:
        """Note how late the first iteration was; kept one higher, so that 0 means unknown."""
        self.set("start_error_ns", error_ns + 1)

    @property
    def revision(self) -> int:
        """Of the orders that are obeyed; 0 for none."""
        return self.words[_REVISION] if len(self.words) > _REVISION else 0

    @revision.setter
    def revision(self, revision: int) -> None:
        self.words[_REVISION] = revision

    @property
    def slots(self) -> int:
        """No more than this is in flight; -1 where that is not bounded."""
        return self.words[_SLOTS] - 1 if len(self.words) > _SLOTS else -1

    @slots.setter
    def slots(self, slots: int) -> None:
        self.words[_SLOTS] = slots + 1

    def set_limit(self, share: int, limit: int) -> None:
        """Note the first rank that is never started in the share added `share`-th, from 0."""
        self.words[_FIRST_LIMIT + share] = limit + 1

    def _limit(self, share: int) -> int:
        word = _FIRST_LIMIT + share
        return self.words[word] - 1 if word < len(self.words) else -1

    def add_share(self, epoch: int) -> int:
        """Make room for a share; returns the word that holds its count of ranks started, for `words[...]`."""
        used = self.words[_SHARES_USED]
        assert used < MAX_SHARES, f"a worker was given more than {MAX_SHARES} shares"
        word = _FIRST_SHARE + 2 * used
        self.words[word] = epoch
        self.words[word + 1] = 0
        self.words[_SHARES_USED] = used + 1
        return word + 1

    def shares(self) -> tuple[ShareProgress, ...]:
        """Progress in each share."""
        # Limits first: of a worker that lives, what it left is then never ahead of what it is said to have started.
        limits = [self._limit(share) for share in range(self.words[_SHARES_USED])]
        return tuple(
            ShareProgress(
                epoch=self.words[_FIRST_SHARE + 2 * share],
                started=self.words[_FIRST_SHARE + 2 * share + 1],
                limit=limit,
            )
            for share, limit in enumerate(limits)
        )


def writer_pid(path: Path) -> int:
    """The process that writes these marks; 0 when it is gone.

    The lock tells whether it lives; flock(2), since a POSIX lock goes with any closing of the file.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(8 * _PID)
            return int.from_bytes(file.read(8), sys.byteorder)
    return 0
