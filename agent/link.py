"""A connection to the coordinator: dialled for ever, watched by its monitor, and what went wrong put into words.

Rules: `LinkWatch` is told what the monitor says and answers what to do; `Link` does it. libzmq dials again by itself after
a connection is lost, but (tried, 4.3.5) not after a handshake that was refused, where it gives up for ever, and ten times a
second after one that broke off. So handshakes that fail are ours: the endpoint is let go and dialled again, ever more
slowly. A link of which nothing is heard for a while though it is down is dialled anew as well: a SYN into a black hole
takes minutes to fail. What is said twice in a row is logged once in a while only.
"""

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.sockets import connect

log = logging.getLogger(__name__)

#: Pauses between a handshake that failed and the next one: the first is short, since a key takes a second to be known.
BACKOFF_S = (1, 5, 10, 20, 30)
#: A link that is down and of which nothing is heard for so long is dialled anew.
SILENT_NS = 15 * NS_PER_S
#: The same words are logged again after so long.
REPEAT_NS = 300 * NS_PER_S
LOOK_MS = 500

EVENTS = (
    zmq.EVENT_CONNECT_DELAYED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)

NOT_HEARD = "nobody answers: the host is down, its port is closed, or its name is not known"
UNKNOWN_KEY = (
    "the coordinator does not know this agent's key: it was revoked or never joined; join anew with an invitation"
)
NO_COORDINATOR = "what answers there is no coordinator, or one that speaks no CURVE"
BROKEN_OFF = (
    "the handshake broke off: the coordinator has another key than the one this agent was given when it joined, "
    "or has just ended"
)


def handshake_failure(event: int, value: int) -> str:
    """What it means that a handshake failed.

    Args:
        event, value: of the monitor: for AUTH the status of ZAP (RFC 27), else an errno or a code of libzmq.
    """
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        if value == 400:
            return UNKNOWN_KEY
        return f"the coordinator could not look this agent's key up (ZAP status {value}); it is asked again"
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return NO_COORDINATOR
    if value in (errno.EAGAIN, errno.ETIMEDOUT):
        return "the handshake was not answered: the coordinator is frozen or overloaded, or it is no coordinator"
    return BROKEN_OFF


class Act(Enum):
    """What to do with the socket."""

    NOTHING = "nothing"
    HANG_UP = "hang up"
    DIAL = "dial"


@dataclass(slots=True, kw_only=True)
class LinkWatch:
    """What is known of one connection.

    Attributes:
        endpoint: dialled. now_ns: when the watch began.
    """

    endpoint: str
    now_ns: int
    #: The handshake was made and nothing broke since.
    is_connected: bool = False
    #: When that became so, or ceased to be.
    since_ns: int = 0
    #: Why there is no connection; empty while there is one or before anything is known.
    reason: str = ""
    #: Handshakes that failed since the last that did not.
    failures: int = 0
    #: When to dial again; None while libzmq does so.
    dial_ns: int | None = None
    #: The failure of the handshake under way was counted.
    _is_counted: bool = False
    #: The connection was lost this moment: that it is dialled again says nothing about the other end yet.
    _is_just_lost: bool = False
    #: When the monitor spoke last.
    _heard_ns: int = 0
    _logged: str = ""
    _logged_ns: int = 0

    def __post_init__(self) -> None:
        self.since_ns = self._heard_ns = self.now_ns

    def handle(self, event: int, value: int, now_ns: int) -> Act:
        """Take in what the monitor said."""
        self._heard_ns = now_ns
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._change(True, now_ns)
            self.reason, self.failures, self.dial_ns = "", 0, None
        elif event in _FAILED:
            return self._fail(handshake_failure(event, value), now_ns)
        elif event == zmq.EVENT_CONNECTED:
            self._is_counted = False
        elif event == zmq.EVENT_DISCONNECTED:
            if not self.is_connected:
                return self._fail(NO_COORDINATOR, now_ns)
            self._change(False, now_ns)
            self.reason, self._is_just_lost = "the connection was lost", True
        elif event == zmq.EVENT_CONNECT_RETRIED:
            self.reason = self.reason if self._is_just_lost else NOT_HEARD
            self._is_just_lost = False
        return Act.NOTHING

    def look(self, now_ns: int) -> Act:
        """Whether it is time to dial anew; told every half second or so."""
        is_due = self.dial_ns is not None and now_ns >= self.dial_ns
        is_stuck = self.dial_ns is None and not self.is_connected and now_ns >= self._heard_ns + SILENT_NS
        if not (is_due or is_stuck):
            return Act.NOTHING
        self.dial_ns, self._heard_ns = None, now_ns
        if is_stuck:
            self.reason = NOT_HEARD
        return Act.DIAL

    def words(self, now_ns: int) -> str:
        """What is new to be logged; empty if nothing is, or if it was said not long ago."""
        said = "connected" if self.is_connected else self.reason
        if not said or (said == self._logged and now_ns < self._logged_ns + REPEAT_NS):
            return ""
        self._logged, self._logged_ns = said, now_ns
        return said

    def _fail(self, reason: str, now_ns: int) -> Act:
        if self._is_counted:
            return Act.NOTHING
        self._is_counted = True
        self._change(False, now_ns)
        self.reason = reason
        self.dial_ns = now_ns + BACKOFF_S[min(self.failures, len(BACKOFF_S) - 1)] * NS_PER_S
        self.failures += 1
        return Act.HANG_UP

    def _change(self, is_connected: bool, now_ns: int) -> None:
        if is_connected != self.is_connected:
            self.is_connected, self.since_ns = is_connected, now_ns


class Link:
    """Keeps one socket connected.

    Args:
        socket: DEALER, not connected. endpoint: of the coordinator. channel: its name, for the log.
        clock: of the agent. on_connected: called at each new connection.
    """

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        endpoint: str,
        channel: str,
        clock: Clock,
        on_connected: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.watch = LinkWatch(endpoint=endpoint, now_ns=clock.now_ns())
        self._socket = socket
        self._channel = channel
        self._clock = clock
        self._on_connected = on_connected

    async def keep(self) -> None:
        """Dial, and dial again, for ever. What is said before a connection is there would be lost."""
        monitor = self._socket.get_monitor_socket(EVENTS)
        connect(self._socket, self.watch.endpoint)
        while True:
            if await monitor.poll(LOOK_MS):
                message = await recv_monitor_message(monitor)
                was_connected = self.watch.is_connected
                self._act(self.watch.handle(message["event"], message["value"], self._clock.now_ns()))
                if self.watch.is_connected and not was_connected and self._on_connected is not None:
                    await self._on_connected()
            self._act(self.watch.look(self._clock.now_ns()))
            self._log()

    def close(self) -> None:
        """End the monitor, whose socket would keep the context open."""
        self._socket.disable_monitor()

    def _act(self, act: Act) -> None:
        if act is Act.NOTHING:
            return
        self._hang_up()
        if act is Act.DIAL:
            connect(self._socket, self.watch.endpoint)

    def _hang_up(self) -> None:
        try:
            self._socket.disconnect(self.watch.endpoint)
        except zmq.ZMQError as error:
            if error.errno != errno.ENOENT:  # libzmq has given the endpoint up by itself
                raise

    def _log(self) -> None:
        if words := self.watch.words(self._clock.now_ns()):
            level = logging.INFO if self.watch.is_connected else logging.WARNING
            log.log(level, "%s channel, %s: %s", self._channel, self.watch.endpoint, words)
