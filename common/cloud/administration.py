"""A cloud outside the load: one identity's calls for contexts, clean-up and checks, JSON in and out.

Rules: nothing here is recorded or timed, so a call that fails in a passing way is made again. Every call has a deadline.
`open_cloud` tells apart, within ten seconds, a cloud that is not there, one that refuses the sign-in, and one whose
catalogue does not fit; after it only `CallFailed` is met.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import SystemRandom
from typing import Any
from urllib.parse import urlencode

import orjson

from osbench.common.clock import SystemClock
from osbench.common.cloud.account import Account
from osbench.common.cloud.catalogue import official_type
from osbench.common.cloud.contract import CallFailed, Exchange, Transport, TransportOptions
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod, as_user
from osbench.common.cloud.curl import CurlTransport
from osbench.common.cloud.identity import Token
from osbench.common.cloud.microversion import negotiate
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.route import Route
from osbench.common.cloud.session import DiscardedCalls, Session
from osbench.common.error import CloudError
from osbench.common.job import CloudAccess, Endpoints, UserAccess

#: Deadlines of the first sign-in and of every later call, milliseconds. A command that meets a cloud that takes
#: connections and never answers must say so within 10 s, of which starting it and its processes takes two.
SIGN_IN_MS = 7_000
CALL_MS = 30_000

#: Answers after which the same may go well a moment later, and failures without an answer of that kind.
TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
TRANSIENT_FAILURES = frozenset({"refused", "connect_timeout", "timeout", "reset", "cut"})
#: Pauses before the further tries of a call, seconds, and the methods that may be tried again (RFC 9110, 9.2.2).
PAUSES_S = (0.25, 0.5, 1.0, 2.0)
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
#: Any success is what was asked for.
SUCCESS = frozenset(range(200, 300))

Query = Mapping[str, str] | Iterable[tuple[str, str]]


def is_transient(failed: CallFailed) -> bool:
    """Whether the same call may go well a moment later."""
    return failed.status in TRANSIENT_STATUSES or (failed.status == 0 and failed.kind in TRANSIENT_FAILURES)


class PatientSession(Session):
    """A session for work outside the load: what may be repeated is, a few times, when it fails in a passing way.

    The load itself never repeats anything unasked; there a failure is what is to be known.
    """

    __slots__ = ()

    async def call(self, route: Route, path: str, body: bytes | None = None, **options: Any) -> Exchange:
        for pause_s in PAUSES_S:
            try:
                return await super().call(route, path, body, **options)
            except CallFailed as failed:
                if route.method not in REPEATABLE or not is_transient(failed):
                    raise
            await asyncio.sleep(pause_s)
        return await super().call(route, path, body, **options)


class CloudView:
    """A cloud as one signed-in identity sees it.

    Args:
        account: signed in. access: the same for workers. token: facts of its sign-in.
        transport: shared by all views of the cloud.
    """

    def __init__(self, account: Account, access: UserAccess, token: Token, transport: Transport) -> None:
        self.account = account
        self.access = access
        self.token = token
        self._transport = transport
        self._ids = RequestIds(str(uuid.uuid4()))
        # One sink for all calls: its count makes every request id another one.
        self._session = PatientSession(account, transport, DiscardedCalls(), self._ids, total_timeout_ms=CALL_MS)

    @property
    def session(self) -> Session:
        """For the thin clients."""
        return self._session

    @property
    def cloud_access(self) -> CloudAccess:
        """How workers reach this cloud."""
        credentials = self.account.credentials
        return CloudAccess(
            cacert=credentials.cacert,
            insecure=credentials.is_insecure,
            region=credentials.region,
            interface=credentials.interface,
        )

    @property
    def is_admin(self) -> bool:
        """Whether the identity has the role `admin` where it signed in."""
        return any(role.lower() == "admin" for role in self.token.roles)

    def has(self, service: str) -> bool:
        """Whether the catalogue has the service, under whatever alias."""
        return official_type(service) in self.account.urls

    async def call(
        self, method: str, service: str, path: str, *, query: Query = (), body: Mapping[str, Any] | None = None
    ) -> Any:
        """Make a call.

        Args:
            method: in capitals. service: official service type.
            path: below the service's URL, e.g. `/servers`.
            query: quoted here. body: sent as JSON.

        Returns:
            The answer's JSON; None if it has no body.

        Raises:
            CallFailed: any other answer than a success, or none.
            CloudError: the cloud has no such service.
        """
        asked = urlencode(list(query.items() if isinstance(query, Mapping) else query))
        data = None if body is None else orjson.dumps(body)
        route = Route(service, method, path, SUCCESS)
        exchange = await self._session.call(route, f"{path}?{asked}" if asked else path, data)
        try:
            return orjson.loads(exchange.body) if exchange.body else None
        except orjson.JSONDecodeError as error:
            raise CallFailed(route.name, status=exchange.status, kind="bad_body", message=str(error)) from error

    async def sign_in(self, credentials: CloudCredentials) -> "CloudView":
        """The same cloud as another identity sees it.

        Raises:
            CallFailed: Keystone gave no token. CloudError: its catalogue does not fit.
        """
        return await _signed_in(credentials, self._transport, CALL_MS, PAUSES_S)

    async def sign_in_member(self, user_id: str, password: str, project_id: str) -> UserAccess:
        """Sign a user of a project in, for workers to act as.

        Raises:
            CallFailed: Keystone gave no token.
        """
        fields = {"user_id": user_id, "password": password, "project_id": project_id, "method": SignInMethod.PASSWORD}
        return (await self.sign_in(as_user(self.account.credentials, fields))).access

    async def sign_in_again(self, user: UserAccess) -> "CloudView":
        """The cloud as a user of a former job sees it.

        Raises:
            CallFailed: Keystone gave no token.
        """
        fields = {
            "user_id": user.user_id,
            "password": user.password,
            "project_id": user.project_id,
            "method": SignInMethod.PASSWORD,
        }
        return await self.sign_in(as_user(self.account.credentials, fields))


@asynccontextmanager
async def open_cloud(credentials: CloudCredentials) -> AsyncIterator[CloudView]:
    """Sign in to a cloud; its connections are closed at the end.

    Raises:
        CloudError: it is not there, refuses the sign-in, or is no Keystone v3; says which.
        InputError: a certificate file is not there, or a service lacks the microversion that is asked for.
    """
    options = TransportOptions(
        ca_file=credentials.cacert or None,
        is_insecure=credentials.is_insecure,
        client_cert_file=credentials.cert or None,
        client_key_file=credentials.key or None,
    )
    transport = CurlTransport(SystemClock(), options)
    try:
        yield await sign_in_over(transport, credentials)
    finally:
        await transport.aclose()


async def sign_in_over(transport: Transport, credentials: CloudCredentials) -> CloudView:
    """Sign in to a cloud over a transport of the caller's; raises as `open_cloud`."""
    try:
        cloud = await _signed_in(credentials, transport, SIGN_IN_MS, PAUSES_S[:2])
    except CallFailed as failed:
        raise sign_in_error(credentials, failed) from failed
    chosen = await negotiate(cloud.session, credentials.microversions)
    if chosen != credentials.microversions:
        cloud = await _signed_in(replace(credentials, microversions=chosen), transport, CALL_MS, PAUSES_S)
    return cloud


