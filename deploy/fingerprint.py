"""What a cloud is, seen from outside: its services and their versions, and whether our account can work there.

Rules: only reads. Everything is asked within `CHECK_S`, services side by side. What is wrong raises a `CloudError` that
tells apart: nobody there, sign-in refused, no administrator, no such region, a service of the catalogue that does not
answer. A service that is not in the catalogue at all is only noted: whether that matters depends on what will be run.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence

import msgspec

from osbench.common.cloud.administration import CloudView, open_cloud, sign_in_error
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudSpec
from osbench.common.cloud.microversion import NO_OFFER, offer_of, spelled
from osbench.common.cloud.route import SERVICE_NAMES, Route
from osbench.common.error import CloudError

#: The whole check, seconds.
CHECK_S = 9.5
#: So many of the deployment's own users are tried.
MAX_USERS_TRIED = 10
#: Statuses of a version document, and a version in it.
ANSWERED = frozenset({200, 300})
_VERSION_PATH = re.compile(r"/v\d+(?:\.\d+)?(?=/|$)")
_VERSION = re.compile(r'"id": ?"v(\d+(?:\.\d+)?)"')
#: Services most scenarios use.
USUAL = ("compute", "image", "network", "block-storage")


class ServiceFact(msgspec.Struct, frozen=True, kw_only=True):
    """A service of the catalogue.

    Attributes:
        type: the official one. url: as our clients use it.
        lowest, highest: its microversions. Where it has none, highest is the latest version it tells of. Empty for a
            service we have no client for.
    """

    type: str
    url: str
    lowest: str = ""
    highest: str = ""


class CloudFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A cloud and our standing with it; nothing secret.

    Attributes:
        user, project, roles: of the account that signed in. is_admin: whether it may make projects and users.
        services: by type. missing: of the usual services, those that are not there.
        fingerprint: of services and versions; changes when the cloud is upgraded, not when it is used.
    """

    auth_url: str
    region: str
    interface: str
    user: str
    project: str
    roles: tuple[str, ...]
    is_admin: bool
    services: tuple[ServiceFact, ...]
    missing: tuple[str, ...]
    fingerprint: str


async def cloud_facts(spec: CloudSpec) -> CloudFacts:
    """Sign in and look around.

    Raises:
        CloudError: it cannot be worked with; says why and what to look at.
        InputError: a certificate file is not there, or a service lacks the microversion that is asked for.
    """
    try:
        async with asyncio.timeout(CHECK_S), open_cloud(spec.admin) as cloud:
            is_admin = await _is_admin(cloud)
            if not is_admin and not spec.users:
                raise CloudError(
                    f"user {cloud.access.username!r} of the cloud at {spec.admin.auth_url} is no administrator (its roles: "
                    f"{', '.join(cloud.token.roles) or 'none'}), and the deployment names no users of its own: give it an "
                    f"administrator, or `users`"
                )
            await _try_users(cloud, spec)
            services = await _services(cloud)
    except TimeoutError as error:
        raise CloudError(f"the cloud at {spec.admin.auth_url} did not tell within {CHECK_S:g} s what it is") from error
    types = {service.type for service in services}
    return CloudFacts(
        auth_url=spec.admin.auth_url,
        region=spec.admin.region,
        interface=spec.admin.interface,
        user=cloud.access.username,
        project=cloud.access.project_name,
        roles=cloud.token.roles,
        is_admin=is_admin,
        services=services,
        missing=tuple(service for service in USUAL if service not in types),
        fingerprint=fingerprint_of(services),
    )


def fingerprint_of(services: Sequence[ServiceFact]) -> str:
    """16 hex digits of what services there are in what versions; where they are does not count."""
    told = sorted((service.type, service.lowest, service.highest) for service in services)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


async def _is_admin(cloud: CloudView) -> bool:
    """Whether the account may do what contexts do; asked of Keystone, since a role's name says little."""
    try:
        await cloud.call("GET", "identity", "/projects", query={"limit": "1"})
        await cloud.call("GET", "identity", "/roles")
    except CallFailed as failed:
        if failed.status in (401, 403):
            return False
        raise failed.as_cloud_error("looking at what the account may do") from failed
    return True


async def _try_users(cloud: CloudView, spec: CloudSpec) -> None:
    for user in spec.users[:MAX_USERS_TRIED]:
        try:
            await cloud.sign_in(user)
        except CallFailed as failed:
            raise sign_in_error(user, failed) from failed


async def _services(cloud: CloudView) -> tuple[ServiceFact, ...]:
    """Every service of the catalogue; those we have clients for are asked for their versions."""
    facts = (_fact(cloud, service, url) for service, url in sorted(cloud.account.urls.items()))
    return tuple(await asyncio.gather(*facts))


async def _fact(cloud: CloudView, service: str, url: str) -> ServiceFact:
    if service not in SERVICE_NAMES:
        return ServiceFact(type=service, url=url)
    # Glance, Neutron and Cinder tell their versions above the version's path only; below it they ask for a token.
    document = _VERSION_PATH.split(url)[0] + "/"
    route = Route(service, "GET", "/ (versions)", ANSWERED)
    try:
        exchange = await cloud.session.fetch(route, document, ANSWERED)
        versions = sorted(_VERSION.findall(exchange.body.decode("utf-8", "replace")), key=_numbers)
        offer = cloud.session.decoded(route, exchange, offer_of)
    except CallFailed as failed:
        name = SERVICE_NAMES[service]
        raise CloudError(
            f"{name} does not answer at {document}, where the catalogue has it: {failed.kind}: {failed.message}; look at "
            f"the service, or at the deployment's region and interface"
        ) from failed
    if offer != NO_OFFER:
        return ServiceFact(type=service, url=url, lowest=spelled(offer.lowest), highest=spelled(offer.highest))
    return ServiceFact(type=service, url=url, highest=versions[-1] if versions else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
