"""Stage 8/10 · A batch as columns: its inflated body, laid out, and its texts.

Rules: every batch from the wire passes `decode_columns` before anything else looks at it; what does not fit is a
ProtocolError. What only shows when all rows are looked at (stamps, outcomes, names) is checked by `derive`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osbench.common.error import ProtocolError
from osbench.common.record import TABLES, BatchHeader, Texts, decode_tail, inflate

#: Type codes of common/record as numpy types.
DTYPES: dict[str, np.dtype[np.integer[Any]]] = {
    "q": np.dtype("<i8"),
    "I": np.dtype("<u4"),
    "H": np.dtype("<u2"),
    "h": np.dtype("<i2"),
    "B": np.dtype("u1"),
}
_INT64 = np.dtype(np.int64)


def _layout() -> dict[tuple[str, str], tuple[int, np.dtype[np.integer[Any]]]]:
    """Bytes a row of the columns before a column, and its type."""
    layout = {}
    for table, types, row_type in TABLES:
        before = 0
        for field, code in zip(row_type._fields, types, strict=True):
            layout[table, field] = before, DTYPES[code]
            before += DTYPES[code].itemsize
    return layout


_LAYOUT = _layout()
_ROW_BYTES = {table: sum(DTYPES[code].itemsize for code in types) for table, types, _ in TABLES}
FIELDS: dict[str, tuple[str, ...]] = {table: row_type._fields for table, _, row_type in TABLES}


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """A decoded batch.

    Attributes:
        raw: the inflated body, all of it checked to be there. starts: first byte of each table in it.
    """

    header: BatchHeader
    raw: memoryview
    starts: dict[str, int]
    texts: Texts

    def part(self, table: str, field: str) -> memoryview:
        """The bytes of one column."""
        before, dtype = _LAYOUT[table, field]
        rows: int = getattr(self.header, table)
        begin = self.starts[table] + rows * before
        return self.raw[begin : begin + rows * dtype.itemsize]


class TableColumns:
    """The columns of a table over some batches, one batch after the other."""

    def __init__(self, batches: Sequence[BatchColumns], table: str) -> None:
        self._table = table
        self._parts = [(batch.raw, batch.starts[table], getattr(batch.header, table)) for batch in batches]

    def __call__(self, field: str) -> NDArray[np.int64]:
        """A column as int64."""
        before, dtype = _LAYOUT[self._table, field]
        after = before + dtype.itemsize
        # Joining bytes and looking at them once is much cheaper than an array for each batch.
        joined = b"".join([raw[start + rows * before : start + rows * after] for raw, start, rows in self._parts])
        return np.frombuffer(joined, dtype).astype(_INT64, copy=False)


def decode_columns(header: BatchHeader, body: bytes) -> BatchColumns:
    """Inflate a batch and lay out its columns.

    Raises:
        ProtocolError: the body does not fit its header.
    """
    raw = inflate(header, body)
    starts = {}
    offset = 0
    for table, row_bytes in _ROW_BYTES.items():
        starts[table] = offset
        offset += row_bytes * getattr(header, table)
    if offset > len(raw):
        raise ProtocolError(f"batch {header.key}: its tables take {offset} bytes, its body has {len(raw)}")
    return BatchColumns(header, memoryview(raw), starts, decode_tail(header, raw[offset:]))
