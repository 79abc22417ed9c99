"""Authenticated calls: each attempt is sent once, recorded once, and judged by what its route expects.

Rules: no retry but one: a call answered 401 is made again, once, after a fresh sign-in; both attempts and the sign-in are
recorded. What the cloud answers never raises anything but `CallFailed`, which ends the iteration and nothing else. This is
the hot path: a call costs a few microseconds here beside the transport's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from osbench.common.cloud.account import USER_AGENT, Account
from osbench.common.cloud.contract import (
    CONNECT_TIMEOUT_MS,
    TOTAL_TIMEOUT_MS,
    CallFailed,
    Exchange,
    Request,
    Transport,
)
from osbench.common.cloud.identity import SIGN_IN, Token, token_of
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.route import Route
from osbench.common.cloud.service_error import generalised, service_message
from osbench.common.outcome import Outcome
from osbench.common.record import CALL_NEW_CONNECTION, CALL_RENEWAL, CallSink

_OK = Outcome.OK
_FIRST, _SECOND = 1, 2
_UNAUTHORIZED = 401
_NO_PHASES = (0, 0, 0, 0, 0)

Decoded = TypeVar("Decoded")


class DiscardedCalls:
    """A `CallSink` for work outside the load (contexts, checks, clean-up): it counts and keeps nothing."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = 0

    def name_id(self, name: str) -> int:
        return 0

    def error_id(self, kind: str, message: str) -> int:
        return 1

    def next_call(self) -> int:
        self.sent += 1
        return self.sent - 1

    def add_call(
        self,
        name: int,
        started_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int,
        error: int,
        attempt: int,
        flags: int,
        phases_us: tuple[int, int, int, int, int],
        sent_bytes: int,
        received_bytes: int,
        request_id: str | None,
    ) -> None:
        return None


