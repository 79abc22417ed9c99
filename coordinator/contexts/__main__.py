"""Entry of the contexts process; its standard input and output are the pipe to the coordinator."""

import asyncio
import logging
import os
import sys

import uvloop

from osbench.common.cloud.administration import open_cloud
from osbench.common.framing import pack_frame
from osbench.coordinator.contexts.messages import FromContexts
from osbench.coordinator.contexts.server import ContextsServer


async def serve() -> None:
    """Serve on standard input and output until the input ends."""
    # Whatever else writes to standard output would break the framing: from here on that is standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, answers)

    def say(message: FromContexts) -> None:
        transport.write(pack_frame(message))

    await ContextsServer(open_cloud, say).serve(reader)
    transport.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s contexts %(levelname)s %(name)s: %(message)s")
    uvloop.run(serve())
