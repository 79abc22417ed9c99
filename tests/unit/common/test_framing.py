"""Messages over pipes: whole, bounded, and None where the other process is gone."""

import asyncio
import os
from typing import Any

import msgspec
import pytest

from osbench.common import framing
from osbench.common.error import ProtocolError
from osbench.common.framing import LENGTH, MAX_FRAME_BYTES, pack_frame, read_frame, read_frame_blocking


class Word(msgspec.Struct, frozen=True, tag="word"):
    text: str


DECODER: Any = msgspec.msgpack.Decoder(Word)


def read_async(data: bytes) -> list[Word | None]:
    """All messages of a stream, and the None at its end."""

    async def read() -> list[Word | None]:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        words: list[Word | None] = []
        while not words or words[-1] is not None:
            words.append(await read_frame(stream, DECODER))
        return words

    return asyncio.run(read())


def read_blocking(data: bytes) -> list[Word | None]:
    """The same from a file descriptor; `data` must fit into 8 KiB, all that a pipe holds where a user has many."""
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        words: list[Word | None] = []
        while not words or words[-1] is not None:
            words.append(read_frame_blocking(reading, DECODER))
        return words
    finally:
        os.close(reading)


readers = pytest.mark.parametrize("read", [read_async, read_blocking])


@readers
def test_messages_come_out_as_they_went_in(read: Any) -> None:
    assert read(pack_frame(Word("one")) + pack_frame(Word("two"))) == [Word("one"), Word("two"), None]


@readers
@pytest.mark.parametrize("left", [0, 3, LENGTH.size, LENGTH.size + 1])
def test_the_end_of_the_pipe_is_none_also_within_a_message(left: int, read: Any) -> None:
    """A process that was killed while it wrote has said nothing, and is no error of its reader."""
    assert read(pack_frame(Word("cut"))[:left]) == [None]


@readers
@pytest.mark.parametrize(
    "data",
    [
        LENGTH.pack(MAX_FRAME_BYTES + 1),
        LENGTH.pack(3) + b"\x93\x01\x02",
        LENGTH.pack(1) + b"\xc1",
        LENGTH.pack(4_000) + b"\x91" * 4_000,
    ],
    ids=["too long", "another type", "not msgpack", "too deep"],
)
def test_what_does_not_fit_is_refused(data: bytes, read: Any) -> None:
    with pytest.raises(ProtocolError, match=r"message of .* bytes on a pipe|message on a pipe refused"):
        read(data)


def test_a_message_too_long_is_refused_where_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent, it would end the other process instead of the one that made it."""
    monkeypatch.setattr(framing, "MAX_FRAME_BYTES", 10)
    with pytest.raises(ProtocolError, match="at most 10"):
        pack_frame(Word("longer than ten"))
