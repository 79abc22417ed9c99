"""Microversions: what a service offers, and which of it to ask for.

Rules: asked for in prepare, once a deployment and service; the load only carries the header. `latest` becomes the number
that is the latest there, so that a run can be repeated after the cloud was upgraded and say that something differs.
"""

import re
from typing import Any

import msgspec

from osbench.common.cloud.catalogue import official_type
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.route import SERVICE_NAMES, Route
from osbench.common.cloud.session import Session
from osbench.common.error import InputError

_VERSION = re.compile(r"^(\d{1,4})\.(\d{1,4})$")
_VERSION_SEGMENT = re.compile(r"/v\d+(?:\.\d+)?(?=/|$)")
_FOUND = frozenset({200, 300})


class Offer(msgspec.Struct, frozen=True):
    """The microversions of a service, ends included; (0, 0) for both where it has none."""

    lowest: tuple[int, int]
    highest: tuple[int, int]

    def __str__(self) -> str:
        return f"{spelled(self.lowest)} to {spelled(self.highest)}"


class _Version(msgspec.Struct):
    status: str = ""
    version: str | None = None
    max_version: str | None = None
    min_version: str | None = None


NO_OFFER = Offer((0, 0), (0, 0))


def spelled(version: tuple[int, int]) -> str:
    """`2.90`."""
    return f"{version[0]}.{version[1]}"


def parsed(text: str) -> tuple[int, int] | None:
    """(2, 90) of `2.90`; None if it is no microversion."""
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2])) if match else None


def choose(service: str, wanted: str, offer: Offer) -> str:
    """What to ask a service for; empty for no microversion.

    Args:
        service: official type.
        wanted: `latest`, a number, or empty: what the service does unasked.
        offer: what it has.

    Raises:
        InputError: it is no microversion, or the service does not have it.
    """
    name = SERVICE_NAMES.get(service, service)
    if not wanted:
        return ""
    if wanted == "latest":
        return spelled(offer.highest) if offer != NO_OFFER else ""
    version = parsed(wanted)
    if version is None:
        raise InputError(f"microversion {wanted!r:.40} of {name} is not a number such as 2.90, nor latest")
    if offer == NO_OFFER:
        raise InputError(f"{name} of this cloud has no microversions, so not {wanted} either: ask for none")
    if not offer.lowest <= version <= offer.highest:
        raise InputError(f"{name} of this cloud has no microversion {wanted}: it has {offer}")
    return spelled(version)


def offer_of(document: bytes) -> Offer:
    """What a version document says: `{"version": {…}}` or `{"versions": [{…}, …]}`, of which the current one counts.

    Raises:
        msgspec.DecodeError: it is neither.
    """
    content: Any = msgspec.json.decode(document)
    entries = content.get("versions") or [content.get("version")] if isinstance(content, dict) else []
    if isinstance(entries, dict):
        entries = entries.get("values") or []
    versions = [msgspec.convert(entry, _Version) for entry in entries if isinstance(entry, dict)]
    best = NO_OFFER
    for version in versions:
        highest = parsed(version.max_version or version.version or "")
        lowest = parsed(version.min_version or "")
        if highest and lowest and highest > best.highest:
            best = Offer(lowest, highest)
    return best


def document_url(url: str) -> str:
    """Where a service's version document is: its URL cut after the version, with a slash (`…/v3/` of `…/v3/PROJECT`)."""
    match = _VERSION_SEGMENT.search(url)
    return (url[: match.end()] if match else url.rstrip("/")) + "/"


async def offered(session: Session, service: str) -> Offer:
    """What a service offers, read from its version document.

    Raises:
        CloudError: there is no such service, or it does not say.
    """
    service = official_type(service)
    route = Route(service, "GET", "/ (versions)", _FOUND)
    try:
        exchange = await session.fetch(route, document_url(session.account.access(service).url), _FOUND)
        return session.decoded(route, exchange, offer_of)
    except CallFailed as failed:
        raise failed.as_cloud_error(f"asking {SERVICE_NAMES.get(service, service)} for its versions") from failed


async def negotiate(session: Session, wanted: dict[str, str]) -> dict[str, str]:
    """What to ask each service for; those that are not wanted of anything are not asked.

    Args:
        session: signed in.
        wanted: official type to `latest` or a number.

    Raises:
        InputError, CloudError: as `choose` and `offered` say.
    """
    chosen: dict[str, str] = {}
    for service, version in wanted.items():
        if version:
            chosen[service] = choose(service, version, await offered(session, service))
    return chosen
