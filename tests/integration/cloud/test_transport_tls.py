"""What the transport port promises of TLS, of every adapter, with authorities of our own."""

import asyncio
import ssl

import pytest
from http_server import OK, MakeTransport, answering, get, opened, run, serving

from osbench.common.clock import SystemClock
from osbench.common.cloud.contract import Failure, Request, TransportOptions
from osbench.common.error import InputError


def _server_tls(files: dict[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["cert"], files["key"])
    return context


@pytest.mark.parametrize(
    ("host", "ca", "is_insecure", "expected"),
    [
        ("localhost", "ca", False, None),
        ("127.0.0.1", "ca", False, Failure.TLS),  # the certificate is for another name
        ("localhost", "other", False, Failure.TLS),
        ("localhost", None, False, Failure.TLS),
        ("127.0.0.1", None, True, None),
    ],
)
def test_certificates_are_checked_against_the_authority_and_the_name(
    make_transport: MakeTransport,
    tls_files: dict[str, str],
    host: str,
    ca: str | None,
    is_insecure: bool,
    expected: Failure | None,
) -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # the server's broken handshakes
        options = TransportOptions(ca_file=tls_files[ca] if ca else None, is_insecure=is_insecure)
        async with (
            serving(answering(OK), _server_tls(tls_files)) as server,
            opened(make_transport, options) as transport,
        ):
            exchange = await transport.exchange(Request("POST", f"https://{host}:{server.port}/", (), b"{}"))

            assert exchange.failure is expected
            assert not exchange.is_ambiguous
            if expected is None:
                assert exchange.status == 200
                again = await transport.exchange(get(f"https://{host}:{server.port}/"))
                assert not again.is_new_connection

    run(scenario())


def test_a_client_certificate_is_shown_to_a_server_that_wants_one(
    make_transport: MakeTransport, tls_files: dict[str, str]
) -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        context = _server_tls(tls_files)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls_files["ca"])
        options = TransportOptions(
            ca_file=tls_files["ca"], client_cert_file=tls_files["cert"], client_key_file=tls_files["key"]
        )
        bare = TransportOptions(ca_file=tls_files["ca"])
        async with serving(answering(OK), context) as server:
            url = f"https://localhost:{server.port}/"
            async with opened(make_transport, options) as transport:
                assert (await transport.exchange(get(url))).status == 200
            async with opened(make_transport, bare) as transport:
                assert (await transport.exchange(get(url))).failure is not None

    run(scenario())


def test_a_missing_ca_file_is_said_before_the_first_call(make_transport: MakeTransport) -> None:
    async def scenario() -> None:
        with pytest.raises(InputError, match=r"CA file '/no/such/ca\.pem' cannot be read"):
            make_transport(SystemClock(), TransportOptions(ca_file="/no/such/ca.pem"))

    run(scenario())
