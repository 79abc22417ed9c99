"""Who may speak to the API: nobody without its token, nobody whose browser was tricked into asking for it.

Rules: wraps the whole application, so no route can forget it; decides by the head of a request alone, before any of its
body is read. The Host header must name an address or a name of ours, against DNS rebinding: a page of another site can
make a browser send requests here, but only under that site's own name. Tokens are compared in constant time.
"""

import hmac
import ipaddress
import logging
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osbench.coordinator.api.fault import UNAUTHORIZED, WRONG_HOST, fault_body

log = logging.getLogger(__name__)

#: Peers whose wrong tokens were logged: each once, so that nobody can fill the log.
MAX_REMEMBERED = 64
#: On every answer. Nothing here may be kept by a cache, taken for something else, or shown in another site's frame.
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """Asks for host and token before it lets a request through.

    Args:
        hosts: names by which the API may be called, besides every IP address.
        version: release, told in a header of every answer.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str], version: str) -> None:
        self._app = app
        self._token = token.encode("ascii")
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts) | {"localhost"}
        self._headers = (*HEADERS, (b"osbench-version", version.encode("ascii")))
        self._refused: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # Of a server that starts and stops its applications; nobody asks for anything.
            await self._app(scope, receive, send)
            return
        assert scope["type"] == "http", f"no {scope['type']} is served"

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        headers = scope["headers"]
        if not self.is_our_host([value for name, value in headers if name == b"host"]):
            words = "the Host header names neither an address nor a name of this coordinator"
            await answer(send_guarded, 421, fault_body(WRONG_HOST, words))
        elif not self.has_token([value for name, value in headers if name == b"authorization"]):
            self._log_refusal(scope)
            words = "a token is needed: Authorization: Bearer TOKEN, with the token of the coordinator's api.json"
            await answer(send_guarded, 401, fault_body(UNAUTHORIZED, words), (b"www-authenticate", b"Bearer"))
        else:
            await self._app(scope, receive, send_guarded)

    def is_our_host(self, values: list[bytes]) -> bool:
        """Whether the Host header, given exactly once, is an IP address or a name of ours, with or without a port."""
        if len(values) != 1:
            return False
        text = values[0].decode("latin-1").lower()
        host, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):
            host = text
        elif not port.isdecimal():
            return False
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            return False
        if host.rstrip(".") in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def has_token(self, values: list[bytes]) -> bool:
        """Whether the Authorization header, given exactly once, carries the token."""
        if len(values) != 1:
            return False
        scheme, _, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    def _log_refusal(self, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else "unknown"
        if peer not in self._refused and len(self._refused) < MAX_REMEMBERED:
            self._refused.add(peer)
            log.warning("the API refused %s, which has no token or a wrong one; said once for each address", peer)


async def answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Answer JSON and end the connection: nothing of the body was read, and it may have no end."""
    length = (b"content-length", str(len(body)).encode("ascii"))
    head = [(b"content-type", b"application/json"), length, (b"connection", b"close"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
