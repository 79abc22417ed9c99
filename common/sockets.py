"""The four sockets: control and bulk, each a ROUTER at the coordinator and a DEALER at the agent that dials out.

Rules (each option is a trap of ZeroMQ that was met by somebody):
- ROUTER_MANDATORY: without it a ROUTER drops silently what it cannot deliver (libzmq router.cpp).
- ROUTER_HANDOVER: a restarted agent of the same name takes the place of its dead connection; the default refuses it.
- IMMEDIATE: a DEALER queues nothing for a connection that is not up; the spool and the resending of orders are the queues.
- MAXMSGSIZE: unlimited by default. HEARTBEAT_*: ZMTP pings are answered by libzmq's own thread, so busy is not dead.
- LINGER 0: nothing that matters waits in a socket when it is closed.
"""

from collections.abc import Mapping

import zmq
import zmq.asyncio

from osbench.common.wire import MAX_BATCH_BYTES, MAX_CONTROL_BYTES

_COMMON: Mapping[int, int] = {
    zmq.LINGER: 0,
    zmq.HEARTBEAT_IVL: 2_000,
    zmq.HEARTBEAT_TIMEOUT: 6_000,
    zmq.HEARTBEAT_TTL: 8_000,
    zmq.HANDSHAKE_IVL: 5_000,
}
_ROUTER: Mapping[int, int] = {zmq.ROUTER_MANDATORY: 1, zmq.ROUTER_HANDOVER: 1}
_DEALER: Mapping[int, int] = {zmq.IMMEDIATE: 1, zmq.RECONNECT_IVL: 100, zmq.RECONNECT_IVL_MAX: 5_000}
_CONTROL: Mapping[int, int] = {zmq.MAXMSGSIZE: MAX_CONTROL_BYTES, zmq.SNDHWM: 1_000, zmq.RCVHWM: 1_000}
_BULK: Mapping[int, int] = {zmq.MAXMSGSIZE: MAX_BATCH_BYTES, zmq.SNDHWM: 64, zmq.RCVHWM: 64}


def control_router(context: zmq.asyncio.Context, endpoint: str) -> zmq.asyncio.Socket:
    """The coordinator's end of the control channel, bound."""
    socket = context.socket(zmq.ROUTER)
    _set(socket, _COMMON, _ROUTER, _CONTROL)
    socket.bind(endpoint)
    return socket


def control_dealer(context: zmq.asyncio.Context, agent: str) -> zmq.asyncio.Socket:
    """An agent's end of the control channel, not yet connected; its routing id is its name."""
    socket = context.socket(zmq.DEALER)
    _set(socket, _COMMON, _DEALER, _CONTROL)
    socket.setsockopt(zmq.ROUTING_ID, agent.encode())
    return socket


def bulk_router(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """The ingest process's end of the bulk channel, bound; it polls, so it is a plain socket."""
    socket = context.socket(zmq.ROUTER)
    _set(socket, _COMMON, _ROUTER, _BULK)
    socket.bind(endpoint)
    return socket


def bulk_dealer(context: zmq.asyncio.Context, agent: str) -> zmq.asyncio.Socket:
    """An agent's end of the bulk channel, not yet connected; its routing id is its name."""
    socket = context.socket(zmq.DEALER)
    _set(socket, _COMMON, _DEALER, _BULK)
    socket.setsockopt(zmq.ROUTING_ID, agent.encode())
    return socket


def _set(socket: "zmq.Socket[bytes] | zmq.asyncio.Socket", *groups: Mapping[int, int]) -> None:
    for group in groups:
        for option, value in group.items():
            socket.setsockopt(option, value)
