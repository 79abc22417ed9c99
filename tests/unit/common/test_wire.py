"""Control messages and batch frames: what is said arrives, and garbage is a ProtocolError."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common import wire
from osbench.common.error import ProtocolError
from osbench.common.messages import (
    Ack,
    ClockProbe,
    ClockReply,
    Hello,
    LostBatches,
    Orders,
    PastWorker,
    Prepare,
    Refusal,
    Rejected,
    Report,
    RunReport,
    ShareProgress,
    Welcome,
    WorkerReport,
    WorkerShares,
)
from osbench.common.record import BatchIdentity, Rows, encode_batch
from osbench.common.share import divide, divide_rest

SHARE = divide(1, 1_000, 5, (2, 1))[0]
WORKER = WorkerReport(
    worker=1,
    state="running",
    shares=(ShareProgress(epoch=1, started=17),),
    lost=(LostBatches(first_seq=2, last_seq=3, iterations=5, first_ns=1, last_ns=2),),
)
TO_COORDINATOR = [
    Hello(
        agent="a", life=2, protocol=1, version="0.1", workers=2, cores=4, memory_bytes=2**35, nofile=1024, runs=("r",)
    ),
    ClockProbe(sent_ns=-5),
    Report(
        agent="a",
        life=2,
        sequence=9,
        runs=(RunReport(run="r", revision=3, has_job=True, state="running", workers=(WORKER,)),),
        past=(PastWorker(run="r", life=1, worker=WORKER),),
    ),
]
TO_AGENT = [
    Welcome(life=2, lease_ns=30 * 10**9),
    Refusal(reason="schlüssel"),
    ClockReply(probe_sent_ns=1, received_ns=2, replied_ns=3),
    Prepare(run="r", revision=1, job=b"\x00\xff"),
    Orders(
        run="r",
        revision=4,
        goal="run",
        start_ns=2**62,
        shares=(WorkerShares(worker=0, shares=(SHARE, divide_rest(2, SHARE, 10, (1, 1))[1])),),
    ),
]
TO_UPLINK = [
    Ack(run="r", life=2, worker=1, seqs=(1, 2, 9), credit=64),
    Rejected(run="r", life=2, worker=1, seq=3, reason="codec 9 is not known here"),
]
ALL = [
    *((message, wire.TO_COORDINATOR) for message in TO_COORDINATOR),
    *((message, wire.TO_AGENT) for message in TO_AGENT),
    *((message, wire.TO_UPLINK) for message in TO_UPLINK),
]
KINDS = st.sampled_from([wire.TO_COORDINATOR, wire.TO_AGENT, wire.TO_UPLINK])


@pytest.mark.parametrize(("message", "kind"), ALL, ids=[type(message).__name__ for message, _ in ALL])
def test_what_is_said_arrives(message: Any, kind: Any) -> None:
    assert wire.decode(wire.encode(message), kind) == message


@pytest.mark.parametrize(("message", "kind"), ALL, ids=[type(message).__name__ for message, _ in ALL])
def test_a_message_of_another_direction_is_refused(message: Any, kind: Any) -> None:
    for other in (wire.TO_COORDINATOR, wire.TO_AGENT, wire.TO_UPLINK):
        if other is not kind:
            with pytest.raises(ProtocolError, match="refused"):
                wire.decode(wire.encode(message), other)


def packed(value: Any) -> bytes:
    data = msgpack.packb(value)
    assert isinstance(data, bytes)
    return data


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (packed(5), r"not \[version, message\]"),
        (packed([wire.FRAME_VERSION]), r"not \[version, message\]"),
        (packed([2, {}]), "frame version 2, this release reads 1"),
        (packed(["1", {}]), "frame version '1'"),
        (packed([wire.FRAME_VERSION, {}]), "refused"),
        (packed([wire.FRAME_VERSION, {"type": "welcome", "life": "2", "lease_ns": 1}]), "refused"),
        (packed([wire.FRAME_VERSION, {"type": "bogus"}]), "refused"),
        (
            packed([wire.FRAME_VERSION, {"type": "welcome", "life": 2**63, "lease_ns": 1}]),
            "refused: .*9223372036854775807",
        ),
        (b"\x92\x01" + b"\x91" * 2_000, "not msgpack"),
        (bytes(wire.MAX_CONTROL_BYTES + 1), "at most 16777216"),
    ],
)
def test_what_is_no_message_is_refused(frame: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        wire.decode(frame, wire.TO_AGENT)


def test_a_field_of_a_later_release_is_left_aside() -> None:
    frame = packed([wire.FRAME_VERSION, {"type": "clock_probe", "sent_ns": 5, "later": [1]}])

    assert wire.decode(frame, wire.TO_COORDINATOR) == ClockProbe(sent_ns=5)


@given(st.binary(max_size=200), KINDS)
def test_garbage_is_a_protocol_error(frame: bytes, kind: Any) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(frame, kind)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, KINDS)
def test_any_value_is_a_message_or_a_protocol_error(value: Any, kind: Any) -> None:
    try:
        wire.decode(packed([wire.FRAME_VERSION, value]), kind)
    except ProtocolError:
        pass


@given(st.sampled_from(ALL), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_message_is_a_message_or_a_protocol_error(said: tuple[Any, Any], place: int, byte: int) -> None:
    message, kind = said
    frame = bytearray(wire.encode(message))
    frame[place % len(frame)] = byte
    try:
        wire.decode(bytes(frame), kind)
    except ProtocolError:
        pass


def test_a_batch_is_two_frames() -> None:
    batch = encode_batch(
        BatchIdentity(run="r", agent="a", life=1, worker=0, start_ns=0), 1, Rows(names={}, errors={}, request_ids={})
    )

    assert wire.decode_batch_frames([batch.header_bytes, batch.body]) == (batch.header, batch.header_bytes, batch.body)
    for frames in ([], [batch.header_bytes], [batch.header_bytes, batch.body, b""]):
        with pytest.raises(ProtocolError, match="it has two"):
            wire.decode_batch_frames(frames)


def test_an_oversized_batch_is_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="at most 2048"):
        wire.decode_batch_frames([bytes(wire.MAX_HEADER_BYTES + 1), b""])
    with pytest.raises(ProtocolError, match="at most 2048"):
        wire.decode_batch_frames([b"", bytes(wire.MAX_BATCH_BYTES + 1)])
