"""Asking a task under way to end: by Ctrl-C or by closing the terminal here, or by `osbench task abort` from anywhere,
through the store.

Rules: the first request drains, the second stops, the third gives up on a clean end. Requests that come before the task
can take them are kept. In the store a request is the task's status: draining asks once, aborting asks for the stop.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from osbench.common.error import StoreError
from osbench.coordinator.progress import RunControls
from osbench.coordinator.task_state import Task, TaskStatus

T = TypeVar("T")

#: How often the store is asked whether somebody wants the task to end.
POLL_S = 1.0
#: Requests after which the task is first drained, then stopped, then cancelled.
DRAIN, STOP, CANCEL = 1, 2, 3

DRAINING_WORDS = (
    "Draining: nothing new is started; what is in flight may end, then all is cleaned up. Again to stop now."
)
STOPPING_WORDS = "Stopping: what is in flight is ended, then all is cleaned up. Again to leave everything as it is."
CANCELLED_WORDS = "Left as it is; `osbench task resume` goes on from here, and cleans up."


class TaskSource(Protocol):
    """What of the store is asked here."""

    def task_get(self, task: str) -> Task: ...


class Interruption:
    """Counts requests to end and passes them on."""

    def __init__(self, announce: Callable[[str], None], cancel: Callable[[], object]) -> None:
        #: How often the end was asked for.
        self.requests = 0
        self._announce = announce
        self._cancel = cancel
        self._controls: RunControls | None = None

    def attach(self, controls: RunControls) -> None:
        """From now on the task can be asked; requests kept so far are passed on."""
        self._controls = controls
        if self.requests >= STOP:
            controls.stop()
        elif self.requests >= DRAIN:
            controls.drain()

    def request(self) -> None:
        """Ask once more."""
        self.reach(self.requests + 1)

    def reach(self, requests: int) -> None:
        """Ask until the end was asked for so often; nothing if it was. Who asks for the stop at once need not drain."""
        if requests <= self.requests:
            return
        self.requests = requests
        if requests == DRAIN:
            self._announce(DRAINING_WORDS)
            if self._controls:
                self._controls.drain()
        elif requests == STOP:
            self._announce(STOPPING_WORDS)
            if self._controls:
                self._controls.stop()
        elif requests == CANCEL:
            self._announce(CANCELLED_WORDS)
            self._cancel()


#: What a status of the task asks for. ABORTED is written by whoever ends a task that does not run yet.
ASKED_BY_STATUS = {TaskStatus.DRAINING: DRAIN, TaskStatus.ABORTING: STOP, TaskStatus.ABORTED: DRAIN}


async def follow_store(
    tasks: TaskSource,
    task: str,
    interruption: Interruption,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Pass on what the store asks of the task, until cancelled."""
    while True:
        await sleep(POLL_S)
        try:
            status = (await asyncio.to_thread(tasks.task_get, task)).status
        except StoreError:
            continue  # A database that is away for a while must not end the task, nor the following.
        interruption.reach(ASKED_BY_STATUS.get(status, 0))


async def run_interruptible(
    run: Callable[[Callable[[RunControls], None]], Coroutine[Any, Any, T]],
    *,
    tasks: TaskSource,
    task: str,
    announce: Callable[[str], None],
) -> T:
    """Run a task so that signals and the store can ask it to end.

    Args:
        run: given the function it has to call with its controls, runs the task.
        announce: shows a line to the user.

    Raises:
        asyncio.CancelledError: the end was asked for a third time.
    """
    loop = asyncio.get_running_loop()
    running: asyncio.Task[T] | None = None

    def cancel() -> None:
        if running is not None:
            running.cancel()

    interruption = Interruption(announce, cancel)
    running = asyncio.create_task(run(interruption.attach), name=f"task {task}")
    following = asyncio.create_task(follow_store(tasks, task, interruption), name=f"requests to task {task}")
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Under nohup a closed terminal is no request.
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, interruption.request)
    try:
        return await running
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
