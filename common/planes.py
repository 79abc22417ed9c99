"""Tables of whole numbers as bytes: column after column, and each column byte plane after byte plane.

Rules: pure Python, since agents write it; whoever reads many batches at once lays arrays over the same bytes
(coordinator/columns). A plane is one byte of each row's number. One that has the same byte in all rows is not stored:
the byte stands in the directory instead. So a column of one value takes no room, a stamp takes the four planes that
differ within some seconds, and what is stored is sorted by how well it compresses.

    table      directory ‖ planes of the first column ‖ planes of the second ‖ …        nothing at all without rows
    directory  a mask for each column: u8, bit k is set if plane k is stored
               a rest for each column, as wide as its type
    plane k    a byte of each row
    number     rest + the sum of byte << 8k over the stored planes, in two's complement as wide as the column

A column of stamps that passes a multiple of 2^32 ns would need a fifth plane: its least number goes into the rest then.
"""

from array import array
from collections.abc import Sequence
from functools import cache
from itertools import repeat
from operator import sub
from sys import byteorder

from osbench.common.error import ProtocolError

#: Planes of what differs by less than 4.3 s.
_SHORT_PLANES = 4


@cache
def widths_of(types: str) -> tuple[int, ...]:
    """Bytes of each column's numbers; `types` are codes of the array module."""
    return tuple(array(code).itemsize for code in types)


@cache
def directory_bytes(types: str) -> int:
    """Bytes of the directory of a table of these columns."""
    return len(types) + sum(widths_of(types))


def encode_table(rows: Sequence[Sequence[int]], types: str) -> list[bytes]:
    """A table as bytes, in parts.

    Raises:
        OverflowError: a number does not fit its column.
    """
    size = len(rows)
    if not size:
        return []
    masks = bytearray()
    rests: list[bytes] = []
    planes: list[bytes] = []
    for code, column in zip(types, zip(*rows, strict=True), strict=True):
        # Half of all columns have one value in a batch: comparing is quicker than converting.
        if column.count(column[0]) == size:
            masks.append(0)
            rests.append(_little(array(code, column[:1])))
            continue
        mask, rest, stored = _divided(_little(array(code, column)), size)
        if mask >> _SHORT_PLANES:
            least = min(column)
            if max(column) - least < 1 << 8 * _SHORT_PLANES:
                mask, rest, stored = _divided(_little(array(code, map(sub, column, repeat(least)))), size)
                whole = int.from_bytes(rest, "little") + least
                rest = (whole % (1 << 8 * len(rest))).to_bytes(len(rest), "little")
        masks.append(mask)
        rests.append(rest)
        planes += stored
    return [bytes(masks), *rests, *planes]


def _little(numbers: "array[int]") -> bytes:
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _divided(data: bytes, rows: int) -> tuple[int, bytes, list[bytes]]:
    """Mask, rest and stored planes of a column's numbers."""
    width = len(data) // rows
    mask, rest, stored = 0, bytearray(width), []
    for place in range(width):
        plane = data[place::width]
        if plane == plane[:1] * rows:
            rest[place] = plane[0]
        else:
            mask |= 1 << place
            stored.append(plane)
    return mask, bytes(rest), stored


def table_size(raw: bytes, offset: int, types: str, rows: int) -> int:
    """Bytes that a table at `offset` takes, going by its directory; it may be more than there are."""
    if not rows:
        return 0
    stored = int.from_bytes(raw[offset : offset + len(types)], "little").bit_count()
    return directory_bytes(types) + stored * rows


def decode_table(raw: bytes, offset: int, types: str, rows: int) -> "list[array[int]]":
    """The columns of a table at `offset`.

    Raises:
        ProtocolError: it does not end within `raw`, or its directory contradicts itself.
    """
    if not rows:
        return [array(code) for code in types]
    if offset + table_size(raw, offset, types, rows) > len(raw):
        raise ProtocolError("it ends before its last row")
    return [decode_column(raw, offset, types, rows, position) for position in range(len(types))]


def decode_column(raw: bytes, offset: int, types: str, rows: int, position: int) -> "array[int]":
    """One column of a table that is known to be there.

    Raises:
        ProtocolError: its place in the directory contradicts itself.
    """
    widths = widths_of(types)
    width = widths[position]
    mask = raw[offset + position]
    if mask >> width:
        raise ProtocolError(f"a column of {width} bytes has a mask {mask:#04x}")
    rest_at = offset + len(types) + sum(widths[:position])
    rest = raw[rest_at : rest_at + width]
    before = int.from_bytes(raw[offset : offset + position], "little").bit_count()
    plane_at = offset + directory_bytes(types) + before * rows
    is_apart = not any(byte and mask >> place & 1 for place, byte in enumerate(rest))
    data = bytearray(rest * rows if is_apart else width * rows)
    for place in range(width):
        if mask >> place & 1:
            data[place::width] = raw[plane_at : plane_at + rows]
            plane_at += rows
    if is_apart:
        return _read(types[position], data)
    modulus, more = 1 << 8 * width, int.from_bytes(rest, "little")
    unsigned = types[position].upper()
    sums = array(unsigned, [(number + more) % modulus for number in _read(unsigned, data)])
    return _read(types[position], _little(sums))


def _read(code: str, data: bytes | bytearray) -> "array[int]":
    column = array(code)
    column.frombytes(data)
    if byteorder == "big":
        column.byteswap()
    return column


def one_value(raw: bytes, offset: int, types: str, position: int) -> bytes | None:
    """The number of a column, as its bytes, where all rows of a table that is known to be there have the same."""
    if raw[offset + position]:
        return None
    widths = widths_of(types)
    rest_at = offset + len(types) + sum(widths[:position])
    return raw[rest_at : rest_at + widths[position]]
