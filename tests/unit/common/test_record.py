"""Batches: what goes in comes out, bounds hold, and nothing but a ProtocolError comes of garbage."""

from pathlib import Path
from random import Random
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osbench.common.error import ProtocolError
from osbench.common.planes import directory_bytes
from osbench.common.record import (
    ACTION_TYPES,
    CALL_TYPES,
    CODEC_PLAIN,
    CODEC_ZSTD,
    HEALTH_TYPES,
    HOST_TYPES,
    ITERATION_TYPES,
    MAX_ROWS,
    TABLES,
    ActionRow,
    Batch,
    BatchHeader,
    BatchIdentity,
    BatchKey,
    CallHistogram,
    CallRow,
    HealthRow,
    HostRow,
    IterationRow,
    Rows,
    decode_header,
    decode_rows,
    encode_batch,
    inflate,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "record-v1.bin"

IDENTITY = BatchIdentity(run="11111111-2222-4333-8444-555555555555", agent="load-1", life=3, worker=2, start_ns=10**15)
ROWS = Rows(
    iterations=[
        IterationRow(7, -1, 10**15 + 5, 10**15 + 2 * 10**9, 0, 0, 0),
        IterationRow(10**12, 10**15 + 1, 10**15 + 9, 10**15 + 3 * 10**9, 10**8, 2, 4_294_967_295),
    ],
    actions=[ActionRow(7, 0, -1, 65_535, 10**15 + 6, 10**15 + 10**9, -1, 0), ActionRow(7, 1, 0, 1, 5, 6, 5, 255)],
    calls=[CallRow(7, -1, 1, 10**15 + 7, 10**15 + 8, 1, 503, 4_294_967_295, 2, 9, 1, 2, 3, 4, 5, 6, 4_294_967_295)],
    health=[HealthRow(10**15 + 10**9, 10**9, 1, 2, 3, 4, 5, 6, 7, 8)],
    hosts=[HostRow(10**15 + 10**9, 1_000, 500, 250, 10**12, 10**11, 0, 10**9)],
    names={1: "nova GET /servers/{id}", 65_535: "nova.böot"},
    errors={4_294_967_295: ("HttpError", "503 on GET /servers/{id}")},
    request_ids={0: "req-1"},
    histograms=(CallHistogram(1, 0, 2, 700, 100, 600, (100, 1, 556, 1)),),
)


def batch() -> Batch:
    return encode_batch(IDENTITY, 41, ROWS)


def changed(**fields: Any) -> bytes:
    packed = msgpack.packb(list(batch().header._replace(**fields)))
    assert isinstance(packed, bytes)
    return packed


def test_what_is_encoded_is_decoded() -> None:
    made = batch()

    assert decode_header(made.header_bytes) == made.header
    assert made.header.key == BatchKey(IDENTITY.run, "load-1", 3, 2, 41)
    assert (made.header.first_ns, made.header.last_ns) == (10**15 + 2 * 10**9, 10**15 + 3 * 10**9)
    assert decode_rows(made.header, made.body) == ROWS


def test_an_empty_batch_is_a_batch() -> None:
    made = encode_batch(IDENTITY, 1, Rows(names={}, errors={}, request_ids={}))

    assert (made.header.first_ns, made.header.last_ns) == (IDENTITY.start_ns, IDENTITY.start_ns)
    assert decode_rows(made.header, made.body).iterations == []


def test_a_number_that_does_not_fit_its_column_is_our_bug() -> None:
    with pytest.raises(OverflowError):
        encode_batch(IDENTITY, 1, Rows(iterations=[[0, 0, 0, 0, 0, 256, 0]], names={}, errors={}, request_ids={}))


def test_golden_file_of_version_1_stays_readable() -> None:
    """Spools and databases hold batches of every release: none may become unreadable."""
    data = GOLDEN.read_bytes()
    size = int.from_bytes(data[:4], "little")
    header = decode_header(data[4 : 4 + size])

    assert header.version == 1
    assert header.key == BatchKey(IDENTITY.run, "load-1", 3, 2, 41)
    assert decode_rows(header, data[4 + size :]) == ROWS


def test_the_layout_of_version_1_is_fixed() -> None:
    """Numbers are read by position: a moved column is another number."""
    assert (ITERATION_TYPES, ACTION_TYPES, CALL_TYPES) == ("qqqqqBI", "qhhHqqqB", "qhHqqBHIBBIIIIIII")
    assert (HEALTH_TYPES, HOST_TYPES) == ("qqqqqqqIII", "qHHHqqHq")
    assert [directory_bytes(types) for _, types, _ in TABLES] == [52, 47, 82, 78, 48]
    assert [len(types) for _, types, _ in TABLES] == [len(row._fields) for _, _, row in TABLES]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": 2}, "version 2 is not known here; this release reads 1"),
        ({"run": ""}, "1 to 128 characters"),
        ({"agent": "a" * 129}, "1 to 128 characters"),
        ({"agent": 5}, "1 to 128 characters"),
        ({"life": 2**63}, "not a 64-bit integer"),
        ({"life": True}, "not a 64-bit integer"),
        ({"start_ns": 1.5}, "not a 64-bit integer"),
        ({"iterations": -1}, "rows, at most"),
        ({"calls": MAX_ROWS + 1}, "rows, at most"),
        ({"iterations": MAX_ROWS, "actions": 1}, "rows, at most"),
        ({"raw_bytes": 2**26 + 1}, "out of bounds"),
        ({"raw_bytes": -1}, "out of bounds"),
        ({"worker": 65_536}, "out of bounds"),
        ({"worker": -1}, "out of bounds"),
        ({"seq": 0}, "out of bounds"),
    ],
)
def test_a_header_out_of_bounds_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        decode_header(changed(**fields))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01", msgpack.packb({}), msgpack.packb([]), msgpack.packb([1])])
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_header(data)


