"""The gatekeeper: decides at each handshake whether a key is let in (ZAP, ZeroMQ RFC 27), and logs who was not.

Rules: only CURVE passes. On the domains of control and bulk a key must be in the ring; on that of enrolment any key may
come, since an invitation is asked for there. What cannot be read is refused: a socket of ours enforces its domain, so
without a gatekeeper in its context nobody is let in at all. A flood of strangers is a bounded number of log lines.

There is one for each ZeroMQ context: in the coordinator a task of its loop, in the ingest process a thread.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence

import zmq
import zmq.asyncio
from zmq.utils import z85

from osbench.common.clock import Clock, SystemClock
from osbench.common.curve import KEY_BYTES
from osbench.common.sockets import BULK_DOMAIN, CONTROL_DOMAIN, ENROL_DOMAIN
from osbench.coordinator.bounded_log import BoundedLog
from osbench.coordinator.keyring import KeyRing

log = logging.getLogger(__name__)

ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
#: Version, request id, domain, address, routing id, mechanism, and the one credential of CURVE: the client's key.
REQUEST_FRAMES = 7
#: How often the thread looks whether it shall end.
POLL_MS = 200


class Gate:
    """The decision alone.

    Args:
        ring: keys of agents. strangers: told who was not let in.
    """

    def __init__(self, ring: KeyRing, strangers: BoundedLog) -> None:
        self._ring = ring
        self._strangers = strangers

    def answer(self, request: Sequence[bytes]) -> list[bytes]:
        """The reply to a request of ZAP: 200 with the key as user id, or 400."""
        request_id = request[1] if len(request) > 1 else b""
        if len(request) != REQUEST_FRAMES or request[0] != VERSION or request[5] != b"CURVE":
            self._strangers.warning("refused a handshake that is not CURVE: %r", request[2:6])
            return _refused(request_id, b"only CURVE is spoken here")
        domain, address, raw = request[2].decode(errors="replace"), request[3].decode(errors="replace"), request[6]
        if len(raw) != KEY_BYTES:
            self._strangers.warning("%s channel: refused a key of %d bytes from %s", domain, len(raw), address)
            return _refused(request_id, b"no key")
        key = z85.encode(raw)
        if domain == ENROL_DOMAIN or (
            domain in (CONTROL_DOMAIN, BULK_DOMAIN) and self._ring.name(key.decode()) is not None
        ):
            return [VERSION, request_id, b"200", b"OK", key, b""]
        self._strangers.warning(
            "%s channel: refused key %s from %s: it is no agent's, or was revoked", domain, key.decode(), address
        )
        return _refused(request_id, b"key is not known")


def _refused(request_id: bytes, reason: bytes) -> list[bytes]:
    return [VERSION, request_id, b"400", reason, b"", b""]


class Gatekeeper:
    """The gatekeeper of the coordinator: a task of its loop.

    Args:
        context: whose sockets it keeps. ring: asked at each handshake. clock: of the bounded log.
    """

    def __init__(self, context: zmq.asyncio.Context, ring: KeyRing, clock: Clock | None = None) -> None:
        self._context = context
        self._gate = Gate(ring, BoundedLog(log, clock or SystemClock()))
        self._socket: zmq.asyncio.Socket | None = None
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, before any socket of the context is bound."""
        self._socket = self._context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ENDPOINT)
        self._serving = asyncio.create_task(self._serve(self._socket))

    async def _serve(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            await socket.send_multipart(self._gate.answer(await socket.recv_multipart()))

    def stop(self) -> None:
        """End; from now on nobody is let in."""
        if self._serving is not None:
            self._serving.cancel()
        if self._socket is not None:
            self._socket.close(linger=0)


class GatekeeperThread:
    """The gatekeeper of a process without a loop: a thread, so that a long transaction keeps nobody out.

    Args:
        context: whose sockets it keeps. ring: asked at each handshake; it may be replaced meanwhile.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", ring: KeyRing) -> None:
        self._gate = Gate(ring, BoundedLog(log, SystemClock()))
        self._is_ending = threading.Event()
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ENDPOINT)
        # The socket is the thread's from here on.
        self._thread = threading.Thread(target=self._serve, name="gatekeeper", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._socket as socket:
            while not self._is_ending.is_set():
                if socket.poll(POLL_MS):
                    socket.send_multipart(self._gate.answer(socket.recv_multipart()))

    def stop(self) -> None:
        """End the thread, before its context is ended."""
        self._is_ending.set()
        self._thread.join()
