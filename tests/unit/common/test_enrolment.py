"""Messages of enrolment: they arrive, and what is none is refused without showing a secret."""

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.enrolment import (
    MAX_ENROLMENT_BYTES,
    Enrol,
    Enrolled,
    EnrolRefused,
    decode_answer,
    decode_enrol,
    encode_enrolment,
)
from osbench.common.error import ProtocolError

SECRET = b"hunter2-very-secret-hunter2-very"
ENROL = Enrol(name="load-1", secret=SECRET, host="192.0.2.7", protocol=1, protocol_min=1, version="0.1.0")
ENROLLED = Enrolled(name="load-1", control="tcp://192.0.2.7:7761", bulk="tcp://192.0.2.7:7762")


def packed(value: Any) -> bytes:
    data = msgpack.packb(value)
    assert isinstance(data, bytes)
    return data


def test_what_is_said_arrives() -> None:
    assert decode_enrol(encode_enrolment(ENROL)) == ENROL
    for answer in (ENROLLED, EnrolRefused(reason="nein, böse")):
        assert decode_answer(encode_enrolment(answer)) == answer


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"", "not msgpack"),
        (packed(SECRET), r"not \[1, message\]"),
        (packed([2, {}]), r"not \[1, message\]"),
        (packed([1, {"type": "enrolled"}]), "refused"),
        (packed([1, {**msgspec.to_builtins(ENROL, builtin_types=(bytes,)), "name": SECRET}]), "refused"),
        (encode_enrolment(msgspec.structs.replace(ENROL, secret=SECRET + b"x")), "secret of 33 bytes; it has 32"),
        (bytes(MAX_ENROLMENT_BYTES + 1), "at most 4096"),
        (SECRET, "not msgpack"),
    ],
)
def test_what_is_no_enrolment_is_refused_without_showing_it(frame: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message) as raised:
        decode_enrol(frame)
    assert "hunter2" not in str(raised.value)


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(ENROL)


def test_a_field_of_a_later_release_is_left_aside() -> None:
    frame = packed([1, {"type": "enrol_refused", "reason": "x", "later": 5}])

    assert decode_answer(frame) == EnrolRefused(reason="x")


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error(frame: bytes) -> None:
    for decode in (decode_enrol, decode_answer):
        with pytest.raises(ProtocolError):
            decode(frame)
