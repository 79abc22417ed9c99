import asyncio

from osbench.common.framing import pack_frame
from osbench.coordinator.contexts.messages import (
    CleanUp,
    CloudResource,
    Made,
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

        assert await read_to_contexts(stream(pack_frame(order))) == order
        assert await read_from_contexts(stream(pack_frame(made))) == made

    asyncio.run(there_and_back())
