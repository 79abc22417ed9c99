"""What a ROUTER's monitor tells of connections: who came, and whose handshake failed, and why, in words for the log.

Rules: without this a wrong key is plain silence. Who was refused by the gatekeeper stands in its own log line, with key and
address. ZeroMQ does not tell which peer a failed handshake was of: the address is that of the connection accepted last, and
is said to be no more than that. Lines are bounded in number.
"""

import errno
import logging
import os
import socket
from typing import Any

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from osbench.common.clock import Clock
from osbench.common.sockets import AnySocket
from osbench.coordinator.bounded_log import BoundedLog

log = logging.getLogger(__name__)

EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_ACCEPT_FAILED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
#: Events that may wait for us; then ZeroMQ's own thread would wait.
WAITING_EVENTS = 100_000

_PROTOCOL_ERRORS = {
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): "the peer does not speak CURVE",
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): "the peer has another public key of this coordinator than it has now",
}


class HandshakeLog:
    """Puts a monitor's events into the log.

    Args:
        channel: which, for the log. clock: of the bounded log.
    """

    def __init__(self, channel: str, clock: Clock) -> None:
        self._channel = channel
        self._bounded = BoundedLog(log, clock)
        self._last_peer = ""

    def hear(self, frames: list[bytes]) -> None:
        """One event, as the monitor's socket gives it."""
        said: dict[str, Any] = dict(parse_monitor_message(frames))
        event, value = int(said["event"]), int(said["value"])
        if event == zmq.EVENT_ACCEPTED:
            self._last_peer = _peer_of(value) or self._last_peer
            log.debug("%s channel: connection from %s", self._channel, self._last_peer)
        elif event == zmq.EVENT_ACCEPT_FAILED:
            self._bounded.warning("%s channel: cannot accept a connection: %s", self._channel, _accept_failure(value))
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            reason = _PROTOCOL_ERRORS.get(value, f"protocol error {value:#x}")
            self._failed(reason)
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            late = value in (errno.EAGAIN, errno.ETIMEDOUT)
            self._failed("it was not finished in time" if late else f"it broke off ({os.strerror(value)})")
        else:
            log.debug("%s channel: event %d, value %d", self._channel, event, value)

    def _failed(self, reason: str) -> None:
        self._bounded.warning(
            "%s channel: a handshake failed: %s; the last connection came from %s",
            self._channel,
            reason,
            self._last_peer or "a peer that is gone",
        )


def monitor_of(router: AnySocket, channel: str) -> Any:
    """A socket of the router's kind that gives the router's events; first disable the router's monitor, then close it."""
    endpoint = f"inproc://handshakes-{channel}"
    router.monitor(endpoint, EVENTS)
    monitor = router.context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.LINGER, 0)
    monitor.setsockopt(zmq.RCVHWM, WAITING_EVENTS)
    monitor.connect(endpoint)
    return monitor


class HandshakeWatch:
    """Logs what happens at a router of the loop, from when it is made.

    Args:
        router: bound. channel: which, for the log. clock: of the bounded log.
    """

    def __init__(self, router: zmq.asyncio.Socket, channel: str, clock: Clock) -> None:
        self._router = router
        self._heard = HandshakeLog(channel, clock)
        self._monitor = monitor_of(router, channel)

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self._heard.hear(await self._monitor.recv_multipart())

    def close(self) -> None:
        """Let the monitor go, before the router is closed: a context waits for each socket that is open."""
        if not self._monitor.closed:
            self._router.disable_monitor()
            self._monitor.close(linger=0)


def _peer_of(descriptor: int) -> str:
    """Address of a connection's peer; empty if the connection is gone by now."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            name = connection.getpeername()
    except OSError:
        return ""
    return f"{name[0]} port {name[1]}" if isinstance(name, tuple) else "a local peer"


def _accept_failure(error: int) -> str:
    if error in (errno.EMFILE, errno.ENFILE):
        return f"{os.strerror(error)}; raise the limit on open files (ulimit -n, or LimitNOFILE of the unit)"
    return os.strerror(error)
