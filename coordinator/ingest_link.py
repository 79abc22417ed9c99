"""The coordinator's hold of its ingest process: started with nothing on its command line, ended with its pipe."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from osbench.common.error import AgentError
from osbench.common.framing import pack_frame, read_frame
from osbench.coordinator.child_process import let_go, start_child
from osbench.coordinator.ingest_messages import FromIngest, IngestKeys, IngestReady, IngestSetup, from_ingest

log = logging.getLogger(__name__)

#: How long the process may take to bind its channel, and to end.
READY_S = 20.0
LEAVE_S = 10.0
RESTARTS = 5


class IngestLink:
    """An ingest process, started again when it ends unasked.

    Args:
        setup: what the process is told.
    """

    def __init__(self, setup: IngestSetup) -> None:
        self._setup = setup
        self._process: asyncio.subprocess.Process | None = None
        #: Where the bulk channel is bound, as the process says; empty before it is.
        self.endpoint = ""

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def set_keys(self, names: Mapping[str, str]) -> None:
        """Have the process let in these agents, and no other, from now on: also one that is started again.

        Args:
            names: agents by public key.
        """
        self._setup = msgspec.structs.replace(self._setup, names=dict(names))
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        if self._process.stdin.is_closing():
            return
        try:
            self._process.stdin.write(pack_frame(IngestKeys(names=dict(names))))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return  # It has ended; the one that is started in its place is told at its start.

    async def start(self) -> None:
        """Start the process and wait until its channel is bound.

        Raises:
            AgentError: it did not come up; its own log says why.
        """
        process = await start_child("osbench.coordinator.ingest_process")
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        process.stdin.write(pack_frame(self._setup))
        try:
            async with asyncio.timeout(READY_S):
                ready = await read_frame(process.stdout, from_ingest)
        except TimeoutError:
            ready = None
        if not isinstance(ready, IngestReady):
            if process.returncode is None:
                process.kill()
            raise AgentError("the ingest process did not come up; its message stands above")
        self.endpoint = ready.endpoint

    async def serve(self, on_message: Callable[[FromIngest], None], on_restart: Callable[[], Awaitable[None]]) -> None:
        """Hand on what the process says, for ever; when it ends unasked, start it again.

        Args:
            on_restart: called after a restart, for what was committed and not told any more.

        Raises:
            AgentError: it ends again and again, or does not come up.
        """
        for _ in range(RESTARTS):
            assert self._process is not None, "an ingest process is started before it is listened to"
            assert self._process.stdout is not None
            while (message := await read_frame(self._process.stdout, from_ingest)) is not None:
                on_message(message)
            status = await self._process.wait()
            log.error("the ingest process ended unasked (status %d) and is started again", status)
            await self.start()
            await on_restart()
        raise AgentError(f"the ingest process ended {RESTARTS} times; what is not stored stays with the agents")

    async def close(self) -> None:
        """Let the process go."""
        if self._process is not None:
            await let_go(self._process, LEAVE_S)
