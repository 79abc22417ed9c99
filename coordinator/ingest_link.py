"""The coordinator's hold of its ingest process: started with nothing on its command line, ended with its pipe."""

import asyncio
import logging
import sys
from collections.abc import Callable

from osbench.common.error import AgentError
from osbench.common.framing import pack_frame, read_frame
from osbench.coordinator.ingest_messages import FromIngest, IngestReady, IngestSetup, from_ingest

log = logging.getLogger(__name__)

#: How long the process may take to bind its channel, and to end.
READY_S = 20.0
LEAVE_S = 10.0


class IngestLink:
    """A running ingest process.

    Attributes:
        pid: of the process.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, setup: IngestSetup) -> "IngestLink":
        """Start the process and wait until its channel is bound.

        Raises:
            AgentError: it did not come up; its own log says why.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "osbench.coordinator.ingest_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**26,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pack_frame(setup))
        try:
            async with asyncio.timeout(READY_S):
                ready = await read_frame(process.stdout, from_ingest)
        except TimeoutError:
            ready = None
        if not isinstance(ready, IngestReady):
            if process.returncode is None:
                process.kill()
            raise AgentError("the ingest process did not come up; its message stands above")
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def listen(self, on_message: Callable[[FromIngest], None]) -> None:
        """Hand on what the process says, until it ends.

        Raises:
            AgentError: it ended unasked.
        """
        assert self._process.stdout is not None
        while (message := await read_frame(self._process.stdout, from_ingest)) is not None:
            on_message(message)
        status = await self._process.wait()
        raise AgentError(f"the ingest process ended (status {status}); what is not stored stays with the agents")

    async def close(self) -> None:
        """Let the process go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
