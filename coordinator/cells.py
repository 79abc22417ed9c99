"""Stage 9/10 · Rows sorted into cells, each a series and a second, and one histogram for each cell."""

import numpy as np

from osbench.common.histogram import BUCKETS
from osbench.coordinator.merge import Histogram, Integers, buckets_of

#: Keys of a cell's buckets: the next power of two above their number.
_CELL = 1 << 13
assert BUCKETS <= _CELL


def compact(codes: Integers, bound: int) -> tuple[Integers, Integers, Integers]:
    """Number the codes that occur.

    Args:
        codes: each in [0, bound).

    Returns:
        The codes that occur, ascending; each code's position among them; how often each occurs.
    """
    if bound > 4 * len(codes) + 65_536:
        present, positions, counts = np.unique(codes, return_inverse=True, return_counts=True)
        return present, positions, counts
    every = np.bincount(codes, minlength=bound)
    present = np.flatnonzero(every)
    positions = np.zeros(bound, np.int64)
    positions[present] = np.arange(len(present))
    return present, positions[codes], every[present]


class Cells:
    """Rows sorted into (series, second): the cells that occur, and each row's cell."""

    def __init__(self, series: Integers, series_bound: int, seconds: Integers) -> None:
        first = int(seconds.min())
        span = int(seconds.max()) - first + 1
        present, self.of_row, self.counts = compact(series * span + (seconds - first), series_bound * span)
        self.series = present // span
        self.seconds = present % span + first

    def histograms(self, values_us: Integers) -> list[Histogram]:
        """One histogram for each cell, of the values (0 or more) of its rows."""
        size = len(self.counts)
        keys = self.of_row * _CELL + buckets_of(values_us)
        if size * _CELL <= 8 * len(keys) + 16 * _CELL:
            dense = np.bincount(keys, minlength=size * _CELL)
            filled = np.flatnonzero(dense)
            counts = dense[filled]
        else:
            filled, counts = np.unique(keys, return_counts=True)
        low = np.full(size, np.iinfo(np.int64).max)
        high = np.zeros(size, np.int64)
        np.minimum.at(low, self.of_row, values_us)
        np.maximum.at(high, self.of_row, values_us)
        if int(high.max()) * len(values_us) < 1 << 53:
            # Sums in float64 are exact up to 2^53, and ten times as fast.
            sums = np.bincount(self.of_row, weights=values_us, minlength=size).astype(np.int64)
        else:
            sums = np.zeros(size, np.int64)
            np.add.at(sums, self.of_row, values_us)
        ends = np.searchsorted(filled, np.arange(1, size + 1) * _CELL).tolist()
        filled &= _CELL - 1
        begin = 0
        found = []
        numbers = zip(ends, self.counts.tolist(), sums.tolist(), low.tolist(), high.tolist(), strict=True)
        for end, n, sum_us, min_us, max_us in numbers:
            found.append(Histogram(filled[begin:end], counts[begin:end], n, sum_us, min_us, max_us))
            begin = end
        return found
