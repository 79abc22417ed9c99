"""Stage 6/10 · The spool: every batch is on disk before anything else is done with it.

Rules: a worker appends to segments of its own and never reads; the supervisor reads, ships, and deletes a segment when
it is closed and all its batches are acknowledged. A worker's death, or the agent's, loses no batch that was written.

    <spool>/<run>/<life>-<worker>-<number>.seg     segments        <life>-<worker>.marks   marks (agent/marks)

    segment   | "OSBSPOOL" | version u32 | entry | entry | …
    entry     | header bytes u32 | body bytes u32 | crc32 u32 of header and body | header | body |

A torn last entry (the writer was killed) ends a segment; what its checksum refuses is not shipped.
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from osbench.common.error import ProtocolError
from osbench.common.record import Batch, BatchHeader, decode_header
from osbench.common.wire import MAX_BATCH_BYTES, MAX_HEADER_BYTES

SPOOL_VERSION = 1
MAGIC = b"OSBSPOOL" + struct.pack("<I", SPOOL_VERSION)
ENTRY = struct.Struct("<III")
SEGMENT_BYTES = 4 * 1024 * 1024


class Entry(NamedTuple):
    """A batch in a segment: where it is, and its header."""

    segment: Path
    offset: int
    header_bytes: int
    body_bytes: int
    crc: int
    header: BatchHeader


def segment_path(folder: Path, life: int, worker: int, number: int) -> Path:
    """Name of a worker's `number`-th segment."""
    return folder / f"{life}-{worker}-{number:06}.seg"


def marks_path(folder: Path, life: int, worker: int) -> Path:
    """Name of a worker's marks."""
    return folder / f"{life}-{worker}.marks"


class SpoolFullError(OSError):
    """No room on the disk: the batch was not written, and what was half written is cut off again."""


@dataclass(slots=True)
class SpoolWriter:
    """Appends one worker's batches.

    Attributes:
        folder: of the run. life, worker: whose.
        number: of the segment under way, from 1; 0 before the first.
    """

    folder: Path
    life: int
    worker: int
    number: int = 0
    _fd: int = -1
    _size: int = 0

    def write(self, batch: Batch) -> tuple[int, int]:
        """Append a batch.

        Returns:
            Number of the segment and offset of the entry in it.

        Raises:
            SpoolFullError: no room; nothing of the batch is left behind.
        """
        if self._fd < 0 or self._size >= SEGMENT_BYTES or not os.fstat(self._fd).st_nlink:
            # (Without a link somebody deleted the segment: what is written there would be lost too.)
            self._open_next()
        crc = zlib.crc32(batch.body, zlib.crc32(batch.header_bytes))
        entry = ENTRY.pack(len(batch.header_bytes), len(batch.body), crc)
        offset = self._size
        self._append(b"".join((entry, batch.header_bytes, batch.body)))
        return self.number, offset

    def close(self) -> None:
        """Close the segment under way."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open_next(self) -> None:
        self.close()
        self.number += 1
        path = segment_path(self.folder, self.life, self.worker, self.number)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.number -= 1
            raise self._translated(error) from error
        self._size = 0
        try:
            self._append(MAGIC)
        except SpoolFullError:
            # The next try begins this segment anew.
            self.close()
            path.unlink()
            self.number -= 1
            raise

    def _append(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            raise self._translated(error) from error
        self._size += done

    def _translated(self, error: OSError) -> OSError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return SpoolFullError(error.errno, f"spool {self.folder} is full")
        return error


def read_entry(entry: Entry) -> tuple[bytes, bytes]:
    """Header and body of a batch, from disk.

    Raises:
        FileNotFoundError: the segment is gone.
        ProtocolError: the bytes are not those that were written.
    """
    with entry.segment.open("rb") as file:
        file.seek(entry.offset + ENTRY.size)
        data = file.read(entry.header_bytes + entry.body_bytes)
    if len(data) != entry.header_bytes + entry.body_bytes or zlib.crc32(data) != entry.crc:
        raise ProtocolError(f"{entry.segment}: batch {entry.header.seq} at {entry.offset} is damaged")
    return data[: entry.header_bytes], data[entry.header_bytes :]


def scan_segment(segment: Path, offset: int = 0) -> Iterator[Entry]:
    """All whole entries of a segment from an offset on, in order; a torn or damaged one ends it.

    Args:
        segment: the file.
        offset: where to begin; 0 for the start, else the end of an entry.

    Raises:
        ProtocolError: not a segment of a version known here.
    """
    with segment.open("rb") as file:
        if offset == 0:
            magic = file.read(len(MAGIC))
            if magic and not MAGIC.startswith(magic):
                raise ProtocolError(f"{segment} is not a spool segment of version {SPOOL_VERSION}: {magic!r}")
            offset = len(MAGIC)
        file.seek(offset)
        while len(fixed := file.read(ENTRY.size)) == ENTRY.size:
            header_bytes, body_bytes, crc = ENTRY.unpack(fixed)
            if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BATCH_BYTES:
                return
            data = file.read(header_bytes + body_bytes)
            if len(data) != header_bytes + body_bytes or zlib.crc32(data) != crc:
                return
            yield Entry(segment, offset, header_bytes, body_bytes, crc, decode_header(data[:header_bytes]))
            offset += ENTRY.size + header_bytes + body_bytes
