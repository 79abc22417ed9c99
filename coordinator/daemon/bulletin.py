"""How tasks go, for whoever watches: the newest update of each, and its outcome.

Rules: a watcher who is slow misses updates in between, never the last one; nobody who posts waits for a watcher.
"""

import asyncio
from collections.abc import AsyncIterator

from osbench.coordinator.progress import ProgressUpdate, TaskOutcome


class Bulletin:
    """Updates of the tasks of one coordinator; all of it on one loop."""

    def __init__(self) -> None:
        #: Newest update of each task that is under way.
        self._newest: dict[str, ProgressUpdate | TaskOutcome] = {}
        #: By task: set when there is something newer, and replaced.
        self._turn: dict[str, asyncio.Event] = {}
        self._watchers: dict[str, int] = {}

    def post(self, update: ProgressUpdate | TaskOutcome) -> None:
        """There is something new of a task."""
        self._newest[update.task] = update
        if (turn := self._turn.pop(update.task, None)) is not None:
            turn.set()

    def newest(self, task: str) -> ProgressUpdate | TaskOutcome | None:
        """What was posted last of a task."""
        return self._newest.get(task)

    def clear(self, task: str) -> None:
        """Its outcome is in the store: whoever comes now is told from there; who watches has it already."""
        if not self._watchers.get(task):
            self._newest.pop(task, None)

    async def watch(self, task: str) -> AsyncIterator[ProgressUpdate | TaskOutcome]:
        """The newest update, then each newer one; the outcome is the last."""
        self._watchers[task] = self._watchers.get(task, 0) + 1
        shown: ProgressUpdate | TaskOutcome | None = None
        try:
            while True:
                newest = self._newest.get(task)
                if newest is not None and newest is not shown:
                    shown = newest
                    yield newest
                    if isinstance(newest, TaskOutcome):
                        return
                    continue
                await self._turn.setdefault(task, asyncio.Event()).wait()
        finally:
            self._watchers[task] -= 1
            if not self._watchers[task]:
                del self._watchers[task]
                if isinstance(self._newest.get(task), TaskOutcome):
                    del self._newest[task]