class Session:
    """Calls of one user within one iteration (or outside any).

    Args:
        account: the user's standing, shared.
        transport: shared by all sessions of the process.
        sink: where attempts are recorded.
        ids: request ids of the run.
        iteration: its global index; for work outside the load any number.
        sleep: waits some seconds; for those who poll, or try again outside the load.
        total_timeout_ms: bound of each call.
    """

    __slots__ = ("_ids", "_iteration", "_timeout_ms", "_transport", "account", "now_ns", "sink", "sleep")

    def __init__(
        self,
        account: Account,
        transport: Transport,
        sink: CallSink,
        ids: RequestIds,
        iteration: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        total_timeout_ms: int = TOTAL_TIMEOUT_MS,
    ) -> None:
        self.account = account
        self.sink = sink
        self.sleep = sleep
        self.now_ns = account.now_ns
        self._transport = transport
        self._ids = ids
        self._iteration = iteration
        self._timeout_ms = total_timeout_ms

    async def call(
        self,
        route: Route,
        path: str,
        body: bytes | None = None,
        *,
        expected: frozenset[int] | None = None,
        flags: int = 0,
        more_headers: tuple[str, ...] = (),
    ) -> Exchange:
        """Make a call as the session's user.

        Args:
            route: what kind of call.
            path: below the service's URL, quoted, with its query.
            body: JSON.
            expected: statuses that are what was asked for, in place of the route's.
            flags: CALL_* of the record.
            more_headers: further header lines.

        Returns:
            An answer with an expected status.

        Raises:
            CallFailed: any other answer, or none.
            CloudError: the cloud has no such service.
        """
        account = self.account
        if account.now_ns() >= account.renew_at_ns or not account.token:
            await account.renew_early(self._renew)
        if expected is None:
            expected = route.expected
        token = account.token
        exchange = await self._attempt(route, path, body, more_headers, _FIRST, flags)
        status = exchange.status
        if exchange.failure is None:
            if status in expected:
                self._record(route, exchange, _OK, 0, _FIRST, flags)
                return exchange
            if status == _UNAUTHORIZED and account.credentials.can_renew:
                self._fail(route, exchange, _FIRST, flags)
                await account.renew(token, self._renew)
                exchange = await self._attempt(route, path, body, more_headers, _SECOND, flags)
                return self._judge(route, exchange, expected, _SECOND, flags)
        raise self._fail(route, exchange, _FIRST, flags)

    async def sign_in(self, body: bytes | None = None, flags: int = 0, auth_url: str | None = None) -> Token:
        """Ask Keystone for a token; the session goes on with its own.

        Args:
            body: of `sign_in_body`; None for the session's own user.
            flags: CALL_* of the record.
            auth_url: Keystone's, ends in /v3; None for the session's own.

        Raises:
            CallFailed: Keystone gave none.
        """
        account = self.account
        headers = ("Accept: application/json", f"User-Agent: {USER_AGENT}", "Content-Type: application/json")
        url = (auth_url or account.auth_url) + "/auth/tokens"
        exchange = await self._send(SIGN_IN, url, headers, account.body if body is None else body, _FIRST, flags)
        self._judge(SIGN_IN, exchange, SIGN_IN.expected, _FIRST, flags)
        return token_of(exchange)

    async def fetch(self, route: Route, url: str, expected: frozenset[int]) -> Exchange:
        """GET a URL without signing in: version documents.

        Raises:
            CallFailed: an answer of another status, or none.
        """
        headers = ("Accept: application/json", f"User-Agent: {USER_AGENT}")
        return self._judge(route, await self._send(route, url, headers, None, _FIRST, 0), expected, _FIRST, 0)

    async def ensure_token(self) -> None:
        """Sign in unless there is a token.

        Raises:
            CallFailed: Keystone gave none.
        """
        if not self.account.token:
            await self.account.renew("", self._renew)

    def decoded(self, route: Route, exchange: Exchange, decode: Callable[[bytes], Decoded]) -> Decoded:
        """The body as a value, by a msgspec decoder.

        Raises:
            CallFailed: it does not fit.
        """
        try:
            return decode(exchange.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CallFailed(
                route.name, status=exchange.status, kind="bad_body", message=generalised(str(error))
            ) from error

    async def _renew(self) -> Token:
        return await self.sign_in(flags=CALL_RENEWAL)

    def _attempt(
        self, route: Route, path: str, body: bytes | None, more_headers: tuple[str, ...], attempt: int, flags: int
    ) -> Awaitable[Exchange]:
        access = self.account.access(route.service)
        headers = access.headers if body is None else access.json_headers
        if more_headers:
            headers += more_headers
        return self._send(route, access.url + path, headers, body, attempt, flags)

    async def _send(
        self, route: Route, url: str, headers: tuple[str, ...], body: bytes | None, attempt: int, flags: int
    ) -> Exchange:
        sink = self.sink
        request_id = self._ids.of(self._iteration, sink.next_call())
        request = Request(
            route.method,
            url,
            [*headers, "X-OpenStack-Request-ID: " + request_id],
            body,
            CONNECT_TIMEOUT_MS,
            self._timeout_ms,
        )
        started_ns = self.now_ns()
        try:
            return await self._transport.exchange(request)
        except asyncio.CancelledError:
            # It went out, and nobody will know what became of it: that belongs in the record, too.
            error = sink.error_id("cancelled", f"{route.name}: given up before its answer came")
            name, ended_ns = sink.name_id(route.name), self.now_ns()
            sink.add_call(name, started_ns, ended_ns, Outcome.UNKNOWN, 0, error, attempt, flags, _NO_PHASES, 0, 0, None)
            raise

    def _judge(self, route: Route, exchange: Exchange, expected: frozenset[int], attempt: int, flags: int) -> Exchange:
        if exchange.failure is None and exchange.status in expected:
            self._record(route, exchange, _OK, 0, attempt, flags)
            return exchange
        raise self._fail(route, exchange, attempt, flags)

    def _fail(self, route: Route, exchange: Exchange, attempt: int, flags: int) -> CallFailed:
        """Record a failed attempt, and say what failed."""
        is_unknown = exchange.is_ambiguous and route.leaves_unknown
        if exchange.failure is not None:
            kind, message = exchange.failure.value, generalised(exchange.detail)
        else:
            kind, message = f"http_{exchange.status}", service_message(exchange.body)
        failed = CallFailed(
            route.name,
            status=exchange.status,
            kind=kind,
            message=message,
            is_unknown=is_unknown,
            request_id=exchange.header("x-openstack-request-id"),
        )
        error = self.sink.error_id(kind, str(failed))
        self._record(route, exchange, Outcome.UNKNOWN if is_unknown else Outcome.FAILED, error, attempt, flags)
        return failed

    def _record(self, route: Route, exchange: Exchange, outcome: Outcome, error: int, attempt: int, flags: int) -> None:
        sink = self.sink
        sink.add_call(
            sink.name_id(route.name),
            exchange.started_ns,
            exchange.ended_ns,
            outcome,
            exchange.status,
            error,
            attempt,
            flags | CALL_NEW_CONNECTION if exchange.is_new_connection else flags,
            (exchange.wait_us, exchange.lookup_us, exchange.connect_us, exchange.tls_us, exchange.first_byte_us),
            exchange.sent_bytes,
            exchange.received_bytes,
            exchange.header("x-openstack-request-id"),
        )
