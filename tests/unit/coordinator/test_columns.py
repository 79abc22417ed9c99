"""Columns of many batches as arrays: the same numbers as row by row."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osbench.common.error import ProtocolError
from osbench.common.planes import directory_bytes
from osbench.common.record import (
    CODEC_PLAIN,
    HOST_TYPES,
    TABLES,
    BatchIdentity,
    HostRow,
    Rows,
    decode_rows,
    encode_batch,
    inflate,
)
from osbench.coordinator.columns import TableColumns, decode_columns


def identity(number: int) -> BatchIdentity:
    return BatchIdentity(run="run", agent="a", life=1, worker=0, start_ns=1_000 * number)


def number_for(random: Random, code: str) -> int:
    """A number whose planes are like those of its column in one batch and unlike those in another."""
    bits = random.choice(
        {"q": (0, 8, 30, 40, 63), "I": (0, 8, 17, 32), "H": (0, 8, 16), "h": (0, 7, 15), "B": (0, 8)}[code]
    )
    number = random.randrange(1 << bits)
    return -number - 1 if code in "qh" and random.random() < 0.2 else number


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 12))
def test_every_column_over_all_batches_is_what_the_rows_say(seed: int, batches: int, rows: int) -> None:
    """Batches store different planes of a column; each must get its own bytes and its own sign."""
    random = Random(seed)
    for table, types, row_type in TABLES:
        made = []
        for number in range(batches):
            base = [number_for(random, code) for code in types]
            table_rows = [
                row_type(
                    *(
                        was if random.random() < 0.7 else number_for(random, code)
                        for was, code in zip(base, types, strict=True)
                    )
                )
                for _ in range(random.randint(1, rows))
            ]
            made.append(
                encode_batch(identity(number), 1, Rows(**{table: table_rows}, names={}, errors={}, request_ids={}))
            )
        expected = [row for one in made for row in getattr(decode_rows(one.header, one.body), table)]
        columns = TableColumns([decode_columns(one.header, one.body) for one in made], table)
        less = np.array([one.header.start_ns for one in made])
        of_row = np.repeat(less, columns.counts)

        assert columns.total == len(expected)
        for position, field in enumerate(row_type._fields):
            values = np.array([row[position] for row in expected], np.int64)
            assert columns(field).tolist() == values.tolist()
            assert columns(field, less=less).tolist() == (values - of_row).tolist()
            short = columns.value_or_all(field)
            if isinstance(short, int):
                assert set(values.tolist()) == {short}
            else:
                assert len(set(values.tolist())) > 1
                assert short.tolist() == values.tolist()


def test_a_mask_with_planes_that_its_column_has_not_is_refused() -> None:
    made = encode_batch(identity(0), 1, Rows(hosts=[[1] * 8, [2] * 8], names={}, errors={}, request_ids={}))
    raw = bytearray(inflate(made.header, made.body))
    # The second column has two bytes; it stores a third one, and the last column none for it.
    raw[1], raw[7] = 0b101, 0
    decoded = decode_columns(made.header._replace(codec=CODEC_PLAIN), bytes(raw))

    with pytest.raises(ProtocolError, match="has planes that its column has not"):
        TableColumns([decoded], "hosts")


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_any_directory_means_the_same_by_row_and_by_column(seed: int, batches: int) -> None:
    """A rest under stored planes is added to them, within the width of the column."""
    random = Random(seed)
    made = []
    for number in range(batches):
        rows = [[random.randrange(100) for _ in range(8)] for _ in range(random.randint(2, 4))]
        one = encode_batch(identity(number), 1, Rows(hosts=rows, names={}, errors={}, request_ids={}))
        raw = bytearray(inflate(one.header, one.body))
        raw[8 : directory_bytes(HOST_TYPES)] = random.randbytes(directory_bytes(HOST_TYPES) - 8)
        made.append((one.header._replace(codec=CODEC_PLAIN), bytes(raw)))
    expected = [row for header, body in made for row in decode_rows(header, body).hosts]
    columns = TableColumns([decode_columns(header, body) for header, body in made], "hosts")

    for position, field in enumerate(HostRow._fields):
        assert columns(field).tolist() == [row[position] for row in expected]


def test_a_body_that_ends_inside_a_table_is_refused() -> None:
    made = encode_batch(identity(0), 1, Rows(health=[[1] * 10, [2] * 10], names={}, errors={}, request_ids={}))

    with pytest.raises(ProtocolError, match="its tables take"):
        decode_columns(made.header._replace(health=1_000), made.body)
