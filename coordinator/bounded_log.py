"""Log lines about what strangers do: so many in a while, and the rest as a number, so that nobody fills a disk."""

import logging

from osbench.common.clock import NS_PER_S, Clock


class BoundedLog:
    """Warnings, bounded.

    Args:
        log: where to. clock: tells the window. lines: that may be written in each window of `window_ns`.
    """

    def __init__(self, log: logging.Logger, clock: Clock, *, lines: int = 10, window_ns: int = 10 * NS_PER_S) -> None:
        self._log = log
        self._clock = clock
        self._lines = lines
        self._window_ns = window_ns
        self._since_ns = clock.now_ns()
        self._written = 0
        self._left_out = 0
        #: All that was warned of, written or not.
        self.total = 0

    def warning(self, text: str, *values: object) -> None:
        """Write a line, or count it."""
        self.total += 1
        self.settle()
        if self._written < self._lines:
            self._written += 1
            self._log.warning(text, *values)
        else:
            self._left_out += 1

    def settle(self) -> None:
        """Tell how many lines were left out, when their window is over; called now and then even if nothing happens."""
        now_ns = self._clock.now_ns()
        if now_ns - self._since_ns < self._window_ns:
            return
        if self._left_out:
            seconds = (now_ns - self._since_ns) / NS_PER_S
            self._log.warning("%d more lines like these were left out in %.0f s", self._left_out, seconds)
        self._since_ns, self._written, self._left_out = now_ns, 0, 0
