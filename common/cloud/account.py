"""A user's standing with a cloud, shared by all sessions of that user in a process: token, endpoints, ready-made headers.

Rules: a token is renewed early, at a moment that differs from user to user, by whoever comes first; the others go on with
the old one. After a 401 all wait for one renewal. What a renewal costs is recorded with the call that needed it, flagged as
ours and not the scenario's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import NamedTuple

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.cloud.catalogue import official_type
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.cloud.identity import Token, sign_in_body
from osbench.common.cloud.route import SERVICE_NAMES
from osbench.common.error import CloudError
from osbench.common.nearest import did_you_mean

USER_AGENT = "osbench"
#: A token is renewed after a part of what is left of its life, drawn from this range.
_RENEW_AFTER = (0.80, 0.92)
#: After an early renewal that failed, the next try is this much later at least, nanoseconds.
_RETRY_NS = 30 * NS_PER_S
_NEVER_NS = 1 << 62
#: What services call themselves in the OpenStack-API-Version header, where it is not the service type (API-WG).
_VERSION_NAMES = {"block-storage": "volume"}


class ServiceAccess(NamedTuple):
    """What every call to one service begins with: its URL, and header lines without and with a JSON body."""

    url: str
    headers: tuple[str, ...]
    json_headers: tuple[str, ...]


def microversion_headers(service: str, microversion: str) -> tuple[str, ...]:
    """Header lines that ask a service for a microversion; none for an empty one."""
    if not microversion:
        return ()
    line = f"OpenStack-API-Version: {_VERSION_NAMES.get(service, service)} {microversion}"
    if service == "compute":
        # Nova before Newton knows only this one; later ones take both.
        return line, f"X-OpenStack-Nova-API-Version: {microversion}"
    return (line,)


class Account:
    """One identity on one cloud, in one process.

    Args:
        credentials: who; also how a new token is had.
        clock: for the token's age.
        random: draws the moment of early renewal.
        urls: by official service type; empty takes them from the first token's catalogue.
        microversions: by official service type.
        token, expires_at: of a sign-in made before; expires_at in seconds since the Unix epoch, 0 for unknown.
    """

    __slots__ = (
        "_access",
        "_clock",
        "_random",
        "_renewal",
        "_urls",
        "auth_url",
        "body",
        "credentials",
        "microversions",
        "now_ns",
        "renew_at_ns",
        "token",
        "token_facts",
    )

    def __init__(
        self,
        credentials: CloudCredentials,
        clock: Clock,
        random: Random,
        *,
        urls: Mapping[str, str] | None = None,
        microversions: Mapping[str, str] | None = None,
        token: str = "",
        expires_at: float = 0.0,
    ) -> None:
        self.credentials = credentials
        self.auth_url = credentials.auth_url
        self.body = sign_in_body(credentials)
        self.now_ns = clock.now_ns
        self.microversions = dict(credentials.microversions if microversions is None else microversions)
        #: facts of the latest sign-in made here; None if the token came from elsewhere.
        self.token_facts: Token | None = None
        #: on the clock, nanoseconds: from then on a call renews the token first.
        self.renew_at_ns = _NEVER_NS
        self.token = ""
        self._clock = clock
        self._random = random
        self._urls = {official_type(service): url.rstrip("/") for service, url in (urls or {}).items()}
        self._access: dict[str, ServiceAccess] = {}
        self._renewal: asyncio.Future[CallFailed | None] | None = None
        if token:
            self._take(token, expires_at)

    def __repr__(self) -> str:
        return f"Account({self.credentials!r}, has_token={bool(self.token)})"

    @property
    def urls(self) -> dict[str, str]:
        """Where the services are, by official type."""
        return dict(self._urls)

    def adopt(self, token: Token) -> None:
        """Use a new token from now on; its catalogue, if none was given."""
        self.token_facts = token
        if not self._urls:
            credentials = self.credentials
            self._urls = token.catalogue.urls(interface=credentials.interface, region=credentials.region)
            if token.catalogue.endpoints and not self._urls:
                # Says what is there instead.
                token.catalogue.url("identity", interface=credentials.interface, region=credentials.region)
        self._take(token.value, token.expires_at)

    def set_microversion(self, service: str, microversion: str) -> None:
        """Ask a service for this microversion from now on; empty asks for none."""
        self.microversions[official_type(service)] = microversion
        self._access.clear()

    def access(self, service: str) -> ServiceAccess:
        """URL and headers of a service.

        Args:
            service: official type.

        Raises:
            CloudError: the catalogue has no such service.
        """
        found = self._access.get(service)
        if found is None:
            found = self._access[service] = self._make_access(service)
        return found

    def _make_access(self, service: str) -> ServiceAccess:
        url = self._urls.get(service)
        if url is None and service == "identity":
            url = self.auth_url
        if url is None:
            known = sorted(self._urls)
            raise CloudError(
                f"the cloud has no {SERVICE_NAMES.get(service, service)}: its catalogue has no {service} service "
                f"(it has {', '.join(known) or 'none'}){did_you_mean(service, known)}"
            )
        headers = (
            f"X-Auth-Token: {self.token}",
            "Accept: application/json",
            f"User-Agent: {USER_AGENT}",
            *microversion_headers(service, self.microversions.get(service, "")),
        )
        return ServiceAccess(url, headers, (*headers, "Content-Type: application/json"))

    def _take(self, token: str, expires_at: float) -> None:
        self.token = token
        self._access.clear()
        self.renew_at_ns = _NEVER_NS
        if expires_at and self.credentials.can_renew:
            left_ns = int(expires_at * NS_PER_S) - self._clock.wall_ns()
            self.renew_at_ns = self.now_ns() + int(left_ns * self._random.uniform(*_RENEW_AFTER))

    async def renew_early(self, sign_in: Callable[[], Awaitable[Token]]) -> None:
        """Get a new token unless somebody is at it; a failure is left to the day the old one ends."""
        if self._renewal is not None and self.token:
            return
        stale = self.token
        try:
            await self.renew(stale, sign_in)
        except CallFailed:
            if not stale:
                raise
            self.renew_at_ns = self.now_ns() + int(_RETRY_NS * self._random.uniform(1, 2))

    async def renew(self, stale: str, sign_in: Callable[[], Awaitable[Token]]) -> None:
        """Get a new token in place of `stale`; one sign-in however many ask.

        Raises:
            CallFailed: Keystone gave none.
        """
        while self.token == stale:
            if self._renewal is None:
                await self._lead_renewal(sign_in)
                return
            # Shielded: one that gives up waiting must not cancel it for the others.
            failure = await asyncio.shield(self._renewal)
            if failure is not None:
                raise failure.again()
            # The token is still the stale one if the leader was cancelled: somebody else leads.

    async def _lead_renewal(self, sign_in: Callable[[], Awaitable[Token]]) -> None:
        renewal = self._renewal = asyncio.get_running_loop().create_future()
        failure: CallFailed | None = None
        try:
            self.adopt(await sign_in())
        except CallFailed as error:
            failure = error
            raise
        finally:
            self._renewal = None
            renewal.set_result(failure)
