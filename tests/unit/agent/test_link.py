"""What is made of the words of a connection's monitor, event by event."""

import errno

import zmq

from osbench.agent.link import (
    BACKOFF_S,
    BROKEN_OFF,
    NO_COORDINATOR,
    NOT_HEARD,
    REPEAT_NS,
    SILENT_NS,
    UNKNOWN_KEY,
    Act,
    LinkWatch,
    handshake_failure,
)
from osbench.common.clock import NS_PER_MS, NS_PER_S

S = NS_PER_S


def watch() -> LinkWatch:
    return LinkWatch(endpoint="tcp://control:7761", now_ns=0)


def connect(link: LinkWatch, now_ns: int) -> None:
    link.handle(zmq.EVENT_CONNECTED, 5, now_ns)
    link.handle(zmq.EVENT_HANDSHAKE_SUCCEEDED, 0, now_ns)


def test_a_refused_key_is_hung_up_on_and_dialled_ever_more_slowly() -> None:
    """libzmq gives up for ever after such a handshake: an agent that was joined anew would never come back."""
    link = watch()
    now_ns, pauses = 0, []

    for _ in range(7):
        link.handle(zmq.EVENT_CONNECTED, 5, now_ns)
        assert link.handle(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400, now_ns) is Act.HANG_UP
        assert link.handle(zmq.EVENT_DISCONNECTED, 5, now_ns) is Act.NOTHING
        failed_ns = now_ns
        while link.look(now_ns) is not Act.DIAL:
            now_ns += 100 * NS_PER_MS
        pauses.append((now_ns - failed_ns) // S)

    assert pauses == [*BACKOFF_S, BACKOFF_S[-1], BACKOFF_S[-1]]
    assert link.reason == UNKNOWN_KEY


def test_a_handshake_that_succeeds_makes_the_next_failure_a_first_one() -> None:
    link = watch()
    link.handle(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400, 0)

    connect(link, S)
    assert (link.is_connected, link.since_ns, link.reason, link.failures) == (True, S, "", 0)

    link.handle(zmq.EVENT_DISCONNECTED, 5, 2 * S)
    link.handle(zmq.EVENT_CONNECTED, 5, 2 * S)
    link.handle(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400, 2 * S)
    assert link.dial_ns == (2 + BACKOFF_S[0]) * S


def test_a_lost_connection_is_left_to_libzmq_and_is_called_unanswered_only_when_dialling_failed() -> None:
    link = watch()
    connect(link, 0)

    assert link.handle(zmq.EVENT_DISCONNECTED, 5, S) is Act.NOTHING
    link.handle(zmq.EVENT_CONNECT_RETRIED, 100, S)
    assert (link.reason, link.dial_ns) == ("the connection was lost", None)

    link.handle(zmq.EVENT_CLOSED, 5, 2 * S)
    link.handle(zmq.EVENT_CONNECT_RETRIED, 200, 2 * S)
    assert link.reason == NOT_HEARD


def test_what_hangs_up_before_the_handshake_is_no_coordinator_and_is_dialled_again() -> None:
    """An HTTP server on the port ends the connection without a word that libzmq has an event for, and it stops dialling."""
    link = watch()
    link.handle(zmq.EVENT_CONNECTED, 5, 0)

    assert link.handle(zmq.EVENT_DISCONNECTED, 5, 0) is Act.HANG_UP
    assert link.reason == NO_COORDINATOR
    assert link.look(BACKOFF_S[0] * S) is Act.DIAL


def test_a_link_that_is_down_and_of_which_nothing_is_heard_is_dialled_anew() -> None:
    """A SYN into a black hole takes minutes to fail."""
    link = watch()
    link.handle(zmq.EVENT_CONNECT_DELAYED, 115, 0)

    assert link.look(SILENT_NS - 1) is Act.NOTHING
    assert link.look(SILENT_NS) is Act.DIAL
    assert link.look(SILENT_NS + 1) is Act.NOTHING
    assert link.reason == NOT_HEARD


def test_a_connected_link_may_be_silent() -> None:
    link = watch()
    connect(link, 0)

    assert link.look(10 * SILENT_NS) is Act.NOTHING


def test_the_same_words_are_logged_again_only_after_a_while() -> None:
    link = watch()
    assert link.words(0) == ""

    link.handle(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400, 0)
    assert link.words(0) == UNKNOWN_KEY
    assert link.words(S) == ""
    assert link.words(REPEAT_NS) == UNKNOWN_KEY

    connect(link, REPEAT_NS)
    assert link.words(REPEAT_NS) == "connected"


def test_each_way_a_handshake_fails_has_words_of_its_own() -> None:
    assert handshake_failure(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400) == UNKNOWN_KEY
    assert "ZAP status 500" in handshake_failure(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 500)
    assert handshake_failure(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0x11000002) == NO_COORDINATOR
    assert handshake_failure(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EPIPE) == BROKEN_OFF
    assert "not answered" in handshake_failure(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EAGAIN)
