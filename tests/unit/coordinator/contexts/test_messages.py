import asyncio

import pytest

from osbench.common.error import ProtocolError
from osbench.coordinator.contexts.messages import (
    LENGTH,
    MAX_MESSAGE_BYTES,
    CleanUp,
    CloudResource,
    Made,
    frame,
    read_from_contexts,
    read_to_contexts,
)


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_messages_come_out_as_they_went_in() -> None:
    async def there_and_back() -> None:
        order = CleanUp(
            request=7, credentials={"password": "x"}, task="t", recorded=(CloudResource(kind="a", name="b"),)
        )
        made = Made(request=7, resources=())

        assert await read_to_contexts(stream(frame(order))) == order
        assert await read_from_contexts(stream(frame(made))) == made

    asyncio.run(there_and_back())


def test_the_end_of_the_pipe_is_none_also_within_a_message() -> None:
    async def cut() -> None:
        assert await read_to_contexts(stream(b"")) is None
        assert await read_to_contexts(stream(frame(CleanUp(request=1, credentials={}))[:-1])) is None

    asyncio.run(cut())


@pytest.mark.parametrize("data", [LENGTH.pack(MAX_MESSAGE_BYTES + 1), LENGTH.pack(3) + b"\x93\x01\x02"])
def test_what_does_not_fit_is_refused(data: bytes) -> None:
    async def read() -> None:
        await read_to_contexts(stream(data))

    with pytest.raises(ProtocolError, match="message"):
        asyncio.run(read())
