"""What the transport port promises, of every adapter, against servers that misbehave on real sockets."""

import asyncio
import os
import sys
from contextlib import suppress

import pytest
from http_server import OK, MakeTransport, Received, answering, get, opened, reply, reset, run, serving

from osbench.common.clock import SystemClock
from osbench.common.cloud.aiohttp_transport import AiohttpTransport
from osbench.common.cloud.contract import Exchange, Failure, Request, TransportOptions


def test_an_answer_is_told_with_its_status_headers_body_and_stamps(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        data = b"HTTP/1.1 404 Not Found\r\nX-OpenStack-Request-Id: req-1\r\nContent-Length: 5\r\n\r\nhello"
        async with serving(answering(data)) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/v2.1/servers/x?a=b%2Fc"))

            assert (exchange.status, exchange.failure, exchange.body) == (404, None, b"hello")
            assert exchange.header("x-openstack-request-ID") == "req-1"
            assert exchange.header("X-Absent") is None
            assert not exchange.is_ambiguous
            assert exchange.is_new_connection
            assert exchange.started_ns < exchange.ended_ns
            assert (
                0 < exchange.connect_us <= exchange.first_byte_us <= (exchange.ended_ns - exchange.started_ns) // 1000
            )
            assert exchange.sent_bytes > 50
            assert exchange.received_bytes > 5
            assert server.received[0].path == "/v2.1/servers/x?a=b%2Fc"

    run(scenario())


def test_only_the_headers_given_are_sent_and_those_http_needs(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server, opened(make_transport) as transport:
            headers = ["X-Auth-Token: t", "Content-Type: application/json", "Accept: */*"]
            await transport.exchange(Request("POST", server.url + "/", headers, b"{}" * 2_000))

            assert set(server.received[0].headers) == {
                "host",
                "accept",
                "x-auth-token",
                "content-type",
                "content-length",
            }

    run(scenario())


def test_connections_are_kept_alive_and_reuse_is_told(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server, opened(make_transport) as transport:
            exchanges = [await transport.exchange(get(server.url + "/")) for _ in range(5)]

            assert [exchange.is_new_connection for exchange in exchanges] == [True, False, False, False, False]
            assert [exchange.connect_us for exchange in exchanges[1:]] == [0, 0, 0, 0]
            assert server.connections == 1

    run(scenario())


def test_each_exchange_in_flight_has_a_connection_of_its_own_and_all_are_kept(make_transport: MakeTransport) -> None:
    """A cache of connections smaller than what is in flight would close good ones all the time."""

    async def scenario() -> None:
        async with serving(answering(OK)) as server, opened(make_transport) as transport:
            for _ in range(3):
                await asyncio.gather(*(transport.exchange(get(server.url + "/")) for _ in range(150)))

            assert server.connections <= 150

    run(scenario())


def test_a_connection_limit_makes_exchanges_wait(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        options = TransportOptions(connection_limit=2)
        async with serving(answering(OK)) as server, opened(make_transport, options) as transport:
            exchanges = await asyncio.gather(*(transport.exchange(get(server.url + "/")) for _ in range(20)))

            assert {exchange.status for exchange in exchanges} == {200}
            assert server.connections <= 2
            assert max(exchange.wait_us for exchange in exchanges) > 0

    run(scenario())


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE", "PATCH"])
def test_a_reset_after_reading_a_request_on_a_fresh_connection_is_one_sending(
    make_transport: MakeTransport, method: str
) -> None:
    async def scenario() -> None:
        async def act(_received: Received, writer: asyncio.StreamWriter) -> bool:
            return reset(writer)

        async with serving(act) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(Request(method, server.url + "/", (), b"{}"))

            assert (exchange.failure, exchange.status) == (Failure.RESET, 0)
            assert exchange.is_ambiguous
            assert len(server.received) == 1

    run(scenario())


@pytest.mark.parametrize("is_abrupt", [True, False])
@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE", "PATCH"])
def test_a_request_is_not_sent_again_when_a_kept_connection_ends_under_it(
    make_transport: MakeTransport, method: str, is_abrupt: bool
) -> None:
    """Without it a lost create is doubled, and the cloud is blamed for a server nobody asked for."""

    async def scenario() -> None:
        async def act(received: Received, writer: asyncio.StreamWriter) -> bool:
            if received.path == "/first":
                return await reply(writer, OK)
            return reset(writer) if is_abrupt else False

        async with serving(act) as server, opened(make_transport) as transport:
            first = await transport.exchange(get(server.url + "/first"))
            second = await transport.exchange(Request(method, server.url + "/second", (), b"{}"))
            third = await transport.exchange(get(server.url + "/first"))

            assert first.status == third.status == 200
            assert (second.failure, second.is_ambiguous) == (Failure.RESET, True)
            assert [received.path for received in server.received] == ["/first", "/second", "/first"]
            assert server.received[0].connection == server.received[1].connection

    run(scenario())


def test_a_connection_the_server_closed_while_idle_is_replaced(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async with serving(answering(OK, goes_on=False)) as server, opened(make_transport) as transport:
            for _ in range(3):
                exchange = await transport.exchange(get(server.url + "/"))
                assert exchange.status == 200
                await asyncio.sleep(0.05)

            assert server.connections == 3

    run(scenario())


def test_a_server_that_closes_after_each_answer_without_saying_so_fails_no_call(make_transport: MakeTransport) -> None:
    """uWSGI's http-socket does so; the end of the connection is there before the next request, but nobody looked yet."""

    async def scenario() -> None:
        async def act(_received: Received, writer: asyncio.StreamWriter) -> bool:
            await reply(writer, OK)
            writer.close()
            return False

        async with serving(act) as server, opened(make_transport) as transport:
            for _ in range(50):
                exchange = await transport.exchange(get(server.url + "/"))
                assert exchange.status == 200, exchange
                if isinstance(transport, AiohttpTransport):
                    await asyncio.sleep(0)  # aiohttp takes notice in the loop's next turn

    run(scenario())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", 200),
        (b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhel", 201),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 200),
    ],
)
def test_a_cut_body_is_a_failure_that_keeps_the_status(make_transport: MakeTransport, data: bytes, status: int) -> None:
    async def scenario() -> None:
        async with serving(answering(data, goes_on=False)) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(Request("POST", server.url + "/", (), b"{}"))

            assert (exchange.failure, exchange.status, exchange.body) == (Failure.CUT, status, b"")
            assert exchange.is_ambiguous

    run(scenario())


def test_a_head_cut_off_is_a_failure(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        data = b"HTTP/1.1 200 OK\r\nContent-Le"
        async with serving(answering(data, goes_on=False)) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/"))

            assert exchange.failure in (Failure.CUT, Failure.RESET)

    run(scenario())


def test_what_is_not_http_is_a_failure(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        data = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
        async with serving(answering(data, goes_on=False)) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/"))

            assert exchange.failure is Failure.PROTOCOL

    run(scenario())


def test_a_trickle_ends_at_the_total_timeout(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async def act(_received: Received, writer: asyncio.StreamWriter) -> bool:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(1000):
                await asyncio.sleep(0.02)
                await reply(writer, b"x")
            return True

        async with serving(act) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/", total_timeout_ms=150))

            assert (exchange.failure, exchange.status) == (Failure.TIMEOUT, 200)
            assert exchange.is_ambiguous

    run(scenario())


def test_a_server_that_never_answers_ends_at_the_total_timeout(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async def act(_received: Received, _writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(60)
            return False

        async with serving(act) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/", total_timeout_ms=100))

            assert (exchange.failure, exchange.status, exchange.is_ambiguous) == (Failure.TIMEOUT, 0, True)

    run(scenario())


def test_a_connection_that_is_not_made_in_time_was_certainly_not_executed(
    make_transport: MakeTransport, tls_files: dict[str, str]
) -> None:
    """The server accepts and says nothing, so that the TLS handshake hangs."""

    async def scenario() -> None:
        async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(2)
            writer.close()

        listening = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with opened(make_transport) as transport:
            exchange = await transport.exchange(get(f"https://127.0.0.1:{port}/", connect_timeout_ms=100))
        listening.close()

        assert (exchange.failure, exchange.is_ambiguous) == (Failure.CONNECT_TIMEOUT, False)

    run(scenario())


def test_a_refused_port_is_a_failure_that_left_nothing_behind(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server:
            url = server.url
        async with opened(make_transport) as transport:
            exchange = await transport.exchange(Request("POST", url + "/", (), b"{}"))

            assert (exchange.failure, exchange.is_ambiguous) == (Failure.REFUSED, False)
            assert exchange.detail

    run(scenario())


def test_an_unknown_host_name_is_a_failure(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async with opened(make_transport) as transport:
            exchange = await transport.exchange(get("http://no-such-host.invalid/", connect_timeout_ms=5_000))

            assert (exchange.failure, exchange.is_ambiguous) == (Failure.NAME, False)

    run(scenario())


def test_what_is_no_url_is_a_failure(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async with opened(make_transport) as transport:
            exchange = await transport.exchange(get("http://[::1/"))

            assert exchange.failure is Failure.PROTOCOL

    run(scenario())


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_above_the_bound_is_not_read_to_its_end(make_transport: MakeTransport, has_length: bool) -> None:
    async def scenario() -> None:
        async def act(_received: Received, writer: asyncio.StreamWriter) -> bool:
            length = b"Content-Length: 100000000\r\n" if has_length else b"Connection: close\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
            for _ in range(1_000):
                await reply(writer, b"x" * 100_000)
            return False

        async with serving(act) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/", body_limit_bytes=1_000_000))

            assert (exchange.failure, exchange.status, exchange.body) == (Failure.OVERSIZED, 200, b"")
            assert exchange.received_bytes < 10_000_000

    run(scenario())


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_body_do_not_wait_for_one(make_transport: MakeTransport, status: int) -> None:
    async def scenario() -> None:
        data = b"HTTP/1.1 %d X\r\n\r\n" % status
        async with serving(answering(data)) as server, opened(make_transport) as transport:
            for _ in range(2):
                exchange = await transport.exchange(Request("DELETE", server.url + "/", ()))
                assert (exchange.status, exchange.failure, exchange.body) == (status, None, b"")

            assert server.connections == 1

    run(scenario())


def test_head_is_answered_by_the_head_alone(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async def act(received: Received, writer: asyncio.StreamWriter) -> bool:
            return await reply(writer, OK[:-2] if received.method == "HEAD" else OK)

        async with serving(act) as server, opened(make_transport) as transport:
            bodies = [
                (await transport.exchange(Request(method, server.url + "/", ()))).body
                for method in ("HEAD", "GET", "DELETE", "HEAD", "POST", "GET", "PUT", "HEAD", "PATCH", "GET")
            ]

            assert bodies == [b"", b"ok", b"ok", b"", b"ok", b"ok", b"ok", b"", b"ok", b"ok"]
            assert "".join(received.method[0] for received in server.received) == "HGDHPGPHPG"
            assert server.connections == 1

    run(scenario())


def test_methods_and_bodies_do_not_leak_from_one_request_into_the_next(make_transport: MakeTransport) -> None:
    """Handles are reused, and what was set for one request stays set unless it is taken back."""
    sent: list[tuple[str, bytes | None]] = [
        ("POST", b'{"a": 1}'),
        ("GET", None),
        ("PUT", None),
        ("DELETE", None),
        ("DELETE", b"[]"),
        ("GET", None),
        ("PATCH", b"{}"),
        ("POST", None),
        ("POST", b"x"),
        ("DELETE", None),
        ("PUT", b"y"),
        ("GET", None),
    ]

    async def scenario() -> None:
        async with serving(answering(OK)) as server, opened(make_transport) as transport:
            for method, body in sent:
                headers = ["Content-Type: application/json"] if body is not None else []
                await transport.exchange(Request(method, server.url + "/", headers, body))

            assert [(it.method, it.body) for it in server.received] == [(method, body or b"") for method, body in sent]
            assert [it.headers.get("content-type") for it in server.received] == [
                "application/json" if body is not None else None for _, body in sent
            ]
            lengths = [
                it.headers.get("content-length") for it in server.received if it.method in ("POST", "PUT", "PATCH")
            ]
            assert lengths == ["8", "0", "2", "0", "1", "1"]

    run(scenario())


def test_interim_answers_are_not_the_answer(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        data = b"HTTP/1.1 103 Early Hints\r\nX-Which: first\r\n\r\n" + OK.replace(b"OK", b"OK\r\nX-Which: last", 1)
        async with serving(answering(data)) as server, opened(make_transport) as transport:
            exchange = await transport.exchange(get(server.url + "/"))

            assert (exchange.status, exchange.header("x-which"), exchange.body) == (200, "last", b"ok")

    run(scenario())


def test_redirects_are_answers_like_others(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        data = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        async with serving(answering(data)) as server, opened(make_transport) as transport:
            for _ in range(2):
                exchange = await transport.exchange(get(server.url + "/"))
                assert (exchange.status, exchange.header("Location")) == (302, "/elsewhere")

            assert [received.path for received in server.received] == ["/", "/"]
            assert "cookie" not in server.received[1].headers

    run(scenario())


def test_a_cancelled_exchange_leaves_the_transport_usable(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async def act(received: Received, writer: asyncio.StreamWriter) -> bool:
            if received.path == "/hang":
                await asyncio.sleep(60)
            return await reply(writer, OK)

        async with serving(act) as server, opened(make_transport) as transport:
            for _ in range(20):
                hanging = [asyncio.ensure_future(transport.exchange(get(server.url + "/hang"))) for _ in range(5)]
                await asyncio.sleep(0.01)
                for task in hanging:
                    task.cancel()
                results = await asyncio.gather(*hanging, return_exceptions=True)
                assert all(isinstance(result, asyncio.CancelledError) for result in results)
                exchange = await transport.exchange(get(server.url + "/"))
                assert (exchange.status, exchange.body) == (200, b"ok")

    run(scenario())


def test_closing_cancels_what_is_in_flight_and_refuses_more(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        async def act(_received: Received, _writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(60)
            return False

        async with serving(act) as server:
            transport = make_transport(SystemClock(), None)
            hanging = asyncio.ensure_future(transport.exchange(get(server.url + "/")))
            await asyncio.sleep(0.02)
            await transport.aclose()
            await transport.aclose()

            (result,) = await asyncio.gather(hanging, return_exceptions=True)
            assert isinstance(result, asyncio.CancelledError) or (
                isinstance(result, Exchange) and result.failure is not None
            )
            with pytest.raises(RuntimeError):
                await transport.exchange(get(server.url + "/"))

    run(scenario())


@pytest.mark.slow
def test_ten_thousand_fresh_connections_leave_no_descriptor_behind(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        data = OK.replace(b"OK", b"OK\r\nConnection: close", 1)
        async with serving(answering(data, goes_on=False)) as server, opened(make_transport) as transport:
            before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
            left = 10_000
            statuses: set[int] = set()

            async def work() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    exchange = await transport.exchange(get(server.url + "/"))
                    assert exchange.failure is None, exchange
                    assert exchange.is_new_connection
                    statuses.add(exchange.status)

            await asyncio.gather(*(work() for _ in range(50)))
            await asyncio.sleep(0.1)

            assert statuses == {200}
            assert server.connections == 10_000
            if sys.platform == "linux":
                assert len(os.listdir("/proc/self/fd")) <= before + 10

    run(scenario())
