"""Time as a port: everything that needs a time is handed a clock.

Rules: durations and stamps are integer nanoseconds of one machine's monotonic clock. `SystemClock` adds an offset
of its own life, so that stamps of two clocks cannot be mixed up unnoticed; the offset travels to the workers of
that life, which therefore share one time axis. `ManualClock` is the second adapter, for tests and the simulator.
"""

import random
import time
from dataclasses import dataclass, field
from typing import NewType, Protocol

Nanoseconds = NewType("Nanoseconds", int)

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """A monotonic time axis. Never goes back; its zero means nothing."""

    def now_ns(self) -> int:
        """The current time, integer nanoseconds on this clock's axis."""
        ...

    def wall_ns(self) -> int:
        """Wall time, integer nanoseconds since the Unix epoch: an anchor for people, never subtracted."""
        ...


def random_offset_ns() -> int:
    """An offset for a new life: 1 to 1,000 hours, so that a mixed-up clock shows at once."""
    return random.SystemRandom().randrange(3_600 * NS_PER_S, 3_600_000 * NS_PER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemClock:
    """The machine's monotonic clock plus the offset of one life.

    Attributes:
        offset_ns: added to `time.monotonic_ns()`; one per agent life, shared with its workers.
    """

    offset_ns: int = field(default_factory=random_offset_ns)

    def now_ns(self) -> int:
        return time.monotonic_ns() + self.offset_ns

    def wall_ns(self) -> int:
        return time.time_ns()


@dataclass(slots=True, kw_only=True)
class ManualClock:
    """A clock that stands until it is moved."""

    current_ns: int = 0
    wall_anchor_ns: int = 1_700_000_000 * NS_PER_S

    def now_ns(self) -> int:
        return self.current_ns

    def wall_ns(self) -> int:
        return self.wall_anchor_ns + self.current_ns

    def advance(self, by_ns: int) -> None:
        """Move forward by `by_ns` nanoseconds; time cannot go backwards."""
        assert by_ns >= 0, f"time cannot go backwards: {by_ns} ns"
        self.current_ns += by_ns
