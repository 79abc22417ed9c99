"""Serves the API inside a loop that belongs to somebody else: the daemon's.

Rules: signals stay the daemon's. Nothing but loopback is bound unless that is allowed in so many words. Connections are
bounded in number and in how long their heads may take, so that whoever may connect cannot use up the daemon's files.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version as release_of

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from osbench.common.error import InputError
from osbench.coordinator.api.app import build_app
from osbench.coordinator.api.office import Office
from osbench.coordinator.desk import Desk
from osbench.coordinator.home import Home
from osbench.coordinator.known import known_catalog
from osbench.coordinator.service.local import LocalService
from osbench.coordinator.store.contract import Store
from osbench.coordinator.task_file.catalog import Catalog
from osbench.deploy.contract import Engine
from osbench.deploy.engines import ENGINES

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
#: Seconds within which the first request's head must have come.
HEAD_S = 10.0
KEEP_ALIVE_S = 15
BACKLOG = 128
#: Seconds that requests under way have when the API ends.
GRACE_S = 2


class _Connection(H11Protocol):
    """A connection that must ask for something soon, and is refused where there are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class _Server(uvicorn.Server):
    """A server that leaves the signals alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serve_api(
    desk: Desk,
    store: Store,
    home: Home,
    *,
    host: str,
    port: int,
    token: str,
    allow_remote: bool = False,
    engines: Mapping[str, Engine] | None = None,
    catalog: Catalog | None = None,
) -> AsyncIterator[str]:
    """Serve until the block ends; gives the URL.

    Args:
        host: address or name to listen on. port: 0 for any that is free.
        token: that opens it. allow_remote: another address than a loopback one may be bound.
        engines, catalog: the real ones without it.

    Raises:
        InputError: it may not or cannot listen there.
    """
    listener = await listen(host, port, allow_remote=allow_remote)
    office = Office(
        desk=desk,
        service=LocalService(store=store, home=home, engines=ENGINES if engines is None else engines),
        catalog=catalog or known_catalog(),
    )
    hosts = {host, socket.gethostname(), socket.getfqdn()} if allow_remote else {host}
    app = build_app(office, token=token, hosts=hosts, version=release_of("osbench"))
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,  # Its warnings are about what strangers send, as often as they like.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="API")
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if serving.done():
            await serving
        yield url_of(listener)
    finally:
        office.close()
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


async def listen(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the address is not a loopback one and no other is allowed; or it cannot be bound.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InputError(f"the API cannot listen on {host!r:.200}: {error.strerror}") from error
    family, _, _, _, address = found[0]
    if not allow_remote and not ipaddress.ip_address(address[0]).is_loopback:
        raise InputError(
            f"the API may listen on {host} only if that is allowed explicitly: whoever has its token controls every load "
            f"agent, and the token travels unencrypted; keep 127.0.0.1 and reach it through SSH, or allow it"
        )
    try:
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(
            f"the API cannot listen on {host}, port {port}: {error.strerror}; choose another port"
        ) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached on this machine."""
    host, port = listener.getsockname()[:2]
    reached = ipaddress.ip_address(host)
    if reached.is_unspecified:
        reached = ipaddress.ip_address("::1" if reached.version == 6 else "127.0.0.1")
    return f"http://[{reached}]:{port}" if reached.version == 6 else f"http://{reached}:{port}"
