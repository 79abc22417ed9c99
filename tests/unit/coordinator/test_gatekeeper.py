"""The gate: who is let in, by the words of ZAP."""

import logging

import pytest
from zmq.utils import z85

from osbench.common.clock import NS_PER_S, ManualClock
from osbench.coordinator.bounded_log import BoundedLog
from osbench.coordinator.gatekeeper import Gate
from osbench.coordinator.keyring import KeyRing

KNOWN, STRANGER = "0" * 40, "1" * 40
log = logging.getLogger("test")


def gate() -> Gate:
    return Gate(KeyRing({KNOWN: "load-1"}), BoundedLog(log, ManualClock()))


def asked(domain: bytes, key: str) -> list[bytes]:
    return [b"1.0", b"5", domain, b"192.0.2.7", b"", b"CURVE", z85.decode(key)]


@pytest.mark.parametrize(
    ("domain", "key", "status"),
    [
        (b"control", KNOWN, b"200"),
        (b"bulk", KNOWN, b"200"),
        (b"enrol", KNOWN, b"200"),
        (b"enrol", STRANGER, b"200"),
        (b"control", STRANGER, b"400"),
        (b"bulk", STRANGER, b"400"),
        (b"", KNOWN, b"400"),
        (b"other", KNOWN, b"400"),
    ],
)
def test_who_comes_is_let_in_by_domain_and_key(domain: bytes, key: str, status: bytes) -> None:
    version, request_id, code, _, user, metadata = gate().answer(asked(domain, key))

    assert (version, request_id, code, metadata) == (b"1.0", b"5", status, b"")
    assert user == (key.encode() if status == b"200" else b"")


@pytest.mark.parametrize(
    "request_frames",
    [
        [],
        [b"1.0"],
        [b"2.0", b"5", b"control", b"a", b"", b"CURVE", z85.decode(KNOWN)],
        [b"1.0", b"5", b"control", b"a", b"", b"NULL"],
        [b"1.0", b"5", b"control", b"a", b"", b"NULL", z85.decode(KNOWN)],
        [b"1.0", b"5", b"control", b"a", b"", b"PLAIN", b"user", b"password"],
        [b"1.0", b"5", b"control", b"a", b"", b"CURVE", b"short"],
        [b"1.0", b"5", b"\xff", b"\xff", b"", b"CURVE", z85.decode(STRANGER)],
    ],
)
def test_whatever_else_is_asked_is_refused(request_frames: list[bytes]) -> None:
    assert gate().answer(request_frames)[2] == b"400"


def test_a_flood_is_a_few_lines_and_a_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    bounded = BoundedLog(log, clock, lines=3, window_ns=10 * NS_PER_S)
    for number in range(100):
        bounded.warning("refused %d", number)
    clock.advance(10 * NS_PER_S)
    bounded.warning("refused again")
    clock.advance(10 * NS_PER_S)
    bounded.settle()

    assert [record.getMessage() for record in caplog.records] == [
        "refused 0",
        "refused 1",
        "refused 2",
        "97 more lines like these were left out in 10 s",
        "refused again",
    ]
    assert bounded.total == 101
