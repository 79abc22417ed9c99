"""Stage 8/10 · Batches as columns: the tables of some batches as arrays, and their texts.

Rules: every batch from the wire passes `decode_columns` before anything else looks at it; what does not fit is a
ProtocolError. What only shows when all rows are looked at (stamps, outcomes, names) is checked by `derive`.

A column is laid over all batches at once: each of its planes (common/planes) is joined over the batches, and a plane
that nobody stored costs nothing. A column of one value in all batches is never looked at row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osbench.common.error import ProtocolError
from osbench.common.planes import directory_bytes, table_size, widths_of
from osbench.common.record import TABLES, BatchHeader, Texts, decode_tail, inflate
from osbench.coordinator.merge import Integers

#: Type codes of common/record as numpy types.
DTYPES: dict[str, np.dtype[np.integer[Any]]] = {
    "q": np.dtype("<i8"),
    "I": np.dtype("<u4"),
    "H": np.dtype("<u2"),
    "h": np.dtype("<i2"),
    "B": np.dtype("u1"),
}
FIELDS: dict[str, tuple[str, ...]] = {table: row_type._fields for table, _, row_type in TABLES}

#: By a mask of planes, how many there are.
_COUNTS = np.array([mask.bit_count() for mask in range(256)], np.int64)
_EIGHT = np.arange(8, dtype=np.uint8)


class _Place:
    """Where a column stands in the directory of its table."""

    def __init__(self, position: int, rest_at: int, code: str) -> None:
        self.position = position
        self.dtype = DTYPES[code]
        self.width = self.dtype.itemsize
        self.rest = slice(rest_at, rest_at + self.width)


class _Layout:
    """The directory of a table.

    Attributes:
        columns: how many. size: bytes of the directory. allowed: by column, the planes that its type has.
    """

    def __init__(self, types: str, fields: Sequence[str]) -> None:
        widths = widths_of(types)
        self.columns = len(types)
        self.size = directory_bytes(types)
        self.allowed = np.array([(1 << width) - 1 for width in widths], np.uint8)
        self.places: dict[str, _Place] = {}
        rest_at = len(types)
        for position, (field, code, width) in enumerate(zip(fields, types, widths, strict=True)):
            self.places[field] = _Place(position, rest_at, code)
            rest_at += width


_LAYOUTS = {table: _Layout(types, FIELDS[table]) for table, types, _ in TABLES}


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """A decoded batch.

    Attributes:
        raw: the inflated body, all of it checked to be there. starts: first byte of each table in it.
    """

    header: BatchHeader
    raw: bytes
    starts: dict[str, int]
    texts: Texts


class TableColumns:
    """The columns of a table over some batches, one batch after the other; each has at least one row in it.

    Attributes:
        table: its name. counts: rows of each batch. total: of all of them.
    """

    def __init__(self, batches: Sequence[BatchColumns], table: str) -> None:
        """Lay out a table.

        Raises:
            ProtocolError: a mask has planes that its column has not.
        """
        self.table = table
        layout = self._layout = _LAYOUTS[table]
        self._raws = [batch.raw for batch in batches]
        self._rows: list[int] = [getattr(batch.header, table) for batch in batches]
        self.counts = np.array(self._rows, np.int64)
        self.total = sum(self._rows)
        starts = [batch.starts[table] for batch in batches]
        directories = b"".join(
            [raw[start : start + layout.size] for raw, start in zip(self._raws, starts, strict=True)]
        )
        self._directories = np.frombuffer(directories, np.uint8).reshape(len(batches), layout.size)
        masks = self._masks = self._directories[:, : layout.columns]
        if (masks & ~layout.allowed).any():
            raise ProtocolError(f"a mask in the directory of {table} has planes that its column has not")
        # First byte of each column's planes, by batch and column.
        taken = _COUNTS[masks] * self.counts[:, None]
        self._begins = np.cumsum(taken, axis=1) - taken + (np.array(starts) + layout.size)[:, None]
        # By column, the planes that any batch stores, and by how many; by byte of the directory, whether all have the same.
        self._stored: list[int] = np.bitwise_or.reduce(masks, axis=0).tolist()
        self._storing: list[list[int]] = (masks[:, :, None] >> _EIGHT & 1).sum(axis=0).tolist()
        self._is_same: list[bool] = (self._directories == self._directories[0]).all(axis=0).tolist()

    def value_or_all(self, field: str) -> int | Integers:
        """The value of a column if it is the same in all rows of all batches, else the column."""
        place = self._layout.places[field]
        if self._stored[place.position] or not all(self._is_same[place.rest]):
            return self(field)
        return int(self._directories[0, place.rest].copy().view(place.dtype)[0])

    def __call__(self, field: str, less: Integers | None = None) -> Integers:
        """A column as int64, not to be written to.

        Args:
            less: a number for each batch, which is subtracted from the values of its rows.
        """
        place = self._layout.places[field]
        masks = self._masks[:, place.position]
        joined, left = self._division(place)
        base = np.ascontiguousarray(self._directories[:, place.rest]).view(place.dtype).ravel().astype(np.int64)
        # A sum has the width of its column, which only matters where the highest plane takes part.
        may_pass = place.width < 8 and self._stored[place.position] >> place.width - 1
        if less is not None and not may_pass:
            base -= less
        is_one_base = bool((base == base[0]).all())
        if not joined:
            found = np.full(self.total, base[0]) if is_one_base else np.repeat(base, self.counts)
        else:
            found = self._joined(place, joined, masks)
            if not is_one_base:
                found += np.repeat(base, self.counts)
            elif base[0]:
                found += base[0]
        if left:
            self._add_planes(found, place, left, masks)
        if may_pass:
            found = found.astype(place.dtype).astype(np.int64)
            if less is not None:
                found -= np.repeat(less, self.counts)
        return found

    def _division(self, place: _Place) -> tuple[int, int]:
        """The planes that are stored by most batches, and those that are stored by some."""
        stored = self._stored[place.position]
        joined = 0
        for at in range(place.width):
            if stored >> at & 1 and 2 * self._storing[place.position][at] >= len(self._rows):
                joined |= 1 << at
        return joined, stored & ~joined

    def _joined(self, place: _Place, joined: int, masks: NDArray[np.uint8]) -> Integers:
        """What some planes of all batches add up to."""
        highest = joined.bit_length() - 1
        width = 1 << highest.bit_length()
        make = np.empty if joined == (1 << width) - 1 else np.zeros
        found = make((self.total, width), np.uint8)
        for at in range(highest + 1):
            if joined >> at & 1:
                begins = self._plane_begins(place, at, masks)
                sources = zip(self._raws, begins, self._rows, strict=True)
                planes = [raw[begin : begin + rows] for raw, begin, rows in sources]
                if self._storing[place.position][at] < len(planes):
                    for batch in np.flatnonzero(masks >> at & 1 == 0).tolist():
                        planes[batch] = bytes(self._rows[batch])
                found[:, at] = np.frombuffer(b"".join(planes), np.uint8)
        values: Integers = found.view(f"<u{width}").ravel().astype(np.int64)
        return values

    def _add_planes(self, found: Integers, place: _Place, left: int, masks: NDArray[np.uint8]) -> None:
        """Add the planes that few batches store, to the rows of those."""
        ends = np.cumsum(self.counts).tolist()
        for at in range(place.width):
            if left >> at & 1:
                begins = self._plane_begins(place, at, masks)
                for batch in np.flatnonzero(masks >> at & 1).tolist():
                    plane = np.frombuffer(self._raws[batch], np.uint8, self._rows[batch], begins[batch])
                    found[ends[batch] - self._rows[batch] : ends[batch]] += plane.astype(np.int64) << 8 * at

    def _plane_begins(self, place: _Place, at: int, masks: NDArray[np.uint8]) -> list[int]:
        """First byte of a plane in each batch."""
        before = _COUNTS[masks & (1 << at) - 1] * self.counts
        begins: list[int] = (self._begins[:, place.position] + before).tolist()
        return begins


def decode_columns(header: BatchHeader, body: bytes) -> BatchColumns:
    """Inflate a batch and lay out its tables.

    Raises:
        ProtocolError: the body does not fit its header.
    """
    raw = inflate(header, body)
    starts = {}
    offset = 0
    for table, types, _ in TABLES:
        starts[table] = offset
        rows: int = getattr(header, table)
        if rows:
            offset += table_size(raw, offset, types, rows)
    if offset > len(raw):
        raise ProtocolError(f"batch {header.key}: its tables take {offset} bytes, its body has {len(raw)}")
    return BatchColumns(header, raw, starts, decode_tail(header, raw[offset:]))
