"""Look-up: the image, flavor or network a task means, as Rally finds them."""

import asyncio
from collections.abc import Awaitable, Mapping
from random import Random
from typing import Any

import pytest

from osbench.common.clock import ManualClock
from osbench.common.cloud.account import Account
from osbench.common.cloud.contract import Failure
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.cloud.glance import Glance
from osbench.common.cloud.lookup import Reference, find_flavor, find_image, find_network
from osbench.common.cloud.neutron import Neutron
from osbench.common.cloud.nova import Nova
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.scripted import ScriptedTransport, answer, failure
from osbench.common.cloud.session import DiscardedCalls, Session
from osbench.common.error import CloudError, InputError

IMAGES: list[dict[str, Any]] = [
    {"id": "i1", "name": "cirros-0.5.2-x86_64-disk"},
    {"id": "i2", "name": "cirros-0.6.2-x86_64-disk"},
    {"id": "i3", "name": "ubuntu"},
    {"id": "i4", "name": "ubuntu (old)"},
    {"id": "i5", "name": None},
    {"id": "i6", "name": "twice"},
    {"id": "i7", "name": "twice"},
]
FLAVORS = [{"id": "1", "name": "m1.tiny", "ram": 512}, {"id": "2", "name": "m1.small"}, {"id": "42", "name": "m1.nano"}]
URLS = {"image": "http://g/v2", "compute": "http://n/v2.1", "network": "http://q/v2.0"}


class Stand:
    def __init__(self) -> None:
        clock = ManualClock()
        self.transport = ScriptedTransport(clock)
        account = Account(
            CloudCredentials(auth_url="http://k/v3", username="u", password="p"), clock, Random(1), urls=URLS, token="t"
        )
        self.session = Session(account, self.transport, DiscardedCalls(), RequestIds("r"))
        self.glance, self.nova, self.neutron = Glance(self.session), Nova(self.session), Neutron(self.session)
        self.transport.on("GET", "/v2/images?limit=1000", answer(200, {"images": IMAGES}))
        self.transport.on("GET", "/v2.1/flavors/detail?limit=1000", answer(200, {"flavors": FLAVORS}))
        for image in IMAGES:
            self.transport.on("GET", f"/v2/images/{image['id']}", answer(200, image))


def run(call: Awaitable[Any]) -> Any:
    async def awaited() -> Any:
        return await call

    return asyncio.run(awaited())


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"id": "i3"}, "i3"),
        ({"name": "ubuntu"}, "i3"),  # exactly, although it matches another as a regular expression
        ({"name": "^cirros.*-disk$"}, "i2"),  # a name that is nobody's is a regular expression; the last by name
        ({"regex": r"cirros-0\.5"}, "i1"),
        ({"regex": "^ubuntu"}, "i4"),
        ("i1", "i1"),
    ],
)
def test_images_are_found_as_rally_finds_them(value: Any, found: str) -> None:
    assert run(find_image(Stand().glance, value)).id == found


def test_text_alone_is_an_id_and_else_a_name() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2/images/ubuntu", answer(404))

    assert run(find_image(stand.glance, "ubuntu")).id == "i3"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "ubunto"}, "no image with name 'ubunto'; did you mean 'ubuntu'"),
        ({"name": "twice"}, r"2 images have the name 'twice': name one by id \(i6, i7\)"),
        ({"regex": "^debian"}, r"no image with regex '\^debian'.* \(it has: 'cirros-0.5.2"),
        ({"regex": "cirros", "accurate": True}, "2 images match with regex 'cirros'"),
        ({"name": "ubuntu ("}, "no image with name"),
    ],
)
def test_what_is_not_found_or_not_one_is_said_with_what_there_is(value: Mapping[str, Any], message: str) -> None:
    with pytest.raises(CloudError, match=message):
        run(find_image(Stand().glance, value))


def test_an_id_that_is_not_there_is_said_with_those_that_are() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/flavors/9", answer(404))

    with pytest.raises(CloudError, match=r"no flavor with id '9' \(it has: 1 \(m1.tiny\)"):
        run(find_flavor(stand.nova, {"id": 9}))


def test_several_flavors_that_match_are_an_error() -> None:
    assert run(find_flavor(Stand().nova, {"name": "m1.nano"})).id == "42"
    with pytest.raises(CloudError, match="3 flavors match"):
        run(find_flavor(Stand().nova, {"regex": "^m1"}))


@pytest.mark.parametrize("value", [{}, {"id": "a", "name": "b"}, "", {"nam": "x"}, 7])
def test_a_reference_that_names_nothing_is_an_input_error(value: Any) -> None:
    with pytest.raises(InputError, match="write exactly one of"):
        Reference.of(value)


def test_a_regular_expression_that_is_none_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not a regular expression"):
        run(find_image(Stand().glance, {"regex": "("}))


def test_pages_are_followed_to_their_end() -> None:
    stand = Stand()
    more = [{"rel": "next", "href": "http://elsewhere/evil"}]
    stand.transport.on(
        "GET",
        "/v2.0/networks?limit=1000",
        answer(200, {"networks": [{"id": "a", "name": "n1"}], "networks_links": more}),
    )
    stand.transport.on(
        "GET", "/v2.0/networks?limit=1000&marker=a", answer(200, {"networks": [{"id": "b", "name": "n2"}]})
    )

    assert run(find_network(stand.neutron, {"name": "n2"})).id == "b"
    assert all(request.url.startswith("http://q/") for request in stand.transport.requests)


def test_pages_that_go_in_a_circle_are_an_error() -> None:
    stand = Stand()
    more = [{"rel": "next"}]
    page = answer(200, {"networks": [{"id": "a", "name": "n1"}], "networks_links": more})
    stand.transport.on("GET", "/v2.0/networks?limit=1000", page)
    stand.transport.on("GET", "/v2.0/networks?limit=1000&marker=a", page)

    with pytest.raises(CloudError, match="goes in a circle"):
        run(find_network(stand.neutron, {"name": "n2"}))


def test_a_cloud_that_does_not_answer_is_not_a_missing_image() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2/images/x", failure(Failure.REFUSED, "connection refused"))

    with pytest.raises(CloudError, match=r"looking up the image with id 'x': .*refused: connection refused"):
        run(find_image(stand.glance, {"id": "x"}))
