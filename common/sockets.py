"""The sockets: control and bulk, each a ROUTER at the coordinator and a DEALER at the agent that dials out; and enrolment.

Rules (each option is a trap of ZeroMQ that was met by somebody):
- Over ipc, in a folder that only one user may enter, a DEALER says its name as routing id and the ROUTER believes it.
  ROUTER_HANDOVER: a restarted agent of the same name takes the place of its dead connection; the default refuses it.
- Over tcp it is CURVE, always, and the key is the identity. A DEALER says no routing id and there is no HANDOVER: so the
  ROUTER gives each connection an id of its own, and no peer can take the place of another's connection.
- ZAP_ENFORCE_DOMAIN: without a ZAP handler CURVE alone lets anybody in who knows the server's key; with it, nobody.
- ROUTER_MANDATORY: without it a ROUTER drops silently what it cannot deliver (libzmq router.cpp).
- IMMEDIATE: a DEALER queues nothing for a connection that is not up; the spool and the resending of orders are the queues.
- MAXMSGSIZE: unlimited by default. HEARTBEAT_*: ZMTP pings are answered by libzmq's own thread, so busy is not dead.
- TCP_KEEPALIVE: a peer that went away before its first ping is noticed too, and firewalls do not forget a quiet link.
- LINGER 0: nothing that matters waits in a socket when it is closed.
"""

from collections.abc import Mapping
from typing import TypeAlias

import zmq
import zmq.asyncio

from osbench.common.curve import KeyPair
from osbench.common.enrolment import MAX_ENROLMENT_BYTES
from osbench.common.wire import MAX_BATCH_BYTES, MAX_CONTROL_BYTES

AnySocket: TypeAlias = "zmq.Socket[bytes] | zmq.asyncio.Socket"

#: ZAP domains: what a key is to be let in for.
CONTROL_DOMAIN = "control"
BULK_DOMAIN = "bulk"
ENROL_DOMAIN = "enrol"

_COMMON: Mapping[int, int] = {
    zmq.LINGER: 0,
    zmq.HEARTBEAT_IVL: 2_000,
    zmq.HEARTBEAT_TIMEOUT: 6_000,
    zmq.HEARTBEAT_TTL: 8_000,
    zmq.HANDSHAKE_IVL: 5_000,
}
_TCP: Mapping[int, int] = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 30,
    zmq.TCP_KEEPALIVE_INTVL: 10,
    zmq.TCP_KEEPALIVE_CNT: 3,
}
_ROUTER: Mapping[int, int] = {zmq.ROUTER_MANDATORY: 1, zmq.BACKLOG: 1_024}
_DEALER: Mapping[int, int] = {zmq.IMMEDIATE: 1, zmq.RECONNECT_IVL: 100, zmq.RECONNECT_IVL_MAX: 5_000}
_CONTROL: Mapping[int, int] = {zmq.MAXMSGSIZE: MAX_CONTROL_BYTES, zmq.SNDHWM: 1_000, zmq.RCVHWM: 1_000}
_BULK: Mapping[int, int] = {zmq.MAXMSGSIZE: MAX_BATCH_BYTES, zmq.SNDHWM: 64, zmq.RCVHWM: 64}
_ENROL: Mapping[int, int] = {zmq.MAXMSGSIZE: MAX_ENROLMENT_BYTES, zmq.SNDHWM: 4, zmq.RCVHWM: 4}


