"""Watching a task that runs elsewhere: its progress on the terminal, and what Ctrl-C means then.

Rules: a thread reads the events, so that a connection on which nothing comes keeps nobody from hearing Ctrl-C; it shares
nothing with the terminal but a bounded queue of values. Whoever started the task asks it to end by Ctrl-C, as where it
runs here: once softly, twice at once; who only watches just leaves. A task never ends because nobody watches it.
"""

import queue
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Self

from osbench.coordinator.cli.progress import Display, choose_display
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.progress import TaskOutcome
    from osbench.coordinator.service.contract import OsbenchService, TaskEvent

#: Events that wait to be shown, and how long one waits for the next before Ctrl-C is looked at.
WAITING = 16
LOOK_S = 0.2
#: Times Ctrl-C is pressed after which a task is asked to drain, to stop, and is left.
DRAIN, STOP, LEAVE = 1, 2, 3


class Presses:
    """Counts Ctrl-C within a `with` block of the main thread, instead of raising anywhere."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


class EventThread:
    """Reads the events of a task in a thread of its own."""

    def __init__(self, service: "OsbenchService", task_id: str) -> None:
        self._service = service
        self._task_id = task_id
        self._events: queue.Queue[TaskEvent | Exception | None] = queue.Queue(WAITING)
        self._is_left = threading.Event()
        # A daemon: it may be waiting for an event that never comes when the user leaves.
        self._thread = threading.Thread(target=self._read, name=f"events of {task_id}", daemon=True)

    def _read(self) -> None:
        try:
            for event in self._service.task_watch(self._task_id):
                self._put(event)
                if self._is_left.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the events are taken.
            self._put(error)
        self._put(None)

    def _put(self, event: "TaskEvent | Exception | None") -> None:
        while not self._is_left.is_set():
            try:
                self._events.put(event, timeout=LOOK_S)
            except queue.Full:
                continue
            return

    def events(self) -> Iterator["TaskEvent | None"]:
        """Events as they come, and None now and then where none does; ends where they do.

        Raises:
            OsbenchError: as `task_watch`.
        """
        self._thread.start()
        while True:
            try:
                event = self._events.get(timeout=LOOK_S)
            except queue.Empty:
                yield None
                continue
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            yield event

    def leave(self) -> None:
        """Nobody takes events any more."""
        self._is_left.set()


def watch_task(workshop: Workshop, service: "OsbenchService", task_id: str, *, is_ours: bool) -> "TaskOutcome | None":
    """Show a task until it ends.

    Args:
        is_ours: Ctrl-C asks it to end, instead of leaving it.

    Returns:
        Its outcome; None if the user left it before.

    Raises:
        OsbenchError: it cannot be watched (any more).
    """
    from osbench.common.clock import SystemClock
    from osbench.coordinator.progress import TaskOutcome

    display = choose_display(is_terminal=sys.stderr.isatty(), is_quiet=workshop.verbosity < 0, clock=SystemClock())
    reader = EventThread(service, task_id)
    heard = 0
    with display, Presses() as presses:
        try:
            for event in reader.events():
                if isinstance(event, TaskOutcome):
                    return event
                if event is not None:
                    show_event(workshop, display, event)
                while heard < presses.count:
                    heard += 1
                    if not is_ours or heard >= LEAVE:
                        return None
                    ask_to_end(service, task_id, display, presses=heard)
        finally:
            reader.leave()
    return None


def show_event(workshop: Workshop, display: Display, event: "TaskEvent") -> None:
    """An update in the bar, a place in the queue as a line."""
    from osbench.coordinator.progress import ProgressUpdate
    from osbench.coordinator.task_line import QueuePlace

    if isinstance(event, ProgressUpdate):
        display.show(event)
    elif isinstance(event, QueuePlace) and workshop.verbosity >= 0:
        display.announce(f"Task {event.task} waits: place {event.position} in the queue")


def ask_to_end(service: "OsbenchService", task_id: str, display: Display, *, presses: int) -> None:
    """Ask a task to drain, or to stop; whatever the answer is, it is watched on."""
    from osbench.common.error import OsbenchError

    again = "Again to stop now." if presses == DRAIN else "Again to leave it as it is; it goes on without you."
    try:
        said = service.task_end(task_id, soft=presses == DRAIN)
    except OsbenchError as error:
        said = f"It could not be asked to end: {error}."
    display.announce(f"{said} {again}")