@pytest.mark.parametrize(
    ("codec", "body", "message"),
    [
        (CODEC_ZSTD, b"not zstandard", "does not inflate"),
        (CODEC_ZSTD, zstandard.ZstdCompressor().compress(b"short"), "has 5 bytes, its header says"),
        (CODEC_PLAIN, b"short", "has 5 bytes, its header says"),
        (9, b"", "codec 9 is not known"),
    ],
)
def test_a_body_that_is_not_what_its_header_promises_is_refused(codec: int, body: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        inflate(batch().header._replace(codec=codec), body)


def test_a_body_that_ends_inside_a_table_is_refused() -> None:
    made = batch()
    with pytest.raises(ProtocolError, match="table iterations: it ends before its last row"):
        decode_rows(made.header._replace(iterations=900_000), made.body)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        msgpack.packb([]),
        msgpack.packb({"names": {}, "errors": {}, "request_ids": {}}),
        msgpack.packb({"names": [], "errors": {}, "request_ids": {}, "histograms": []}),
        msgpack.packb({"names": {"x": "y"}, "errors": {}, "request_ids": {}, "histograms": []}),
        msgpack.packb({"names": {}, "errors": {1: "one"}, "request_ids": {}, "histograms": []}),
        msgpack.packb({"names": {}, "errors": {}, "request_ids": {}, "histograms": [[1, 0, 0, 1, 1, 1, [1]]]}),
        msgpack.packb({"names": {}, "errors": {}, "request_ids": {}, "histograms": [[1, 0, 0, 1, 1, 1, [1, 0.5]]]}),
        msgpack.packb({"names": {}, "errors": {}, "request_ids": {}, "histograms": [[1, 0]]}),
        msgpack.packb({"names": {1: "n" * 5_000}, "errors": {}, "request_ids": {}, "histograms": []}),
    ],
)
def test_a_tail_that_does_not_fit_is_refused(tail: bytes) -> None:
    header = encode_batch(IDENTITY, 1, Rows(names={}, errors={}, request_ids={})).header
    with pytest.raises(ProtocolError):
        decode_rows(header._replace(codec=CODEC_PLAIN, raw_bytes=len(tail)), tail)


@given(st.binary(max_size=300))
def test_garbage_for_a_header_is_a_protocol_error_or_a_header(data: bytes) -> None:
    try:
        assert isinstance(decode_header(data), BatchHeader)
    except ProtocolError:
        pass


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.booleans() | st.none(), max_size=20))
def test_any_array_for_a_header_is_a_protocol_error_or_a_header(fields: list[Any]) -> None:
    try:
        assert decode_header(msgpack.packb(fields)).version == 1
    except ProtocolError:
        pass


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_damaged_body_is_a_protocol_error_or_rows(seed: int, flips: int) -> None:
    made = batch()
    raw = bytearray(inflate(made.header, made.body))
    random = Random(seed)
    for _ in range(flips):
        raw[random.randrange(len(raw))] = random.randrange(256)
    try:
        assert isinstance(decode_rows(made.header._replace(codec=CODEC_PLAIN), bytes(raw)), Rows)
    except ProtocolError:
        pass


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_a_cut_body_is_a_protocol_error(seed: int, cut: int) -> None:
    made = batch()
    with pytest.raises(ProtocolError):
        decode_rows(made.header, made.body[: -1 - cut])
    damaged = Random(seed).randbytes(len(made.body))
    with pytest.raises(ProtocolError):
        decode_rows(made.header, damaged)


def test_a_frame_that_announces_more_than_its_header_is_refused_before_memory_is_taken() -> None:
    """Without this one small frame takes the memory of the whole ingest process."""
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (1 << 46).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(ProtocolError):
        inflate(batch().header, bomb)


def test_an_infinite_number_for_a_name_is_refused() -> None:
    header = encode_batch(IDENTITY, 1, Rows(names={}, errors={}, request_ids={})).header
    tail = msgpack.packb({"names": {float("inf"): "x"}, "errors": {}, "request_ids": {}, "histograms": []})
    with pytest.raises(ProtocolError):
        decode_rows(header._replace(codec=CODEC_PLAIN, raw_bytes=len(tail)), tail)
