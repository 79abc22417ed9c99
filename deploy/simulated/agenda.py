"""What is due when: the only way time changes the state of the simulated cloud.

Rules: nothing here waits. A store notes what shall happen at a time stamp; before each request the cloud runs all that
has come due, in order of time. Ten thousand servers in BUILD are ten thousand heap entries, not ten thousand tasks.
"""

import heapq
import itertools
from collections.abc import Callable

Event = Callable[[int], None]


class Agenda:
    """A heap of events by due time; events due at the same time run in the order they were noted."""

    def __init__(self) -> None:
        #: (due time in ns, running number, event); a heap.
        self._heap: list[tuple[int, int, Event]] = []
        self._numbers = itertools.count()
        #: The due time of the event that is running, None between events: what an event starts begins then, however late
        #: the event is run.
        self.running_ns: int | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def note(self, due_ns: int, event: Event) -> None:
        """Let `event(due_ns)` run once the clock has reached `due_ns`."""
        heapq.heappush(self._heap, (due_ns, next(self._numbers), event))

    def run_due(self, now_ns: int) -> None:
        """Run all that is due at or before `now_ns`, what these events note for that time included."""
        heap = self._heap
        try:
            while heap and heap[0][0] <= now_ns:
                due_ns, _, event = heapq.heappop(heap)
                self.running_ns = due_ns
                event(due_ns)
        finally:
            self.running_ns = None