def tcp_endpoint(host: str, port: int) -> str:
    """The ZeroMQ endpoint of a host (an IPv6 address without brackets) and a port."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def control_router(context: zmq.asyncio.Context, endpoint: str, *, server: KeyPair | None = None) -> zmq.asyncio.Socket:
    """The coordinator's end of the control channel, bound.

    Args:
        server: the coordinator's keys, for tcp; None for ipc.
    """
    socket = context.socket(zmq.ROUTER)
    _set(socket, _COMMON, _ROUTER, _CONTROL)
    _bind(socket, endpoint, server, CONTROL_DOMAIN)
    return socket


def bulk_router(
    context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, *, server: KeyPair | None = None
) -> "zmq.Socket[bytes]":
    """The ingest process's end of the bulk channel, bound; it polls, so it is a plain socket.

    Args:
        server: as `control_router`.
    """
    socket = context.socket(zmq.ROUTER)
    _set(socket, _COMMON, _ROUTER, _BULK)
    _bind(socket, endpoint, server, BULK_DOMAIN)
    return socket


def enrol_router(context: zmq.asyncio.Context, endpoint: str, *, server: KeyPair) -> zmq.asyncio.Socket:
    """The coordinator's end of the enrolment channel, bound."""
    socket = context.socket(zmq.ROUTER)
    _set(socket, _COMMON, _ROUTER, _ENROL)
    _bind(socket, endpoint, server, ENROL_DOMAIN)
    return socket


def control_dealer(
    context: zmq.asyncio.Context, agent: str, *, own: KeyPair | None = None, server_key: str = ""
) -> zmq.asyncio.Socket:
    """An agent's end of the control channel, not yet connected: see `connect`.

    Args:
        own: the agent's keys, for tcp; None for ipc, where its routing id is its name.
        server_key: the coordinator's public key, with `own`.
    """
    socket = context.socket(zmq.DEALER)
    _set(socket, _COMMON, _DEALER, _CONTROL)
    _introduce(socket, agent, own, server_key)
    return socket


def bulk_dealer(
    context: zmq.asyncio.Context, agent: str, *, own: KeyPair | None = None, server_key: str = ""
) -> zmq.asyncio.Socket:
    """An agent's end of the bulk channel, not yet connected; arguments as `control_dealer`."""
    socket = context.socket(zmq.DEALER)
    _set(socket, _COMMON, _DEALER, _BULK)
    _introduce(socket, agent, own, server_key)
    return socket


def enrol_dealer(context: zmq.asyncio.Context, *, own: KeyPair, server_key: str) -> zmq.asyncio.Socket:
    """A host's end of the enrolment channel, not yet connected; `own` is the key that it would have registered."""
    socket = context.socket(zmq.DEALER)
    _set(socket, _COMMON, _DEALER, _ENROL)
    _introduce(socket, "", own, server_key)
    return socket


def connect(socket: AnySocket, endpoint: str) -> None:
    """Connect a DEALER of this module."""
    _prepare_tcp(socket, endpoint)
    socket.connect(endpoint)


def bound_endpoint(socket: AnySocket) -> str:
    """Where a socket is bound, with the port that the system chose if it was asked to."""
    found = socket.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(found, bytes)
    return found.decode().rstrip("\0")


def _bind(socket: AnySocket, endpoint: str, server: KeyPair | None, domain: str) -> None:
    if server is None:
        assert not endpoint.startswith("tcp://"), f"{endpoint}: nothing is spoken over tcp without keys"
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    else:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, server.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, domain.encode())
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    _prepare_tcp(socket, endpoint)
    socket.bind(endpoint)


def _introduce(socket: AnySocket, agent: str, own: KeyPair | None, server_key: str) -> None:
    if own is None:
        socket.setsockopt(zmq.ROUTING_ID, agent.encode())
        return
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key.encode())


def _prepare_tcp(socket: AnySocket, endpoint: str) -> None:
    if endpoint.startswith("tcp://"):
        _set(socket, _TCP)
        # Off by default. On for IPv6 addresses, and to listen to both at `*`; not for names: libzmq would take the IPv6
        # address of a host that has both, and never try the other one, at which a coordinator listens by default.
        socket.setsockopt(zmq.IPV6, 1 if endpoint.startswith(("tcp://[", "tcp://*")) else 0)


def _set(socket: AnySocket, *groups: Mapping[int, int]) -> None:
    for group in groups:
        for option, value in group.items():
            socket.setsockopt(option, value)
