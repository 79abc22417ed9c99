"""A task under way on the terminal: a live bar, or a plain line now and then where nobody watches.

Rules: shows `ProgressUpdate` values and knows nothing else of the task. Goes to standard error, so that results can be
piped. Warnings are shown once each, above the bar.
"""

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from osbench.common.clock import NS_PER_S, Clock
from osbench.coordinator.progress import UNKNOWN, Phase, ProgressUpdate

if TYPE_CHECKING:
    from rich.console import RenderableType

#: How often a line is written where there is no terminal.
PLAIN_PERIOD_NS = 10 * NS_PER_S
BAR_CELLS = 24


class Display(Protocol):
    """Shows progress within a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, update: ProgressUpdate) -> None:
        """The newest state."""
        ...

    def announce(self, text: str) -> None:
        """A line that stays."""
        ...


def heading(update: ProgressUpdate) -> str:
    """Which workload, and what is done: `[2/3] NovaServers.list_servers: setting up (users: 20 of 150)`."""
    detail = f" ({update.detail})" if update.detail else ""
    return f"[{update.workload}/{update.workloads}] {update.scenario}: {update.phase}{detail}"


def figures(update: ProgressUpdate) -> str:
    """The numbers: `450/1,000 12.3/s in flight 50 errors 3 p95 1.234 s 0:42`."""
    of = f"/{update.planned:,}" if update.planned is not None else ""
    parts = [f"{update.ended:,}{of}", f"{rate(update.rate_hz)}/s"]
    if update.in_flight != UNKNOWN:
        parts.append(f"in flight {update.in_flight:,}")
    parts.append(f"errors {update.failed:,}")
    if update.dropped:
        parts.append(f"dropped {update.dropped:,}")
    parts.append(f"p95 {duration(update.p95_us)}")
    parts.append(clock_words(update.elapsed_ns, update.expected_ns))
    return "  ".join(parts)


def rate(rate_hz: float) -> str:
    """Three digits that matter: 0.12, 12.3, 1,234."""
    if rate_hz >= 100:
        return f"{rate_hz:,.0f}"
    return f"{rate_hz:.1f}" if rate_hz >= 10 else f"{rate_hz:.2f}"


def duration(value_us: int | None) -> str:
    """Microseconds in the unit that suits."""
    if value_us is None:
        return "-"
    return f"{value_us / 1000:.1f} ms" if value_us < 1_000_000 else f"{value_us / 1_000_000:.3f} s"


def clock_words(elapsed_ns: int, expected_ns: int | None) -> str:
    """Time since the start of the load, and of how long if that is known: `0:42 of 2:00`."""
    words = _minutes(elapsed_ns)
    return f"{words} of {_minutes(expected_ns)}" if expected_ns else words


def _minutes(value_ns: int) -> str:
    minutes, seconds = divmod(value_ns // NS_PER_S, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def is_counting(update: ProgressUpdate) -> bool:
    """Whether the numbers say something yet."""
    return update.phase in (Phase.RUNNING, Phase.DRAINING, Phase.ENDING) or update.ended > 0


class Silence:
    """Shows warnings and announcements only."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, update: ProgressUpdate) -> None:
        if update.warning and update.warning not in self._warned:
            self._warned.add(update.warning)
            self.announce(f"Warning: {update.warning}")

    def announce(self, text: str) -> None:
        self._write(text)


class PlainLines(Silence):
    """A line at every change of phase, and every ten seconds in between."""

    def __init__(self, write: Callable[[str], None], clock: Clock) -> None:
        super().__init__(write)
        self._clock = clock
        self._phase: tuple[int, Phase] | None = None
        self._next_ns = 0

    def show(self, update: ProgressUpdate) -> None:
        super().show(update)
        now_ns = self._clock.now_ns()
        phase = (update.workload, update.phase)
        if phase == self._phase and now_ns < self._next_ns:
            return
        self._phase, self._next_ns = phase, now_ns + PLAIN_PERIOD_NS
        numbers = f"  {figures(update)}" if is_counting(update) else ""
        self._write(f"{heading(update)}{numbers}")


class LiveBar(Silence):
    """Two lines at the foot of the terminal, rewritten in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        super().__init__(lambda text: self._console.print(text, markup=False))
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # The terminal may be closed.
            self._live.stop()

    def show(self, update: ProgressUpdate) -> None:
        super().show(update)
        self._live.update(bar(update))


def bar(update: ProgressUpdate) -> "RenderableType":
    """Heading, bar and figures, cut to the width of the terminal."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    done = update.share_done
    row = Table.grid(padding=(0, 1))
    row.add_column(width=BAR_CELLS)
    row.add_column(no_wrap=True, overflow="ellipsis")
    colour = "red" if update.failed else "green"
    shown = ProgressBar(
        total=1.0 if done is not None else None,
        completed=done or 0.0,
        width=BAR_CELLS,
        complete_style=colour,
        finished_style=colour,
    )
    numbers = f"{done:4.0%}  {figures(update)}" if done is not None else figures(update)
    row.add_row(shown, Text(numbers))
    first = Text(heading(update), style="bold", no_wrap=True, overflow="ellipsis")
    return Group(first, row) if is_counting(update) else Group(first)


def choose_display(*, is_terminal: bool, is_quiet: bool, clock: Clock) -> Display:
    """The display that suits."""

    def write(text: str) -> None:
        # Whoever read it may have gone, as `head` does: no reason to end the load.
        with suppress(OSError):
            click.echo(text, err=True)

    if is_quiet:
        return Silence(write)
    return LiveBar() if is_terminal else PlainLines(write, clock)
