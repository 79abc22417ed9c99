"""Tables of whole numbers as bytes: column after column, and each column byte plane after byte plane.

Rules: pure Python, since agents write it; whoever reads many batches at once lays arrays over the same bytes
(coordinator/columns). A plane is one byte of each row's number. One that has the same byte in all rows is not stored:
the byte stands in the directory instead. So a column of one value takes no room, a stamp takes the four planes that
differ within some seconds, and what is stored is sorted by how well it compresses.

    table      directory ‖ planes of the first column ‖ planes of the second ‖ …        nothing at all without rows
    directory  a mask for each column: u8, bit k is set if plane k is stored
               a rest for each column, as wide as its type: byte k is that of all rows, 0 where plane k is stored
    plane k    byte k (k = 0 is the lowest) of each row's number in two's complement
"""

from array import array
from collections.abc import Sequence
from functools import cache
from sys import byteorder

from osbench.common.error import ProtocolError


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
        is_constant = column.count(column[0]) == size
        numbers = array(code, column[:1] if is_constant else column)
        if byteorder == "big":
            numbers.byteswap()
        data = numbers.tobytes()
        if is_constant:
            masks.append(0)
            rests.append(data)
            continue
        width = numbers.itemsize
        mask, rest = 0, bytearray(width)
        for place in range(width):
            plane = data[place::width]
            if plane == plane[:1] * size:
                rest[place] = plane[0]
            else:
                mask |= 1 << place
                planes.append(plane)
        masks.append(mask)
        rests.append(bytes(rest))
    return [bytes(masks), *rests, *planes]


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
    mask = raw[offset + position]
    rest_at = offset + len(types) + sum(widths[:position])
    rest = raw[rest_at : rest_at + widths[position]]
    check_directory(mask, rest)
    before = int.from_bytes(raw[offset : offset + position], "little").bit_count()
    plane_at = offset + directory_bytes(types) + before * rows
    data = bytearray(rest * rows)
    for place in range(len(rest)):
        if mask >> place & 1:
            data[place :: len(rest)] = raw[plane_at : plane_at + rows]
            plane_at += rows
    column = array(types[position])
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


def check_directory(mask: int, rest: bytes) -> None:
    """Refuse a column whose mask has planes its type has not, or whose rest says something about a stored plane.

    Raises:
        ProtocolError: it does.
    """
    if mask >> len(rest) or any(byte and mask >> place & 1 for place, byte in enumerate(rest)):
        raise ProtocolError(f"a column's mask {mask:#04x} contradicts its rest {rest.hex()}")
