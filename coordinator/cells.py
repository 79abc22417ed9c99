"""Stage 9/10 · Rows sorted into cells, each a series and a second, and one histogram for each cell."""

import numpy as np

from osbench.common.histogram import bucket_of
from osbench.coordinator.merge import Histogram, Integers, Whole, buckets_of

#: More than there are seconds between any two rows, so that series * _SPAN + second is another number for each pair.
_SPAN = 1 << 24


def compact(codes: Integers) -> tuple[Integers, Integers, Integers]:
    """Number the codes that occur.

    Args:
        codes: each 0 or more, at least one.

    Returns:
        The codes that occur, ascending; each code's position among them; how often each occurs.
    """
    if int(codes.max()) >= 4 * len(codes) + 65_536:
        present, of_code, counts = np.unique(codes, return_inverse=True, return_counts=True)
        return present, of_code, counts
    every = np.bincount(codes)
    present = np.flatnonzero(every)
    if len(present) == len(every):
        return present, codes, every
    if len(present) == 1:
        return present, np.zeros(len(codes), np.int64), every[present]
    positions = np.zeros(len(every), np.int64)
    positions[present] = np.arange(len(present))
    return present, positions.take(codes), every[present]


def compact_pairs(one: Integers, other: Integers) -> Integers:
    """A number for each pair that occurs; equal numbers for equal pairs and no others."""
    _, of_one, _ = compact(one - one.min())
    present, of_other, _ = compact(other - other.min())
    _, of_pair, _ = compact(of_one * len(present) + of_other)
    return of_pair


class Cells:
    """Rows sorted into (series, second): the cells that occur, and each row's cell.

    Rows come in the order of their ends, so few runs of rows in the same cell make up all of them: what is asked of
    rows is asked of runs where that is enough.

    Attributes:
        series, seconds: of each cell. counts: rows of each cell.
    """

    def __init__(self, series: Integers | int, seconds: Integers) -> None:
        """Sort rows; `series` are numbers, 0 or more, or one number that is that of all rows."""
        codes = seconds if isinstance(series, int) else series * _SPAN + seconds
        changes = np.flatnonzero(codes[1:] != codes[:-1])
        self._runs = np.concatenate((np.zeros(1, np.int64), changes + 1))
        self._lengths = np.diff(self._runs, append=len(codes))
        of_run = seconds[self._runs]
        first = int(of_run.min())
        of_run = of_run - first
        span = int(of_run.max()) + 1
        if not isinstance(series, int):
            of_run += series[self._runs] * span
        present, self._of_run, _ = compact(of_run)
        self.series = np.full(len(present), series) if isinstance(series, int) else present // span
        self.seconds = present % span + first
        self.counts = np.zeros(len(present), np.int64)
        np.add.at(self.counts, self._of_run, self._lengths)

    def histograms(self, values_us: Whole) -> list[Histogram]:
        """One histogram for each cell, of the values (0 or more) of its rows."""
        size = len(self.counts)
        sums = np.zeros(size, np.int64)
        low = np.full(size, np.iinfo(np.int64).max)
        high = np.zeros(size, np.int64)
        np.add.at(sums, self._of_run, np.add.reduceat(values_us, self._runs, dtype=np.int64))
        np.minimum.at(low, self._of_run, np.minimum.reduceat(values_us, self._runs))
        np.maximum.at(high, self._of_run, np.maximum.reduceat(values_us, self._runs))
        least, most = int(low.min()), int(high.max())
        first = bucket_of(least)
        width = bucket_of(most) - first + 1
        keys = buckets_of(values_us, least, most)
        if size > 1:
            keys += np.repeat(self._of_run * width - first, self._lengths)
        else:
            keys -= first
        if size * width <= 8 * len(keys) + 65_536:
            dense = np.bincount(keys)
            filled = np.flatnonzero(dense)
            counts = dense[filled]
        else:
            filled, counts = np.unique(keys, return_counts=True)
        ends = np.searchsorted(filled, np.arange(1, size + 1) * width).tolist()
        buckets = filled % width + first
        begin = 0
        found = []
        numbers = zip(ends, self.counts.tolist(), sums.tolist(), low.tolist(), high.tolist(), strict=True)
        for end, n, sum_us, min_us, max_us in numbers:
            found.append(Histogram(buckets[begin:end], counts[begin:end], n, sum_us, min_us, max_us))
            begin = end
        return found

    def zeros(self) -> list[Histogram]:
        """What `histograms` gives if all values are 0."""
        at_zero = np.zeros(1, np.int64)
        return [Histogram(at_zero, self.counts[at : at + 1], n, 0, 0, 0) for at, n in enumerate(self.counts.tolist())]
