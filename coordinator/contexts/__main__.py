"""Entry of the contexts process; its standard input and output are the pipe to the coordinator."""

import asyncio
import os
import sys

import uvloop

from osbench.common.cloud.administration import open_cloud
from osbench.common.framing import pack_frame
from osbench.common.logs import ENVIRONMENT_LEVEL, configure_child_logging
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
    # On the terminal of a local run, which sets no level, only what needs somebody's eye.
    configure_child_logging("contexts", {ENVIRONMENT_LEVEL: "WARNING", **os.environ})
    uvloop.run(serve())
