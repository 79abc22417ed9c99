"""Microversions: read from version documents, chosen within what there is."""

import asyncio
from random import Random

import pytest

from osbench.common.clock import ManualClock
from osbench.common.cloud.account import Account, microversion_headers
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.cloud.microversion import NO_OFFER, Offer, choose, document_url, negotiate, offer_of
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.scripted import ScriptedTransport, answer
from osbench.common.cloud.session import DiscardedCalls, Session
from osbench.common.error import CloudError, InputError

OFFER = Offer((2, 1), (2, 96))


@pytest.mark.parametrize(
    ("wanted", "offer", "chosen"),
    [
        ("", OFFER, ""),
        ("latest", OFFER, "2.96"),
        ("2.1", OFFER, "2.1"),
        ("2.96", OFFER, "2.96"),
        ("latest", NO_OFFER, ""),
    ],
)
def test_a_microversion_that_is_there_is_chosen(wanted: str, offer: Offer, chosen: str) -> None:
    assert choose("compute", wanted, offer) == chosen


@pytest.mark.parametrize(
    ("wanted", "offer", "message"),
    [
        ("2.97", OFFER, "nova of this cloud has no microversion 2.97: it has 2.1 to 2.96"),
        ("2.0", OFFER, "no microversion 2.0"),
        ("two", OFFER, "'two' of nova is not a number such as 2.90"),
        ("2.5", NO_OFFER, "has no microversions"),
    ],
)
def test_one_that_is_not_is_said_with_what_there_is(wanted: str, offer: Offer, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose("compute", wanted, offer)


@pytest.mark.parametrize(
    ("document", "offer"),
    [
        (b'{"version": {"status": "CURRENT", "version": "2.96", "min_version": "2.1"}}', OFFER),
        (
            b'{"versions": [{"version": "", "min_version": ""}, {"version": "3.70", "min_version": "3.0"}]}',
            Offer((3, 0), (3, 70)),
        ),
        (b'{"versions": [{"max_version": "1.39", "min_version": "1.0"}]}', Offer((1, 0), (1, 39))),
        (b'{"versions": {"values": [{"id": "v3.14", "status": "stable"}]}}', NO_OFFER),
        (b'{"versions": [{"id": "v2.0"}]}', NO_OFFER),
        (b"[]", NO_OFFER),
    ],
)
def test_version_documents_of_all_kinds_are_read(document: bytes, offer: Offer) -> None:
    assert offer_of(document) == offer


@pytest.mark.parametrize(
    ("url", "document"),
    [
        ("http://c:8774/v2.1", "http://c:8774/v2.1/"),
        ("http://c:8776/v3/0123", "http://c:8776/v3/"),
        ("http://c/placement", "http://c/placement/"),
        ("http://v2.example/volume/v3/p", "http://v2.example/volume/v3/"),
    ],
)
def test_the_document_is_asked_for_at_the_version(url: str, document: str) -> None:
    assert document_url(url) == document


def test_nova_gets_the_old_header_too() -> None:
    assert microversion_headers("compute", "2.90") == (
        "OpenStack-API-Version: compute 2.90",
        "X-OpenStack-Nova-API-Version: 2.90",
    )
    assert microversion_headers("block-storage", "3.70") == ("OpenStack-API-Version: volume 3.70",)
    assert microversion_headers("compute", "") == ()


def _session(transport: ScriptedTransport, clock: ManualClock) -> Session:
    credentials = CloudCredentials(auth_url="http://k/v3", username="u", password="p")
    account = Account(credentials, clock, Random(1), urls={"compute": "http://n/v2.1"}, token="t")
    return Session(account, transport, DiscardedCalls(), RequestIds("r"))


def test_only_services_something_is_wanted_of_are_asked() -> None:
    clock = ManualClock()
    transport = ScriptedTransport(clock)
    transport.on("GET", "/v2.1/", answer(200, {"version": {"version": "2.96", "min_version": "2.1"}}))

    chosen = asyncio.run(negotiate(_session(transport, clock), {"compute": "latest", "image": ""}))

    assert chosen == {"compute": "2.96"}
    assert [request.url for request in transport.requests] == ["http://n/v2.1/"]


def test_a_service_that_does_not_say_is_a_cloud_error() -> None:
    clock = ManualClock()
    transport = ScriptedTransport(clock)
    transport.on("GET", "/v2.1/", answer(500))

    with pytest.raises(CloudError, match="asking nova for its versions"):
        asyncio.run(negotiate(_session(transport, clock), {"compute": "latest"}))
