"""An HTTP server on loopback that does to each request what a test says, and a transport to ask it with."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop

from osbench.common.clock import SystemClock
from osbench.common.cloud.aiohttp_transport import AiohttpTransport
from osbench.common.cloud.contract import Request, Transport, TransportOptions
from osbench.common.cloud.curl import CurlTransport

MakeTransport = Callable[[SystemClock, TransportOptions | None], Transport]
ADAPTERS: dict[str, MakeTransport] = {"curl": CurlTransport, "aiohttp": AiohttpTransport}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Received:
    """A request as the server read it; `connection` counts the server's connections from 1."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A listening server and what it received."""

    port: int = 0
    connections: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


#: What a server does with one request; returns whether the connection goes on.
Act = Callable[[Received, asyncio.StreamWriter], Awaitable[bool]]


async def read_request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(connection, method, path, headers, body)


@asynccontextmanager
async def serving(act: Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        number = server.connections
        try:
            while (received := await read_request(reader, number)) is not None:
                server.received.append(received)
                if not await act(received, writer):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=4096)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reset(writer: asyncio.StreamWriter) -> bool:
    """End the connection with RST."""
    transport: Any = writer.transport
    transport.abort()
    return False


async def reply(writer: asyncio.StreamWriter, data: bytes, goes_on: bool = True) -> bool:
    writer.write(data)
    await writer.drain()
    return goes_on


def answering(data: bytes, goes_on: bool = True) -> Act:
    async def act(_received: Received, writer: asyncio.StreamWriter) -> bool:
        return await reply(writer, data, goes_on)

    return act


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(scenario)


@asynccontextmanager
async def opened(make: MakeTransport, options: TransportOptions | None = None) -> AsyncIterator[Transport]:
    transport = make(SystemClock(), options)
    try:
        yield transport
    finally:
        await transport.aclose()


def get(url: str, **more: Any) -> Request:
    return Request("GET", url, ["Accept: application/json"], **more)
