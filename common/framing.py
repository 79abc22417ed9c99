"""Messages between a process and its child over pipes: a length (u32, little-endian), then msgpack of a typed value.

Rules: such a pipe is private to the two processes, so secrets may go over it; they never go over a command line. The end
of the pipe is the end of the other process, and is an answer (None), not an error.
"""

import asyncio
import os
import struct
from typing import Any

import msgspec

from osbench.common.error import ProtocolError

LENGTH = struct.Struct("<I")
MAX_FRAME_BYTES = 64 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()


def pack_frame(message: msgspec.Struct) -> bytes:
    """A message with its length before it.

    Raises:
        ProtocolError: longer than a frame may be.
    """
    data = _encoder.encode(message)
    if len(data) > MAX_FRAME_BYTES:
        raise ProtocolError(f"message of {len(data)} bytes for a pipe; at most {MAX_FRAME_BYTES}")
    return LENGTH.pack(len(data)) + data


async def read_frame(stream: asyncio.StreamReader, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:
    """The next message, or None at the end of the pipe.

    Raises:
        ProtocolError: longer than a frame may be, or not one of the decoder's types.
    """
    try:
        (size,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
        if size > MAX_FRAME_BYTES:
            raise ProtocolError(f"message of {size} bytes on a pipe; at most {MAX_FRAME_BYTES}")
        data = await stream.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    return _decode(data, decoder)


def read_frame_blocking(fd: int, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:
    """The next message of a file descriptor, or None at its end; blocks.

    Raises:
        ProtocolError: as `read_frame`.
    """
    fixed = _read_exactly(fd, LENGTH.size)
    if fixed is None:
        return None
    (size,) = LENGTH.unpack(fixed)
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(f"message of {size} bytes on a pipe; at most {MAX_FRAME_BYTES}")
    data = _read_exactly(fd, size)
    return None if data is None else _decode(data, decoder)


def _read_exactly(fd: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(fd, size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _decode(data: bytes, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"message on a pipe refused: {error!s:.300}") from error
