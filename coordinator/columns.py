"""Stage 8/10 · A batch as arrays: the columns straight from the inflated body, and its texts.

Rules: every batch from the wire passes `decode_columns` before anything else looks at it; what does not fit is a
ProtocolError. What only shows when all rows are looked at (stamps, outcomes, names) is checked by `derive`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from osbench.common.error import ProtocolError
from osbench.common.record import CODEC_ZSTD, TABLES, BatchHeader, Texts, decode_tail, inflate

Column = NDArray[np.integer[Any]]

#: Type codes of common/record as numpy types.
DTYPES: dict[str, np.dtype[np.integer[Any]]] = {
    "q": np.dtype("<i8"),
    "I": np.dtype("<u4"),
    "H": np.dtype("<u2"),
    "h": np.dtype("<i2"),
    "B": np.dtype("u1"),
}
_LAYOUT = tuple((name, [(DTYPES[code], DTYPES[code].itemsize) for code in types]) for name, types, _ in TABLES)
#: Field names of each table to the position of their column.
POSITIONS = {name: {field: at for at, field in enumerate(row._fields)} for name, _, row in TABLES}


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """A decoded batch: per table (in the order of common/record.TABLES) its columns, each a view on the body."""

    header: BatchHeader
    iterations: list[Column]
    actions: list[Column]
    calls: list[Column]
    health: list[Column]
    hosts: list[Column]
    texts: Texts


def decode_columns(header: BatchHeader, body: bytes) -> BatchColumns:
    """Inflate a batch and lay out its columns.

    Raises:
        ProtocolError: the body does not fit its header.
    """
    # zstandard allocates what the frame itself announces, whatever bound it is given: look before it does.
    if header.codec == CODEC_ZSTD:
        try:
            announced = zstandard.frame_content_size(body)
        except zstandard.ZstdError as error:
            raise ProtocolError(f"batch {header.key}: body is not a zstandard frame: {error}") from error
        if announced not in (-1, header.raw_bytes):
            raise ProtocolError(f"batch {header.key}: body announces {announced} bytes, its header {header.raw_bytes}")
    raw = inflate(header, body)
    offset = 0
    tables: list[list[Column]] = []
    for name, columns in _LAYOUT:
        rows = getattr(header, name)
        table: list[Column] = []
        if rows:
            for dtype, size in columns:
                if offset + size * rows > len(raw):
                    raise ProtocolError(f"batch {header.key}: body ends inside table {name}")
                table.append(np.frombuffer(raw, dtype, rows, offset))
                offset += size * rows
        tables.append(table)
    iterations, actions, calls, health, hosts = tables
    return BatchColumns(header, iterations, actions, calls, health, hosts, decode_tail(header, raw[offset:]))
