"""The HTTP server of the simulated cloud: the only module here that touches sockets and waits.

Rules: one process, one loop, one core. A request is read whole, answered by the pure cloud in one step, and only what a
fault asks for (waiting, cutting, resetting, hanging) happens here. aiohttp's low-level server does the HTTP: its
parser is C, and measured with benchmarks/simulated_cloud.py it leaves room above the figure asked for.
"""

import asyncio
import contextlib
import socket
import struct
import uuid
from collections.abc import Callable
from typing import Any, TextIO
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from multidict import CIMultiDict

from osbench.common.clock import NS_PER_S
from osbench.deploy.simulated.cloud import Cloud
from osbench.deploy.simulated.control import PREFIX, Control, Flight
from osbench.deploy.simulated.exchange import Answer, Request
from osbench.deploy.simulated.faults import Cut, ExpireToken, Fault, Hang, Latency, Reset, Status

#: A request body larger than this is refused by the HTTP layer, bytes.
MAX_BODY_BYTES = 32_000_000
BACKLOG = 4_096
KEEPALIVE_S = 75.0


class AccessLog:
    """One line a request: time, method, path, status, body bytes, seconds, our request id, the caller's.

    Flushed each second and at the end; a crash loses at most that second.
    """

    def __init__(self, file: TextIO, stamp: Callable[[], str]) -> None:
        self._file = file
        self._stamp = stamp

    def note(self, request: Request, answer: Answer | None, took_ns: int) -> None:
        """Write the line of a request; `answer` is None when a fault left it without one."""
        caller = request.headers.get("x-openstack-request-id", "-")
        status, size = (0, 0) if answer is None else (answer.status, len(answer.body))
        self._file.write(
            f"{self._stamp()} {request.method} {request.path} {status} {size} {took_ns / NS_PER_S:.6f} "
            f"{request.request_id} {caller if caller.isprintable() else '-'}\n"
        )

    def flush(self) -> None:
        """Bring what was written to the file."""
        self._file.flush()


class Front:
    """The request handler: bytes to requests, answers to bytes, faults done."""

    def __init__(self, cloud: Cloud, log: AccessLog | None = None) -> None:
        self._cloud = cloud
        self._log = log
        self.flight = Flight()
        self._control = Control(cloud, self.flight, cloud.world.spec.control_token)

    async def handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        request = await _request_of(incoming)
        if request.path.startswith(PREFIX):
            return _response(self._control.handle(request))
        started_ns = self._cloud.world.now_ns()
        self.flight.enter()
        answer: Answer | None = None
        try:
            fault = self._cloud.fault(request)
            if fault is None or isinstance(fault.then, ExpireToken):
                answer = self._cloud.handle(request)
                return _response(answer)
            answer = await self._faulty(incoming, request, fault)
            # The transport is gone where there is no answer; aiohttp then sends nothing.
            return _response(answer or Answer(status=500))
        finally:
            self.flight.leave()
            if self._log is not None:
                self._log.note(request, answer, self._cloud.world.now_ns() - started_ns)

    async def _faulty(self, incoming: web.BaseRequest, request: Request, fault: Fault) -> Answer | None:
        match fault.then:
            case Status() as then:
                return self._cloud.handle_faulty(request, then)
            case Latency():
                answer = self._cloud.handle(request)
                await asyncio.sleep(fault.wait_ns / NS_PER_S)
                return answer
            case Cut(after_bytes=after_bytes):
                await _cut(incoming, self._cloud.handle(request), after_bytes)
            case Reset(is_done=is_done):
                if is_done:
                    self._cloud.handle(request)
                else:
                    self._cloud.count_unanswered(request)
                _reset(incoming)
            case Hang(limit_s=limit_s):
                self._cloud.count_unanswered(request)
                await asyncio.sleep(limit_s)
                if incoming.transport is not None:
                    incoming.transport.abort()
        return None


async def _request_of(incoming: web.BaseRequest) -> Request:
    # aiohttp's own URL object costs as much as the rest of the request; the raw path is all that is needed.
    raw, _, query = incoming.raw_path.partition("?")
    return Request(
        method=incoming.method,
        path=unquote(raw) if "%" in raw else raw,
        query=tuple(parse_qsl(query, keep_blank_values=True)) if query else (),
        headers=incoming.headers,
        body=await incoming.read() if incoming.can_read_body else b"",
        origin=f"http://{incoming.headers.get('Host', 'localhost')}",
        request_id=f"req-{uuid.uuid4()}",
    )


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=CIMultiDict(answer.headers))


async def _cut(incoming: web.BaseRequest, answer: Answer, after_bytes: int) -> None:
    transport = incoming.transport
    if transport is None:
        return
    head = [f"HTTP/1.1 {answer.status} Cut", f"Content-Length: {max(len(answer.body), after_bytes + 1)}"]
    head += [f"{name}: {value}" for name, value in answer.headers]
    transport.write("\r\n".join([*head, "", ""]).encode() + answer.body[:after_bytes])
    transport.close()


def _reset(incoming: web.BaseRequest) -> None:
    transport = incoming.transport
    if transport is None:
        return
    # SO_LINGER with a time of nothing makes the close an RST (socket(7)).
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _large_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """aiohttp's own request, but its body may be an image."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)


class Serving:
    """A listening server; `address` says where."""

    def __init__(self, cloud: Cloud, log: AccessLog | None = None) -> None:
        self._log = log
        self.front = Front(cloud, log)
        self.address: tuple[str, int] = ("", 0)
        self._server: asyncio.Server | None = None
        self._web: web.Server | None = None
        self._flusher: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one."""
        loop = asyncio.get_running_loop()
        self._web = web.Server(
            self.front.handle, request_factory=_large_request, access_log=None, keepalive_timeout=KEEPALIVE_S
        )
        self._server = await loop.create_server(self._web, host, port, backlog=BACKLOG, reuse_address=True)
        name = self._server.sockets[0].getsockname()
        self.address = (name[0], name[1])
        if self._log is not None:
            self._flusher = loop.create_task(self._flush(self._log))

    async def stop(self, grace_s: float = 2.0) -> None:
        """Listen no more, let requests in flight end for `grace_s`, then close."""
        if self._server is not None:
            self._server.close()
        if self._web is not None:
            # Connections without a request have nothing to wait for.
            self._web.pre_shutdown()
            await self._web.shutdown(grace_s)
        if self._flusher is not None:
            self._flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
        if self._log is not None:
            self._log.flush()

    async def _flush(self, log: AccessLog) -> None:
        while True:
            await asyncio.sleep(1.0)
            log.flush()
