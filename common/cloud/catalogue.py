"""A token's catalogue: where each service is.

Rules: service types are looked up by their official name and by every alias the service-types authority knows
(`volumev3` is `block-storage`). URLs leave here with the API version our clients speak and without a slash at the end.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import os_service_types

from osbench.common.error import CloudError
from osbench.common.nearest import did_you_mean

INTERFACES = ("public", "internal", "admin")
#: Bounds of what is believed of a catalogue.
_ENDPOINT_LIMIT = 10_000
_URL_LIMIT_CHARS = 2_048

#: What must end the URL for our clients; a service not in here is taken as the catalogue has it.
_VERSIONS = {"identity": "/v3", "compute": "/v2.1", "image": "/v2", "network": "/v2.0"}
_VERSION_END = re.compile(r"/v\d+(?:\.\d+)?$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of a catalogue."""

    service: str
    interface: str
    region: str
    url: str


@cache
def _authority() -> Any:
    return os_service_types.ServiceTypes()


def official_type(service: str) -> str:
    """The official service type of a name or alias: `block-storage` of `volumev3`; itself if unknown."""
    return _authority().get_service_type(service) or service


def all_types(service: str) -> tuple[str, ...]:
    """The official type, then its aliases, in the authority's order of preference."""
    official = official_type(service)
    types = _authority().get_all_types(official) if _authority().is_official(official) else [official]
    return tuple(types)


def versioned(service: str, url: str) -> str:
    """`url` with the version our client of that service speaks, no slash at the end."""
    url = url.rstrip("/")
    wanted = _VERSIONS.get(official_type(service))
    if wanted is None:
        return url
    if official_type(service) == "compute" and _VERSION_END.search(url):
        return url  # /v2 and /v2.1 are both Nova's, and the catalogue's choice
    return _VERSION_END.sub("", url) + wanted


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The endpoints of a token."""

    endpoints: tuple[Endpoint, ...] = ()

    @classmethod
    def of_token(cls, catalog: Any) -> "Catalogue":
        """The `catalog` of a Keystone token; what does not fit is left out."""
        found: list[Endpoint] = []
        for entry in catalog if isinstance(catalog, list) else ():
            if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
                continue
            for endpoint in entry.get("endpoints") or ():
                if len(found) >= _ENDPOINT_LIMIT:
                    raise CloudError(f"the catalogue has more than {_ENDPOINT_LIMIT} endpoints")
                url = endpoint.get("url") if isinstance(endpoint, Mapping) else None
                if not isinstance(url, str) or not url.startswith(("http://", "https://")):
                    continue
                if len(url) > _URL_LIMIT_CHARS or any(ord(char) <= 32 or ord(char) > 126 for char in url):
                    continue
                region = endpoint.get("region") or endpoint.get("region_id") or ""
                found.append(Endpoint(entry["type"], str(endpoint.get("interface", "")), str(region), url))
        return cls(tuple(found))

    def find(self, service: str, *, interface: str = "public", region: str = "") -> Endpoint | None:
        """The endpoint of a service; None if there is none. An empty region takes the first there is."""
        for service_type in all_types(service):
            for endpoint in self.endpoints:
                if (
                    endpoint.service == service_type
                    and endpoint.interface == interface
                    and (not region or endpoint.region == region)
                ):
                    return endpoint
        return None

    def url(self, service: str, *, interface: str = "public", region: str = "") -> str:
        """URL of a service as our clients want it.

        Raises:
            CloudError: there is none; says what there is.
        """
        endpoint = self.find(service, interface=interface, region=region)
        if endpoint is not None:
            return versioned(service, endpoint.url)
        place = f"interface {interface!r}" + (f", region {region!r}" if region else "")
        regions = self._distinct(endpoint.region for endpoint in self.endpoints)
        if region and region not in regions:
            raise CloudError(
                f"the catalogue has no region {region!r}: it has {', '.join(regions) or 'none'}"
                f"{did_you_mean(region, regions)}"
            )
        services = self._distinct(endpoint.service for endpoint in self.endpoints)
        raise CloudError(
            f"the catalogue has no {service} service ({place}): it has {', '.join(services) or 'none'}"
            f"{did_you_mean(service, services)}"
        )

    def urls(self, *, interface: str = "public", region: str = "") -> dict[str, str]:
        """URLs of all services, by official service type."""
        found: dict[str, str] = {}
        for service in self._distinct(official_type(endpoint.service) for endpoint in self.endpoints):
            if self.find(service, interface=interface, region=region) is not None:
                found[service] = self.url(service, interface=interface, region=region)
        return found

    @staticmethod
    def _distinct(values: Iterable[str]) -> list[str]:
        return sorted(set(values))
