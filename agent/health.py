"""A worker watches itself: did its loop wake in time, did it wait for a core, did the collector stop it.

Rules: what is measured is the generator's own starvation, not how busy a core is. The loop is asked to wake each 50 ms;
by how much it wakes late is a stall (Hyperfoil's jitter watchdog does the same). The time a process was runnable and did
not run is the kernel's own count, the second number of /proc/self/schedstat (Documentation/scheduler/sched-stats.rst).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from osbench.common.clock import NS_PER_MS, NS_PER_S, Clock
from osbench.common.record import HealthRow

WAKE_NS = 50 * NS_PER_MS


class Schedstat:
    """Time on a core and time waited for one, of this process's main thread, in nanoseconds."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._fd = -1  # a kernel without scheduler statistics: the signal is missing and the rows say 0

    def read(self) -> tuple[int, int]:
        """(on a core, waiting for a core), since the process began."""
        if self._fd < 0:
            return 0, 0
        on_core, waiting, _ = os.pread(self._fd, 128, 0).split()
        return int(on_core), int(waiting)


@dataclass(slots=True)
class CollectorPauses:
    """Sums the pauses of Python's garbage collector; `on_collect` is for gc.callbacks."""

    clock: Clock
    paused_ns: int = 0
    _since_ns: int = 0

    def on_collect(self, phase: str, info: dict[str, int]) -> None:
        """Called by the collector at `start` and `stop` of each collection (gc.callbacks)."""
        if phase == "start":
            self._since_ns = self.clock.now_ns()
        else:
            self.paused_ns += self.clock.now_ns() - self._since_ns


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Makes a HealthRow of each second.

    Attributes:
        clock: the worker's. read_schedstat: (on core, waiting) in ns since the process began.
        stall_ns: longest stall since the last row. lag_max_ns: set by whoever starts iterations.
    """

    clock: Clock
    read_schedstat: Callable[[], tuple[int, int]]
    pauses: CollectorPauses
    stall_ns: int = 0
    lag_max_ns: int = 0
    _expected_ns: int = 0
    #: Start of the row under way; 0 before `begin`.
    _row_ns: int = 0
    _on_core_ns: int = 0
    _waiting_ns: int = 0
    _paused_ns: int = field(default=0)

    def begin(self) -> None:
        """Start measuring now; the first row begins."""
        self._row_ns = self.clock.now_ns()
        self._expected_ns = self._row_ns + WAKE_NS
        self.stall_ns = self.lag_max_ns = 0
        self._on_core_ns, self._waiting_ns = self.read_schedstat()
        self._paused_ns = self.pauses.paused_ns

    @property
    def has_begun(self) -> bool:
        return bool(self._row_ns)

    def woke(self) -> None:
        """The loop woke, having been asked to WAKE_NS after it woke last."""
        if not self.has_begun:
            return
        now_ns = self.clock.now_ns()
        self.stall_ns = max(self.stall_ns, now_ns - self._expected_ns)
        self._expected_ns = now_ns + WAKE_NS

    def is_row_due(self) -> bool:
        """A second has passed since the last row."""
        return self.has_begun and self.clock.now_ns() - self._row_ns >= NS_PER_S

    def row(self, in_flight: int, started: int, ended: int) -> HealthRow:
        """What happened since the last row; the counters are totals of the run."""
        now_ns = self.clock.now_ns()
        on_core_ns, waiting_ns = self.read_schedstat()
        made = HealthRow(
            stamp_ns=now_ns,
            span_ns=now_ns - self._row_ns,
            stall_ns=self.stall_ns,
            run_queue_ns=waiting_ns - self._waiting_ns,
            cpu_ns=on_core_ns - self._on_core_ns,
            gc_ns=self.pauses.paused_ns - self._paused_ns,
            lag_max_ns=self.lag_max_ns,
            in_flight=in_flight,
            started=started,
            ended=ended,
        )
        self._row_ns, self._on_core_ns, self._waiting_ns = now_ns, on_core_ns, waiting_ns
        self._paused_ns = self.pauses.paused_ns
        self.stall_ns = self.lag_max_ns = 0
        return made
