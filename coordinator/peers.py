"""Who is at the other end of a ROUTER, and how to reach him.

Rules: identity is what the connection proves, never what a message says. Over ipc, in a folder that only one user may
enter, it is the routing id, which a peer chooses. Over tcp it is the key of the CURVE handshake, which ZAP tells as
`User-Id`; there the routing id is a random one of the ROUTER, which no peer can choose, and a peer is answered where its
key was heard last.
"""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Protocol

import zmq

from osbench.common.error import ProtocolError
from osbench.coordinator.keyring import KeyRing

log = logging.getLogger(__name__)


class Peers(Protocol):
    """Names to routing ids and back. Used by the one thread that owns the socket."""

    def identify(self, frames: Sequence[zmq.Frame]) -> str:
        """Whose message this is.

        Args:
            frames: as `recv_multipart(copy=False)` of a ROUTER gives them, the routing id first.

        Raises:
            ProtocolError: nobody's who may speak here; its connection was cut where that is possible.
        """
        ...

    def route(self, name: str) -> bytes | None:
        """Routing id by which an agent is reached; None if there is no way to it."""
        ...


class NamedPeers:
    """Peers over ipc: the routing id is the name."""

    def identify(self, frames: Sequence[zmq.Frame]) -> str:
        sender = frames[0].bytes
        try:
            return sender.decode()
        except UnicodeDecodeError:
            raise ProtocolError(f"{sender[:64]!r} is no name of an agent") from None

    def route(self, name: str) -> bytes | None:
        return name.encode()


class KeyedPeers:
    """Peers over tcp: the name is that of the key.

    Args:
        ring: asked at every message, so that a key that is revoked is one from then on.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        #: Agent to its key and the routing id it was heard on last; one entry for each agent that ever was in the ring.
        self._routes: dict[str, tuple[str, bytes]] = {}
        #: Agent to the address it was heard from when its connection was new.
        self.addresses: dict[str, str] = {}

    def identify(self, frames: Sequence[zmq.Frame]) -> str:
        try:
            key = str(frames[0].get("User-Id"))
        except zmq.ZMQError:
            raise ProtocolError("a message came over a connection that no key was checked of") from None
        name = self._ring.name(key)
        if name is None:
            cut_connection(frames[0])
            raise ProtocolError(f"key {key} is no agent's any more")
        routing_id = frames[0].bytes
        if self._routes.get(name) != (key, routing_id):
            self._routes[name] = (key, routing_id)
            self.addresses[name] = str(frames[0].get("Peer-Address"))
        return name

    def route(self, name: str) -> bytes | None:
        key, routing_id = self._routes.get(name, ("", b""))
        return routing_id if key and self._ring.name(key) == name else None


def cut_connection(frame: zmq.Frame) -> None:
    """Shut down the tcp connection that a frame came over. Its peer connects anew, and has to pass ZAP again.

    Subtleness ahead: ZeroMQ has no call for it, but tells the descriptor. By now the connection may be closed and the
    number may be of something else: so only a connected tcp socket with the peer's address is shut down. If that is
    another one of the same host, its peer connects anew and no harm is done.
    """
    descriptor = frame.get(zmq.SRCFD)
    assert isinstance(descriptor, int)
    try:
        connection = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return  # Closed by now.
    with connection:
        try:
            if connection.getpeername()[0] == frame.get("Peer-Address"):
                connection.shutdown(socket.SHUT_RDWR)
        except (OSError, IndexError):
            return  # No socket, or not a connected one: closed by now.
