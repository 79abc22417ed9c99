"""Byte planes: every table comes back as it went in, and what contradicts itself is refused."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.error import ProtocolError
from osbench.common.planes import (
    decode_column,
    decode_table,
    directory_bytes,
    encode_table,
    one_value,
    table_size,
)

TYPES = "qIHhB"
BOUNDS = {
    "q": (-(2**63), 2**63 - 1),
    "I": (0, 2**32 - 1),
    "H": (0, 2**16 - 1),
    "h": (-(2**15), 2**15 - 1),
    "B": (0, 255),
}


def numbers(code: str) -> st.SearchStrategy[int]:
    """Small ones and ones near the bounds are the likely ones, as in records."""
    low, high = BOUNDS[code]
    return (
        st.integers(low, high) | st.integers(max(low, -2), 300 if high > 300 else high) | st.sampled_from((low, high))
    )


@given(st.lists(st.tuples(*map(numbers, TYPES)), max_size=30), st.binary(max_size=9))
def test_a_table_comes_back_as_it_went_in(rows: list[tuple[int, ...]], before: bytes) -> None:
    encoded = b"".join(encode_table(rows, TYPES))
    raw = before + encoded + b"tail"

    assert table_size(raw, len(before), TYPES, len(rows)) == len(encoded)
    columns = decode_table(raw, len(before), TYPES, len(rows))
    assert list(zip(*columns, strict=True)) == rows
    for position, column in enumerate(columns if rows else ()):
        assert decode_column(raw, len(before), TYPES, len(rows), position) == column
        only = one_value(raw, len(before), TYPES, position)
        assert (only is not None) == (len(set(column)) == 1)
        assert only is None or only == column[:1].tobytes()


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        ([], 0),
        ([(1, 2, 3, 4, 5)], directory_bytes(TYPES)),
        ([(1, 2, 3, 4, 5)] * 1_000, directory_bytes(TYPES)),
        ([(10**15 + at, 2, 3, -1, 5) for at in range(200)], directory_bytes(TYPES) + 200),
        ([(10**15, 2, at, -1, 5) for at in range(300)], directory_bytes(TYPES) + 600),
        # Stamps on both sides of a multiple of 2^32, less than that apart; and as much apart.
        ([(2**40 - 2 * 10**9 + at * 10**7, 2, 3, -1, 5) for at in range(400)], directory_bytes(TYPES) + 4 * 400),
        ([(2**40 - (at % 2 << 32), 2, 3, -1, 5) for at in range(400)], directory_bytes(TYPES) + 2 * 400),
    ],
)
def test_a_plane_of_one_byte_takes_no_room(rows: Sequence[Sequence[int]], size: int) -> None:
    assert len(b"".join(encode_table(rows, TYPES))) == size


def test_the_layout_of_a_table_is_fixed() -> None:
    """Bytes are read by position: a moved one is another number."""
    encoded = b"".join(encode_table([(0x0102, 7), (0x0304, 7), (0x0502, 7)], "HI"))

    assert encoded.hex(" ") == "03 00" + " 00 00" + " 07 00 00 00" + " 02 04 02" + " 01 03 05"


@pytest.mark.parametrize(
    "raw",
    [
        bytes.fromhex("04 0000 0102 0304"),  # a plane that two bytes have not
        bytes.fromhex("01 0000 01"),  # a row is missing
        bytes.fromhex("00 00"),  # half a directory
        b"",
    ],
)
def test_a_table_that_contradicts_itself_or_ends_early_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_table(raw, 0, "H", 2)


def test_what_is_in_the_rest_under_a_stored_plane_is_added_within_the_width_of_the_column() -> None:
    raw = bytes.fromhex("03 0180 ff00 7f80")

    assert decode_table(raw, 0, "h", 2)[0].tolist() == [0, 1]


@pytest.mark.parametrize(("code", "number"), [("B", 256), ("h", 40_000), ("I", -1), ("q", 2**63)])
@pytest.mark.parametrize("others", [[], [0]])
def test_a_number_that_does_not_fit_is_our_bug(code: str, number: int, others: list[int]) -> None:
    with pytest.raises(OverflowError):
        encode_table([(one,) for one in (number, *others)], code)
