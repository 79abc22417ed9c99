"""Membership: inviting agents, taking their keys away, and the key by which they know their coordinator.

Rules: the store is all that is written, so these work with or without a running coordinator, which looks at it each second.
The coordinator's secret key is in a file of its own beside the store, made when it is first needed and never replaced:
every agent knows the coordinator by it.
"""

import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from osbench.common.agent_name import check_agent_name
from osbench.common.clock import NS_PER_S, Clock
from osbench.common.curve import KeyPair, load_key_pair, make_key_file
from osbench.common.error import InputError
from osbench.common.invitation import Invitation, check_host, make_secret, secret_digest
from osbench.coordinator.store.contract import AgentKeys

KEY_FILE = "coordinator.key"
MAX_MINUTES = 7 * 24 * 60.0
#: Addresses of no host (RFC 5737, RFC 3849): nothing is sent there, the system only says from where it would.
NOBODY_4, NOBODY_6 = "192.0.2.1", "2001:db8::1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What was taken away: a key that was active, and how many invitations that were not used yet."""

    had_key: bool
    invitations: int


def server_key(home: Path) -> KeyPair:
    """The coordinator's keys, made if there are none.

    Raises:
        InputError: the file can be read by others, holds something else, or cannot be made.
    """
    path = home / KEY_FILE
    try:
        return load_key_pair(path) or make_key_file(path)
    except OSError as error:
        raise InputError(f"key file {path} cannot be made: {error.strerror}") from error


def invite(
    store: AgentKeys, server: KeyPair, name: str, *, host: str, port: int, minutes: float, clock: Clock
) -> Invitation:
    """Invite a host to become agent `name`.

    Args:
        server: keys of the coordinator. host, port: where the host finds the enrolment channel.
        minutes: how long the invitation is good, more than 0, at most MAX_MINUTES.

    Raises:
        InputError: no name of an agent, no host, or too long a time.
    """
    check_agent_name(name)
    check_host(host, "address")
    if not 0 < minutes <= MAX_MINUTES:
        raise InputError(f"{minutes:g} minutes: an invitation is good for more than 0 and at most {MAX_MINUTES:g}")
    if not 1 <= port <= 65_535:
        raise InputError(f"enrolment port {port} must be 1 to 65535: an invitation names the port to come to")
    invitation = Invitation(name=name, host=host, port=port, server_key=server.public, secret=make_secret())
    expires_ns = clock.wall_ns() + round(minutes * 60 * NS_PER_S)
    store.invite_create(digest=secret_digest(invitation.secret), name=name, expires_ns=expires_ns)
    return invitation


def revoke(store: AgentKeys, name: str, clock: Clock) -> Revoked:
    """Take away whatever agent `name` could come in with.

    Raises:
        InputError: it has nothing; the message says who has.
    """
    open_invitations = [invite for invite in store.invite_list(active_ns=clock.wall_ns()) if invite.name == name]
    revoked = Revoked(had_key=store.agent_key_revoke(name) > 0, invitations=len(open_invitations))
    if not revoked.had_key and not revoked.invitations:
        names = sorted({key.name for key in store.agent_key_list()})
        has = f"; enrolled are {', '.join(names[:20])}" if names else "; no agent is enrolled"
        raise InputError(f"agent {name!r:.80} has no key and no open invitation{has}")
    return revoked


def own_address() -> str:
    """The address under which this host is seen by others, as far as the system can tell.

    Raises:
        InputError: it has none but loopback.
    """
    for family, nobody in ((socket.AF_INET, NOBODY_4), (socket.AF_INET6, NOBODY_6)):
        try:
            with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
                probe.connect((nobody, 9))
                address = str(probe.getsockname()[0])
        except OSError:
            continue
        if not address.startswith("127.") and address not in ("::1", "0.0.0.0", "::"):
            return address
    raise InputError("this host has no address but loopback: say with --address how agents reach it")
