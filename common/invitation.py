"""An invitation: the one line by which a host becomes an agent of a coordinator.

    osbench-invite:1:NAME:HOST:PORT:SERVERKEY:SECRET

    NAME the agent's; HOST, PORT of the enrolment socket, an IPv6 address in brackets; SERVERKEY the coordinator's public
    key, 64 hex digits; SECRET 64 hex digits, good once and for minutes

Rules: the line is a secret: it goes over standard input, never over a command line, and no message shows its last part.
"""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import blake2b

from osbench.common.agent_name import check_agent_name
from osbench.common.curve import key_as_hex, key_of_hex
from osbench.common.error import InputError

SECRET_BYTES = 32
MAX_LINE_CHARACTERS = 1_024

_PREFIX = "osbench-invite"
_VERSION = "1"
_LINE = re.compile(rf"{_PREFIX}:{_VERSION}:([^:]*):(\[[^\[\]]*\]|[^:\[\]]*):([^:]*):([^:]*):([^:]*)")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What the line says.

    Attributes:
        name: the agent's. host, port: of the enrolment socket; host without brackets. server_key: z85.
        secret: 32 random bytes.
    """

    name: str
    host: str
    port: int
    server_key: str
    secret: bytes = field(repr=False)

    def line(self) -> str:
        """The invitation as one line, without an end of line."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        key = key_as_hex(self.server_key)
        return f"{_PREFIX}:{_VERSION}:{self.name}:{host}:{self.port}:{key}:{self.secret.hex()}"


def make_secret() -> bytes:
    """A new secret, of the system's random source."""
    return secrets.token_bytes(SECRET_BYTES)


def secret_digest(secret: bytes) -> str:
    """What is kept of a secret: hex, from which nobody gets it back (it is random, so no salt and no slow hash)."""
    return blake2b(secret, digest_size=32, person=b"osbench-invite").hexdigest()


def check_host(host: str, what: str) -> str:
    """A host name or address as it was read from outside, without brackets.

    Raises:
        InputError: it is neither.
    """
    if _HOST.fullmatch(host) is None:
        raise InputError(f"{what} {host!r:.80} is no host name and no address")
    return host


def parse_invitation(line: str) -> Invitation:
    """Read the line; blanks around it do not matter.

    Raises:
        InputError: it is not such a line; the message names the part that is wrong, and never the secret.
    """
    text = line.strip()
    cure = "paste the whole line that `osbench-coordinator invite NAME` printed"
    if len(text) > MAX_LINE_CHARACTERS:
        raise InputError(f"{len(text)} characters are no invitation, at most {MAX_LINE_CHARACTERS} are one; {cure}")
    if not text:
        raise InputError(f"no invitation was given; {cure}")
    if not text.startswith(f"{_PREFIX}:"):
        raise InputError(f"an invitation begins with {_PREFIX}:, this one does not; {cure}")
    version = text.split(":")[1]
    if version != _VERSION:
        raise InputError(
            f"the invitation is of version {version!r:.20}, this release reads version {_VERSION}: "
            "install the coordinator's release here"
        )
    parts = _LINE.fullmatch(text)
    if parts is None:
        raise InputError(f"the invitation does not have its seven parts; {cure}")
    name, host, port, key, secret = parts.groups()
    check_agent_name(name)
    check_host(host.strip("[]"), "the invitation's host")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise InputError(f"the invitation's port {port!r:.20} must be 1 to 65535")
    return Invitation(
        name=name,
        host=host.strip("[]"),
        port=int(port),
        server_key=key_of_hex(key, "the invitation's server key"),
        secret=_secret(secret, cure),
    )


def _secret(digits: str, cure: str) -> bytes:
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(raw) != SECRET_BYTES or len(digits) != 2 * SECRET_BYTES:
        raise InputError(
            f"the invitation's secret has {len(digits)} characters, not {2 * SECRET_BYTES} hex digits; {cure}"
        )
    return raw
