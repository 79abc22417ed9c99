"""Stage 9/10 · Thinning: the seconds of a run gathered into at most so many windows, by exact addition.

Rules: pure. Counts are added and histograms merged, so a window says exactly what its seconds said together; a
percentile is read off the merged histogram and never made of other percentiles.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, groupby

from osbench.coordinator.histogram_rows import histogram_of_row
from osbench.coordinator.merge import Histogram, merge
from osbench.coordinator.store.values import HistogramRow

#: Points of a chart: more than a screen is wide show nothing more.
MAX_WINDOWS = 600

#: Widths people can read on an axis; beyond them, multiples of an hour.
WIDTHS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows of `width_s` seconds; the first begins at `first_second`, a multiple of the width."""

    first_second: int
    width_s: int
    count: int

    @classmethod
    def over(cls, first_second: int, last_second: int, most: int = MAX_WINDOWS) -> "Windows":
        """The narrowest windows over these seconds, both included, of which there are at most `most`."""
        assert first_second <= last_second
        assert most > 1
        for width_s in chain(WIDTHS_S, count(2 * 3600, 3600)):
            begin = first_second // width_s
            windows = last_second // width_s - begin + 1
            if windows <= most:
                break
        return cls(first_second=begin * width_s, width_s=width_s, count=windows)

    def at(self, second: int) -> int:
        """Which window a second lies in; what lies outside counts at the nearest."""
        return min(max((second - self.first_second) // self.width_s, 0), self.count - 1)

    def begin(self, window: int) -> int:
        """First second of a window."""
        return self.first_second + window * self.width_s

    def sums(self, pairs: Iterable[tuple[int, int]]) -> tuple[int, ...]:
        """Add up (second, number) by window."""
        sums = [0] * self.count
        for second, number in pairs:
            sums[self.at(second)] += number
        return tuple(sums)

    def worst(self, pairs: Iterable[tuple[int, int]]) -> tuple[int | None, ...]:
        """The largest of (second, value) by window; None where there is none."""
        most: list[int | None] = [None] * self.count
        for second, value in pairs:
            at = self.at(second)
            before = most[at]
            most[at] = value if before is None else max(before, value)
        return tuple(most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of a run: `whole` over all its time, and by window where something ended."""

    kind: str
    name: str
    outcome: int
    ordinal: int
    whole: Histogram
    by_window: dict[int, Histogram]


def series_of(rows: Iterable[HistogramRow], windows: Windows) -> Iterator[Series]:
    """Gather rows that come by series (as the store hands them out) into series, one at a time in memory."""
    for (kind, name, outcome), group in groupby(rows, key=lambda row: (row.kind, row.name, row.outcome)):
        own = list(group)
        by_window: dict[int, list[Histogram]] = {}
        for row in own:
            by_window.setdefault(windows.at(row.second), []).append(histogram_of_row(row))
        merged = {at: merge(histograms) for at, histograms in by_window.items()}
        yield Series(
            kind=kind,
            name=name,
            outcome=outcome,
            ordinal=min(row.ordinal for row in own),
            whole=merge(list(merged.values())),
            by_window=merged,
        )
