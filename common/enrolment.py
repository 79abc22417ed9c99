"""What is said on the enrolment channel: a host asks to become an agent, and is told where its coordinator is, or why not.

Rules: the channel is CURVE with any client key, so the coordinator knows that the asker holds the key it would register;
the secret of an invitation says that it may. These three messages stay readable for every release, for ever: version 1 of
the frame, new fields with defaults. A message is one frame of at most `MAX_ENROLMENT_BYTES`.
"""

from typing import Any, cast

import msgpack
import msgspec

from osbench.common.error import ProtocolError
from osbench.common.invitation import SECRET_BYTES

FRAME_VERSION = 1
MAX_ENROLMENT_BYTES = 4_096


class Enrol(msgspec.Struct, frozen=True, kw_only=True, tag="enrol"):
    """Host to coordinator: may I be agent `name`?

    Attributes:
        secret: of the invitation.
        host: by which the asker reached the coordinator: what it is told back unless the coordinator advertises another.
        protocol_min, protocol: range of the protocol it speaks. version: its release.
    """

    name: str
    secret: bytes
    host: str
    protocol: int
    protocol_min: int
    version: str

    def __repr__(self) -> str:
        return f"Enrol(name={self.name!r}, host={self.host!r}, version={self.version!r})"


class Enrolled(msgspec.Struct, frozen=True, kw_only=True, tag="enrolled"):
    """Coordinator to host: the key is registered. `control`, `bulk`: ZeroMQ endpoints to connect to from now on."""

    name: str
    control: str
    bulk: str


class EnrolRefused(msgspec.Struct, frozen=True, kw_only=True, tag="enrol_refused"):
    """Coordinator to host: no, and why, for its user."""

    reason: str


_TO_COORDINATOR: Any = Enrol
_TO_HOST: Any = Enrolled | EnrolRefused


def encode_enrolment(message: Enrol | Enrolled | EnrolRefused) -> bytes:
    """A message as one frame."""
    return cast(bytes, msgpack.packb([FRAME_VERSION, msgspec.to_builtins(message, builtin_types=(bytes,))]))


def decode_enrol(frame: bytes) -> Enrol:
    """What a host asks.

    Raises:
        ProtocolError: not such a message; what it says of the content is safe to log.
    """
    asked = _decode(frame, _TO_COORDINATOR)
    assert isinstance(asked, Enrol)
    if len(asked.secret) != SECRET_BYTES:
        raise ProtocolError(f"secret of {len(asked.secret)} bytes; it has {SECRET_BYTES}")
    return asked


def decode_answer(frame: bytes) -> Enrolled | EnrolRefused:
    """What the coordinator answers.

    Raises:
        ProtocolError: not such a message.
    """
    answer = _decode(frame, _TO_HOST)
    assert isinstance(answer, Enrolled | EnrolRefused)
    return answer


def _decode(frame: bytes, kind: Any) -> Any:
    if len(frame) > MAX_ENROLMENT_BYTES:
        raise ProtocolError(f"enrolment message of {len(frame)} bytes; at most {MAX_ENROLMENT_BYTES} are taken")
    try:
        parts = msgpack.unpackb(frame, strict_map_key=True, max_ext_len=0)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        # Only the kind of the error: its text may show what was sent, and a secret with it.
        raise ProtocolError(f"enrolment message is not msgpack ({type(error).__name__})") from None
    if not isinstance(parts, list) or len(parts) != 2 or parts[0] != FRAME_VERSION:
        raise ProtocolError(f"enrolment message is not [{FRAME_VERSION}, message]")
    try:
        return msgspec.convert(parts[1], kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"enrolment message refused: {error!s:.200}") from None
