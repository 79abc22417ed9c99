"""The second adapter of the transport port, on aiohttp: a check on what the port promises, at three times libcurl's CPU.

Rules: it is for comparison and for platforms without libcurl. aiohttp sends an idempotent request again by itself when a
kept-alive connection turns out dead (its `ClientSession._request`): the second time a connection is taken for one request
the tracing hook stops it. TLS is not timed apart from the connect.
"""

import asyncio
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from osbench.common.clock import NS_PER_US, Clock
from osbench.common.cloud.contract import DETAIL_LIMIT_CHARS, Exchange, Failure, Request, TransportOptions
from osbench.common.cloud.curl import RESEND_DETAIL, checked_file, default_ca_file

_SKIPPED_HEADERS = ("User-Agent", "Content-Type", "Accept-Encoding")


class _SentAgainError(Exception):
    """aiohttp was about to send a request a second time."""


class _OversizedError(Exception):
    """The body is larger than the bound."""


class _Watch:
    """What the tracing hooks saw of one request: stamps in nanoseconds on the clock, 0 for what did not happen."""

    __slots__ = ("connected_ns", "connections", "first_byte_ns", "head_bytes", "is_new", "looked_up_ns", "queued_ns")

    def __init__(self) -> None:
        self.connections = self.head_bytes = 0
        self.queued_ns = self.looked_up_ns = self.connected_ns = self.first_byte_ns = 0
        self.is_new = False

    def take_connection(self) -> None:
        self.connections += 1
        if self.connections > 1:
            raise _SentAgainError


def _trace(now_ns: Callable[[], int]) -> aiohttp.TraceConfig:
    """Hooks that fill the `_Watch` each request carries."""

    def watch(context: SimpleNamespace) -> _Watch:
        found = context.trace_request_ctx
        assert isinstance(found, _Watch)
        return found

    async def on_queued_end(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        watch(context).queued_ns = now_ns()

    async def on_resolved(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        watch(context).looked_up_ns = now_ns()

    async def on_create(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        watch(context).take_connection()
        watch(context).is_new = True

    async def on_created(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        watch(context).connected_ns = now_ns()

    async def on_reuse(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        watch(context).take_connection()

    async def on_head_sent(
        _session: Any, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        lines = sum(len(name) + len(value) + 4 for name, value in params.headers.items())
        watch(context).head_bytes = len(params.method) + len(params.url.raw_path_qs) + 13 + lines

    config = aiohttp.TraceConfig()
    config.on_connection_queued_end.append(on_queued_end)
    config.on_dns_resolvehost_end.append(on_resolved)
    config.on_connection_create_start.append(on_create)
    config.on_connection_create_end.append(on_created)
    config.on_connection_reuseconn.append(on_reuse)
    config.on_request_headers_sent.append(on_head_sent)
    return config


def _classified(error: Exception, watch: _Watch) -> Failure:
    """What an exception of aiohttp means; from the special to the general, since its classes inherit criss-cross."""
    if isinstance(error, _OversizedError):
        return Failure.OVERSIZED
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure.NAME
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Failure.TLS
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure.REFUSED
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT if watch.head_bytes else Failure.CONNECT_TIMEOUT
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure.CUT
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL | ValueError):
        return Failure.PROTOCOL
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | _SentAgainError | OSError):
        return Failure.CUT if watch.first_byte_ns else Failure.RESET
    return Failure.OTHER


class AiohttpTransport:
    """`Transport` on aiohttp. Make it inside a running loop.

    Args:
        clock: stamps each exchange.
        options: TLS and connection limits, the same for all exchanges.
    """

    def __init__(self, clock: Clock, options: TransportOptions | None = None) -> None:
        options = options or TransportOptions()
        self._now_ns = clock.now_ns
        self._is_closed = False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=options.connection_limit,
                ssl=_tls_context(options),
                keepalive_timeout=options.idle_limit_s,
                use_dns_cache=True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED_HEADERS,
            auto_decompress=False,
            trace_configs=[_trace(self._now_ns)],
        )

    async def exchange(self, request: Request) -> Exchange:
        if self._is_closed:
            raise RuntimeError("the transport is closed")
        watch = _Watch()
        chunks: list[bytes] = []
        status, head, failure, detail = 0, b"", None, ""
        started_ns = self._now_ns()
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=[_header(line) for line in request.headers],
                data=request.body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=request.total_timeout_ms / 1000, connect=request.connect_timeout_ms / 1000
                ),
                trace_request_ctx=watch,
            ) as response:
                watch.first_byte_ns = self._now_ns()
                status, head = response.status, _head(response)
                size = 0
                async for chunk in response.content.iter_any():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > request.body_limit_bytes:
                        raise _OversizedError(f"more than {request.body_limit_bytes} bytes")
        except (aiohttp.ClientError, OSError, ValueError, ssl.SSLError, _SentAgainError, _OversizedError) as error:
            failure = _classified(error, watch)
            detail = RESEND_DETAIL if isinstance(error, _SentAgainError) else str(error) or type(error).__name__
        ended_ns = self._now_ns()
        body = b"".join(chunks)

        def since_start_us(stamp_ns: int) -> int:
            return (stamp_ns - started_ns) // NS_PER_US if stamp_ns else 0

        return Exchange(
            status,
            failure,
            detail[:DETAIL_LIMIT_CHARS],
            head,
            b"" if failure else body,
            started_ns,
            ended_ns,
            since_start_us(watch.queued_ns),
            since_start_us(watch.looked_up_ns),
            since_start_us(watch.connected_ns),
            0,
            since_start_us(watch.first_byte_ns),
            watch.is_new,
            watch.head_bytes + len(request.body or b"") if watch.head_bytes else 0,
            len(head) + len(body),
        )

    async def aclose(self) -> None:
        self._is_closed = True
        await self._session.close()
        # aiohttp closes TLS connections in the loop's next turn.
        await asyncio.sleep(0)


def _tls_context(options: TransportOptions) -> ssl.SSLContext:
    ca_file = checked_file(options.ca_file, "the CA file") if options.ca_file else default_ca_file()
    context = ssl.create_default_context(cafile=ca_file)
    if options.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.client_cert_file:
        context.load_cert_chain(
            checked_file(options.client_cert_file, "the client certificate"), options.client_key_file or None
        )
    return context


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _head(response: aiohttp.ClientResponse) -> bytes:
    """The head as it would have been received; the parser keeps only its parts."""
    lines = [b"HTTP/1.1 %d %s" % (response.status, (response.reason or "").encode("latin-1", "replace"))]
    lines.extend(name + b": " + value for name, value in response.raw_headers)
    return b"\r\n".join(lines) + b"\r\n\r\n"
