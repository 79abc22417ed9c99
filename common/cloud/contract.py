"""The HTTP transport as a port: one request in, what became of it out.

Rules: what the cloud or the network does is data. `Transport.exchange` never raises for it: a refused port, a reset, a
timeout, a cut body or a wrong certificate is a `Failure` in the `Exchange`. A request goes onto the wire at most once:
an adapter whose library would send it again by itself stops that. Values here are msgspec structs, not dataclasses,
because two of them are made for every call of the load (0.2 us against 2 us for a frozen dataclass).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Protocol

import msgspec

from osbench.common.error import CloudError

#: Bound of a response body unless the request says otherwise.
BODY_LIMIT_BYTES = 64 * 1024 * 1024
#: Bound of the text kept of a failure or of a service's error message.
DETAIL_LIMIT_CHARS = 500
CONNECT_TIMEOUT_MS = 10_000
TOTAL_TIMEOUT_MS = 180_000

#: A full answer being absent, these may have taken effect and would take effect a second time (RFC 9110, 9.2.2).
NON_IDEMPOTENT = frozenset({"POST", "PATCH"})


class Failure(StrEnum):
    """Why no full answer came."""

    NAME = "name"  # the host name is unknown
    REFUSED = "refused"  # nobody listens, or no route
    CONNECT_TIMEOUT = "connect_timeout"  # no connection (TLS included) within the connect timeout
    TLS = "tls"  # certificate, host name or handshake
    TIMEOUT = "timeout"  # connected, but the answer was not complete within the total timeout
    RESET = "reset"  # the peer closed or reset before a byte of the answer
    CUT = "cut"  # the peer closed or reset within the answer
    OVERSIZED = "oversized"  # the body is larger than the bound
    PROTOCOL = "protocol"  # not HTTP, or not a URL
    OTHER = "other"


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request.

    Attributes:
        method: in capitals.
        url: absolute, already quoted.
        headers: whole lines, `Name: value`, ASCII, without line ends.
        body: bytes to send; None sends none. A POST, PUT or PATCH without body says `Content-Length: 0`.
        connect_timeout_ms: bound of name look-up, connect and TLS together, > 0.
        total_timeout_ms: bound of the whole exchange, > 0.
        body_limit_bytes: bound of the response body.
    """

    method: str
    url: str
    headers: Sequence[str] = ()
    body: bytes | None = None
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS
    total_timeout_ms: int = TOTAL_TIMEOUT_MS
    body_limit_bytes: int = BODY_LIMIT_BYTES


@cache
def _needle(name: str) -> bytes:
    return b"\r\n" + name.lower().encode("ascii") + b":"


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What became of one request.

    Attributes:
        status: HTTP status, 0 if none was received.
        failure: None if a full answer came, whatever its status.
        detail: the failure in the library's words, bounded.
        head: the final answer's status line and headers as received.
        body: as received, without transfer coding; b"" on failure.
        started_ns: when the request was handed to the network, on the transport's clock.
        ended_ns: when the last byte, or the failure, was seen.
        wait_us, lookup_us, connect_us, tls_us, first_byte_us: microseconds from started_ns until a connection was
            free, the name looked up, connected, TLS done, the first byte of the answer here; 0 where it did not happen.
        is_new_connection: whether a connection was opened for it.
        sent_bytes: request head and body; 0 means that nothing reached the wire.
        received_bytes: response head and body.
    """

    status: int
    failure: Failure | None
    detail: str
    head: bytes
    body: bytes
    started_ns: int
    ended_ns: int
    wait_us: int
    lookup_us: int
    connect_us: int
    tls_us: int
    first_byte_us: int
    is_new_connection: bool
    sent_bytes: int
    received_bytes: int

    @property
    def is_ambiguous(self) -> bool:
        """Whether the request may have been executed although no full answer came."""
        return self.failure is not None and self.sent_bytes > 0

    def header(self, name: str) -> str | None:
        """The first header of that name (any case), stripped; None if there is none."""
        start = self.head.lower().find(_needle(name))
        if start < 0:
            return None
        start += len(name) + 3
        end = self.head.find(b"\r\n", start)
        return self.head[start : end if end >= 0 else None].strip().decode("latin-1")


class Transport(Protocol):
    """Sends HTTP/1.1 requests over kept-alive connections. Bound to one event loop; not thread-safe.

    `exchange` may be called from any number of coroutines at once; a connection is opened whenever none is idle, unless
    `TransportOptions.connection_limit` says otherwise. The order of exchanges is not kept.

    Errors: only `asyncio.CancelledError` (the exchange is abandoned, its connection closed, the transport stays usable)
    and RuntimeError after `aclose`. Everything else is in the `Exchange`.

    Redirects are not followed, no cookie is kept, no header is added but Host, Content-Length and Accept, and no request
    is sent twice.
    """

    async def exchange(self, request: Request) -> Exchange:
        """Send one request and wait for what becomes of it."""
        ...

    async def aclose(self) -> None:
        """Close all connections; exchanges in flight are cancelled. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """What all connections of one transport have in common.

    Attributes:
        ca_file: PEM file of the authorities to trust; None takes certifi's bundle or the system's.
        is_insecure: accept any certificate.
        client_cert_file, client_key_file: PEM files for mutual TLS.
        connection_limit: at most so many connections; 0 is without limit. What waits for one shows as `wait_us`.
        idle_limit_s: an idle connection older than that is not used again.
    """

    ca_file: str | None = None
    is_insecure: bool = False
    client_cert_file: str | None = None
    client_key_file: str | None = None
    connection_limit: int = 0
    idle_limit_s: int = 60


class CallFailed(Exception):
    """A call did not end as its caller expects; the iteration that meets it ends with `outcome` and the load goes on.

    Not part of the error tree: outside a load it is turned into a `CloudError` by `as_cloud_error`.

    Attributes:
        route: e.g. `nova GET /servers/{id}`.
        status: HTTP status, 0 if none came.
        kind: e.g. `http_404`, `timeout`, `server_error_state`.
        message: the service's own words, bounded, without secrets.
        is_unknown: whether it may have taken effect all the same.
        request_id: the server's id of the request, if it sent one.
    """

    def __init__(
        self,
        route: str,
        *,
        status: int,
        kind: str,
        message: str,
        is_unknown: bool = False,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{route}: {kind}: {message}" if message else f"{route}: {kind}")
        self.route = route
        self.status = status
        self.kind = kind
        self.message = message
        self.is_unknown = is_unknown
        self.request_id = request_id

    def again(self) -> "CallFailed":
        """An equal one, to be raised in another coroutine."""
        return CallFailed(
            self.route,
            status=self.status,
            kind=self.kind,
            message=self.message,
            is_unknown=self.is_unknown,
            request_id=self.request_id,
        )

    def as_cloud_error(self, doing: str) -> CloudError:
        """The same for people: `doing` says what was attempted, e.g. `looking up the image`."""
        asked = f" (request {self.request_id})" if self.request_id else ""
        return CloudError(f"{doing}: the cloud answered {self}{asked}")