def sign_in_error(credentials: CloudCredentials, failed: CallFailed) -> CloudError:
    """Why a sign-in failed, for people."""
    url = credentials.auth_url
    who = credentials.username or credentials.user_id or credentials.application_credential_id or "the token's user"
    project = credentials.project_name or credentials.project_id
    scope = f" in project {project!r}" if project else ""
    if failed.status == 0:
        return CloudError(
            f"no cloud answers at {url}: {failed.kind}: {failed.message}; look at auth_url and the network"
        )
    if failed.status in (401, 403):
        return CloudError(
            f"the cloud at {url} refused the sign-in of {who!r}{scope}: {failed.message or failed.kind}; look at the user "
            f"name, the password, the project and their domains"
        )
    if failed.status in (300, 404) or failed.kind == "bad_body":
        return CloudError(
            f"there is no Keystone v3 at {url}: {failed.kind}: {failed.message}; auth_url is its URL up to and with /v3"
        )
    return CloudError(f"the cloud at {url} could not sign {who!r} in: {failed.kind}: {failed.message}")


async def _signed_in(
    credentials: CloudCredentials, transport: Transport, timeout_ms: int, pauses_s: Sequence[float]
) -> CloudView:
    account = Account(credentials, SystemClock(), SystemRandom())
    ids = RequestIds(str(uuid.uuid4()))
    session = Session(account, transport, DiscardedCalls(), ids, total_timeout_ms=timeout_ms)
    token = await _token(session, pauses_s)
    account.adopt(token)
    access = UserAccess(
        auth_url=credentials.auth_url,
        username=token.user_name or credentials.username,
        password=credentials.password,
        user_id=token.user_id,
        project_id=token.project_id,
        project_name=token.project_name,
        user_domain=credentials.user_domain_name or credentials.user_domain_id or "Default",
        project_domain=credentials.project_domain_name or credentials.project_domain_id or "Default",
        token=token.value,
        expires_at=token.expires_at,
        endpoints=Endpoints(urls=account.urls, microversions=dict(account.microversions)),
    )
    return CloudView(account, access, token, transport)


async def _token(session: Session, pauses_s: Sequence[float]) -> Token:
    """Sign in; again after each pause if Keystone answers that it cannot now. One that is not there is not waited for."""
    for pause_s in pauses_s:
        try:
            return await session.sign_in()
        except CallFailed as failed:
            if failed.kind not in ("reset", "cut") and failed.status not in TRANSIENT_STATUSES:
                raise
        await asyncio.sleep(pause_s)
    return await session.sign_in()
