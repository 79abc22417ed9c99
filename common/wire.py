"""Stage 7/10 · Bytes to messages and back: the one border between the two ends.

Rules: a control message is one frame, msgpack, at most `MAX_CONTROL_BYTES`; a batch is two frames, its header and its
body. Whatever does not fit is a ProtocolError that names what was wrong; the receiver logs it with its sender and goes
on. Past this border nothing is a dict and nothing is checked again.
"""

from typing import Any, TypeVar, cast

import msgpack
import msgspec

from osbench.common.error import ProtocolError
from osbench.common.messages import ToAgent, ToCoordinator, ToUplink
from osbench.common.record import MAX_BODY_BYTES, BatchHeader, decode_header

#: Of the frame around a message, not of what is said in it, which is negotiated (common/messages.common_protocol): hello,
#: welcome and refusal must be understood by peers that have no other word in common.
FRAME_VERSION = 1
MAX_CONTROL_BYTES = 16 * 1024 * 1024
MAX_HEADER_BYTES = 2_048
MAX_BATCH_BYTES = MAX_BODY_BYTES

Message = TypeVar("Message")

TO_COORDINATOR: Any = ToCoordinator
TO_AGENT: Any = ToAgent
TO_UPLINK: Any = ToUplink


def encode(message: msgspec.Struct) -> bytes:
    """A control message as bytes: the version of the frame, then the message with its tag."""
    return cast(bytes, msgpack.packb([FRAME_VERSION, msgspec.to_builtins(message, builtin_types=(bytes,))]))


def decode(frame: bytes, kind: Any) -> Any:
    """Bytes to one of the messages of a direction.

    Args:
        frame: one frame.
        kind: TO_COORDINATOR, TO_AGENT or TO_UPLINK.

    Raises:
        ProtocolError: too long, not msgpack, of another version, or not one of these messages.
    """
    if len(frame) > MAX_CONTROL_BYTES:
        raise ProtocolError(f"control message of {len(frame)} bytes; at most {MAX_CONTROL_BYTES} are taken")
    try:
        parts = msgpack.unpackb(frame, strict_map_key=True, max_ext_len=0)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"control message is not msgpack: {error!r:.200}") from error
    if not isinstance(parts, list) or len(parts) != 2:
        raise ProtocolError(f"control message is not [version, message]: {parts!r:.80}")
    version, body = parts
    if version != FRAME_VERSION:
        raise ProtocolError(f"control message of frame version {version!r:.20}, this release reads {FRAME_VERSION}")
    try:
        return msgspec.convert(body, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"control message refused: {error!s:.300}") from error


def decode_batch_frames(frames: list[bytes]) -> tuple[BatchHeader, bytes, bytes]:
    """A batch as it came over the bulk channel: header, header bytes, body bytes.

    Raises:
        ProtocolError: not two frames, too long, or not a header of a known version.
    """
    if len(frames) != 2:
        raise ProtocolError(f"batch of {len(frames)} frames; it has two, header and body")
    header_bytes, body = frames
    if len(header_bytes) > MAX_HEADER_BYTES or len(body) > MAX_BATCH_BYTES:
        raise ProtocolError(
            f"batch of {len(header_bytes)} + {len(body)} bytes; at most {MAX_HEADER_BYTES} + {MAX_BATCH_BYTES}"
        )
    return decode_header(header_bytes), header_bytes, body
