"""The coordinator's hold of its contexts process: requests out, what becomes of them in.

Rules: the process is started with nothing on its command line but its module. Cancelling a request ends it there too. If
the process dies, every request under way fails, and the next one starts a new process.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Protocol

import msgspec

from osbench.common.error import AbortedError, CloudError, InputError, OsbenchError, ProtocolError
from osbench.common.framing import pack_frame
from osbench.coordinator.child_process import let_go, start_child
from osbench.coordinator.contexts.messages import (
    Cancel,
    CleanUp,
    CleanUpDone,
    CloudResource,
    FromContexts,
    Gone,
    Intended,
    Made,
    Progress,
    Recorded,
    Refused,
    SetUp,
    SetUpDone,
    ToContexts,
    read_from_contexts,
)

#: How long the process may take to end once its input is closed, seconds; it has nothing to finish then.
LEAVE_S = 5.0


class Ledger(Protocol):
    """Where the coordinator keeps what was made; each returns when that is durable."""

    async def intended(self, resources: tuple[CloudResource, ...]) -> None:
        """Record these: they will be made next."""
        ...

    async def made(self, resources: tuple[CloudResource, ...]) -> None:
        """Add their ids."""
        ...

    async def gone(self, resources: tuple[CloudResource, ...]) -> None:
        """Forget these."""
        ...


class _Pending:
    """A request under way in a process."""

    def __init__(
        self, process: asyncio.subprocess.Process, ledger: Ledger, progress: Callable[[Progress], None]
    ) -> None:
        self.process = process
        self.ledger = ledger
        self.progress = progress
        self.events: asyncio.Queue[FromContexts | None] = asyncio.Queue()


class ContextsProcess:
    """A contexts process, started when first needed. Bound to one event loop."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        is_running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and is_running else None

    async def set_up(
        self, order: SetUp, ledger: Ledger, progress: Callable[[Progress], None] = lambda _: None
    ) -> SetUpDone:
        """Set the contexts of a run up; `order.request` is filled in here.

        Raises:
            InputError: an argument or a context does not fit the cloud, e.g. there is no such image.
            CloudError: it failed. In both cases what it had made was removed; the message names what could not be.
        """
        answer = await self._ask(order, ledger, progress)
        assert isinstance(answer, SetUpDone), f"contexts process answered a set-up with {type(answer).__name__}"
        return answer

    async def clean_up(
        self, order: CleanUp, ledger: Ledger, progress: Callable[[Progress], None] = lambda _: None
    ) -> CleanUpDone:
        """Remove all of a run, a task, or all; `order.request` is filled in here.

        Raises:
            CloudError: the cloud could not even be asked.
        """
        answer = await self._ask(order, ledger, progress)
        assert isinstance(answer, CleanUpDone), f"contexts process answered a clean-up with {type(answer).__name__}"
        return answer

    async def close(self) -> None:
        """Let the process go: it cleans up nothing. Requests under way fail."""
        if self._process is None:
            return
        await let_go(self._process, LEAVE_S)
        if self._reader is not None:
            await self._reader

    async def _ask(
        self, order: SetUp | CleanUp, ledger: Ledger, progress: Callable[[Progress], None]
    ) -> SetUpDone | CleanUpDone:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await self._start()
            process = self._process
        number = next(self._numbers)
        pending = self._pending[number] = _Pending(process, ledger, progress)
        try:
            await _send(process, msgspec.structs.replace(order, request=number))
            while True:
                answer = await _next(number, pending)
                if answer is not None:
                    return answer
        except asyncio.CancelledError:
            _write(process, Cancel(request=number))
            raise
        finally:
            del self._pending[number]

    async def _start(self) -> asyncio.subprocess.Process:
        process = await start_child("osbench.coordinator.contexts")
        assert process.stdout is not None
        self._reader = asyncio.create_task(self._read(process, process.stdout))
        return process

    async def _read(self, process: asyncio.subprocess.Process, stdout: asyncio.StreamReader) -> None:
        try:
            while (message := await read_from_contexts(stdout)) is not None:
                pending = self._pending.get(message.request)
                if pending is not None:
                    pending.events.put_nowait(message)
        except ProtocolError:
            process.kill()
        await process.wait()
        for pending in self._pending.values():
            if pending.process is process:
                pending.events.put_nowait(None)


async def _next(number: int, pending: _Pending) -> SetUpDone | CleanUpDone | None:
    """Take one event of a request; its answer if that was it."""
    event = await pending.events.get()
    match event:
        case None:
            raise CloudError(
                f"the contexts process ended unasked (exit code {pending.process.returncode}); see its log"
            )
        case Progress():
            pending.progress(event)
        case Intended():
            await pending.ledger.intended(event.resources)
            await _send(pending.process, Recorded(request=number, mark=event.mark))
        case Made():
            await pending.ledger.made(event.resources)
        case Gone():
            await pending.ledger.gone(event.resources)
        case Refused():
            raise _error(event)
        case SetUpDone() | CleanUpDone():
            return event
    return None


async def _send(process: asyncio.subprocess.Process, message: ToContexts) -> None:
    _write(process, message)
    assert process.stdin is not None
    try:
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # the reader meets the end of the process and says so


def _write(process: asyncio.subprocess.Process, message: ToContexts) -> None:
    assert process.stdin is not None
    process.stdin.write(pack_frame(message))


def _error(refused: Refused) -> OsbenchError:
    known = {"InputError": InputError, "AbortedError": AbortedError}
    message = refused.message
    if refused.leftovers:
        message += "; left on the cloud: " + ", ".join(str(leftover) for leftover in refused.leftovers[:20])
    return known.get(refused.error, CloudError)(message)
