"""The clients an iteration is given: made per iteration and service, on accounts and a transport that last.

Rules: making a session and a client takes about a microsecond; what is dear (token, header lines, connections) is shared.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from osbench.common.clock import Clock
from osbench.common.cloud.account import Account
from osbench.common.cloud.cinder import Cinder
from osbench.common.cloud.contract import CallFailed, Transport, TransportOptions
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod
from osbench.common.cloud.glance import Glance
from osbench.common.cloud.keystone import Keystone
from osbench.common.cloud.neutron import Neutron
from osbench.common.cloud.nova import Nova
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.service_error import generalised
from osbench.common.cloud.session import Session
from osbench.common.error import InputError
from osbench.common.job import CloudAccess, Job, UserAccess
from osbench.common.nearest import did_you_mean
from osbench.common.outcome import Outcome
from osbench.common.record import CallSink

#: The clients by the name scenarios ask for them.
CLIENTS: dict[str, Callable[[Session], Any]] = {
    "keystone": Keystone,
    "nova": Nova,
    "glance": Glance,
    "neutron": Neutron,
    "cinder": Cinder,
}


class IterationSink(CallSink, Protocol):
    """An iteration as the clients see it: a sink that knows its index."""

    index: int


def transport_options(access: CloudAccess) -> TransportOptions:
    """How a job's cloud is reached."""
    return TransportOptions(ca_file=access.cacert or None, is_insecure=access.insecure)


def credentials_of_user(user: UserAccess, access: CloudAccess) -> CloudCredentials:
    """A job's user as credentials: by password, or else by the token made in prepare, which nothing renews."""
    return CloudCredentials(
        auth_url=user.auth_url,
        method=SignInMethod.PASSWORD if user.password else SignInMethod.TOKEN,
        token="" if user.password else user.token,
        username=user.username,
        user_id=user.user_id,
        password=user.password,
        user_domain_name=user.user_domain,
        project_id=user.project_id,
        project_name=user.project_name,
        project_domain_name=user.project_domain,
        region=access.region,
        interface=access.interface,
        cacert=access.cacert,
        is_insecure=access.insecure,
    )


def account_of_user(user: UserAccess, access: CloudAccess, clock: Clock, random: Random) -> Account:
    """A job's user, with the token made in prepare."""
    return Account(
        credentials_of_user(user, access),
        clock,
        random,
        urls=user.endpoints.urls,
        microversions=user.endpoints.microversions,
        token=user.token,
        expires_at=user.expires_at,
    )


class CloudClients:
    """Service clients of one job in one process.

    Args:
        job: whose users.
        transport: bound to the running loop; closed by `close`.
        clock: the one iterations are stamped with.
        random: draws the moments of early renewal.
    """

    def __init__(self, job: Job, transport: Transport, clock: Clock, random: Random) -> None:
        self._job = job
        self._transport = transport
        self._clock = clock
        self._random = random
        self._ids = RequestIds(job.plan.run)
        #: by identity: users are values and hashing one costs more than a call.
        self._accounts: dict[int, tuple[UserAccess, Account]] = {}

    def account(self, user: UserAccess) -> Account:
        """The user's standing, made when it is first asked for."""
        known = self._accounts.get(id(user))
        if known is None:
            # The user is kept beside its account, so that its id stays its own.
            account = account_of_user(user, self._job.cloud, self._clock, self._random)
            known = self._accounts[id(user)] = (user, account)
        return known[1]

    def session(self, user: UserAccess, iteration: IterationSink) -> Session:
        """The session of a user within an iteration."""
        return Session(self.account(user), self._transport, iteration, self._ids, iteration.index)

    def client(self, service: str, user: UserAccess | None, iteration: IterationSink) -> Any:
        """The client of a service.

        Raises:
            InputError: no such client, or nobody to sign in as.
        """
        make = CLIENTS.get(service)
        if make is None:
            raise InputError(
                f"there is no client {service!r}{did_you_mean(service, CLIENTS)} (there are {', '.join(CLIENTS)})"
            )
        if user is None:
            user = self._job.admin
        if user is None:
            raise InputError(
                f"client {service!r} needs a user: add the context `users` or name users in the deployment"
            )
        return make(self.session(user, iteration))

    def outcome_of(self, error: BaseException) -> tuple[Outcome, str, str]:
        """What an exception means that ended an iteration: outcome, kind, message without secrets."""
        return outcome_of(error)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def outcome_of(error: BaseException) -> tuple[Outcome, str, str]:
    """Outcome, kind and message of a failed call, of a scenario that gave up, or of anything else by its type."""
    if isinstance(error, CallFailed):
        return (Outcome.UNKNOWN if error.is_unknown else Outcome.FAILED), error.kind, str(error)
    return Outcome.FAILED, type(error).__name__, generalised(str(error))
