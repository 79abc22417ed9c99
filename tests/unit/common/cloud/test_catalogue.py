"""Catalogues: finding a service under whatever name the cloud has it."""

import pytest

from osbench.common.cloud.catalogue import Catalogue, versioned
from osbench.common.error import CloudError


def _entry(service: str, **urls: str) -> dict[str, object]:
    return {"type": service, "endpoints": [{"interface": key, "region": "R1", "url": url} for key, url in urls.items()]}


CATALOGUE = Catalogue.of_token(
    [
        _entry("identity", public="http://c/identity", internal="http://i/identity"),
        _entry("compute", public="http://c:8774/v2.1"),
        _entry("volumev3", public="http://c:8776/v3/p1"),
        _entry("image", public="http://c:9292/"),
        {"type": "network", "endpoints": [{"interface": "public", "region": "R2", "url": "http://c:9696"}]},
        {"type": "odd", "endpoints": [{"interface": "public", "url": "gopher://x"}, "junk", {"url": None}]},
        {"endpoints": None},
        "junk",
    ]
)


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("identity", "http://c/identity/v3"),
        ("compute", "http://c:8774/v2.1"),
        ("block-storage", "http://c:8776/v3/p1"),
        ("volumev3", "http://c:8776/v3/p1"),
        ("volume", "http://c:8776/v3/p1"),
        ("image", "http://c:9292/v2"),
        ("network", "http://c:9696/v2.0"),
    ],
)
def test_a_service_is_found_by_its_name_or_an_alias_with_the_version_we_speak(service: str, url: str) -> None:
    assert CATALOGUE.url(service) == url


def test_interface_and_region_choose_among_endpoints() -> None:
    assert CATALOGUE.url("identity", interface="internal") == "http://i/identity/v3"
    assert sorted(CATALOGUE.urls(region="R1")) == ["block-storage", "compute", "identity", "image"]


@pytest.mark.parametrize(
    ("service", "interface", "region", "message"),
    [
        ("object-store", "public", "", "no object-store service .interface 'public'.: it has compute, identity"),
        ("compute", "admin", "", "no compute service .interface 'admin'"),
        ("compute", "public", "R11", "no region 'R11': it has R1, R2; did you mean 'R1'"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(service: str, interface: str, region: str, message: str) -> None:
    with pytest.raises(CloudError, match=message):
        CATALOGUE.url(service, interface=interface, region=region)


@pytest.mark.parametrize("catalog", [None, {}, "x", [], [{"type": "a", "endpoints": [{}]}]])
def test_a_catalogue_that_does_not_fit_is_empty(catalog: object) -> None:
    assert Catalogue.of_token(catalog).endpoints == ()


def test_versions_in_urls_are_replaced_by_the_one_we_speak() -> None:
    assert versioned("network", "http://c:9696/v2.0/") == "http://c:9696/v2.0"
    assert versioned("identity", "http://c:5000/v2.0") == "http://c:5000/v3"
    assert versioned("compute", "http://c/compute") == "http://c/compute/v2.1"
