"""A task's progress as a stream of events, for as long as somebody reads it.

Rules: the stream ends with the outcome, with a fault, when the API closes, or when the reader goes; none of these touches
the task. A step of the desk's iterator that is under way is never cancelled in order to say that nothing came yet.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from osbench.common.error import OsbenchError
from osbench.coordinator.api.events import KEEP_ALIVE, encode_event
from osbench.coordinator.api.fault import Fault, FaultBody
from osbench.coordinator.api.office import Office
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.stored_progress import POLL_S, watch_stored
from osbench.coordinator.task_line import QueuePlace
from osbench.coordinator.task_service import DAEMON
from osbench.coordinator.task_state import Task

#: How often a task that says nothing is looked at: for its place in the queue.
BEAT_S = 1.0
#: Beats without an event after which a line is sent to keep the connection alive.
BEATS_ALIVE = 10


async def event_stream(
    office: Office, task: Task, number: int, *, beat_s: float = BEAT_S
) -> AsyncGenerator[bytes, None]:
    """The events of a task as bytes.

    Args:
        number: id of the first event.
    """
    office.watchers += 1
    closing = asyncio.create_task(office.closing.wait(), name=f"end of the stream of {task.id}")
    try:
        async for event in _events(office, task, closing, beat_s):
            if event is None:
                yield KEEP_ALIVE
                continue
            yield encode_event(number, event)
            number += 1
    except OsbenchError as error:
        fault = Fault(kind=type(error).__name__, message=str(error), exit_code=error.exit_code)
        yield encode_event(number, FaultBody(error=fault))
    finally:
        office.watchers -= 1
        closing.cancel()


async def _events(
    office: Office, task: Task, closing: "asyncio.Task[bool]", beat_s: float
) -> AsyncGenerator[ProgressUpdate | TaskOutcome | QueuePlace | None, None]:
    """Events as they come, and None where one waits long for the next."""
    updates = office.desk.updates(task.id) if task.options.runner == DAEMON else follow_stored(office, task.id)
    coming = asyncio.create_task(_next(updates))
    place: int | None = None
    silent_beats = 0
    try:
        while True:
            done, _ = await asyncio.wait({coming, closing}, timeout=beat_s, return_when=asyncio.FIRST_COMPLETED)
            if coming in done:
                update = coming.result()
                if update is None:
                    return
                yield update
                if isinstance(update, TaskOutcome):
                    return
                silent_beats = 0
                coming = asyncio.create_task(_next(updates))
                continue
            if closing in done:
                return
            silent_beats += 1
            position = office.desk.position(task.id)
            if position is not None and position != place:
                place, silent_beats = position, 0
                yield QueuePlace(task=task.id, position=position)
            elif silent_beats >= BEATS_ALIVE:
                silent_beats = 0
                yield None
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        if isinstance(updates, AsyncGenerator):
            await updates.aclose()


async def follow_stored(office: Office, task: str) -> AsyncGenerator[ProgressUpdate | TaskOutcome, None]:
    """A task that a command line of this machine runs, by what is stored of it."""
    service = office.service
    steps = watch_stored(service.store, service.home, task, sleep=lambda _: None)
    while (update := await office.read(lambda: next(steps, None))) is not None:
        yield update
        await asyncio.sleep(POLL_S)


async def _next(
    updates: AsyncIterator[ProgressUpdate | TaskOutcome],
) -> ProgressUpdate | TaskOutcome | None:
    """The next update; None if there is none any more."""
    return await anext(updates, None)
