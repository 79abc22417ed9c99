"""Stage 9/10 · Histograms over arrays: bucket, encode, add, and read percentiles, in common/histogram's one layout.

Rules: merging is addition of counts, and of n and sum; min and max are the smaller and the larger. It is exact, and the
order leaves no trace. Percentiles are read off counts and are never averaged or merged.

A histogram is kept sparse. Its spans as bytes, little-endian:

    u8 format = 1 | u8 widths | u16 k | u16 first bucket | (k-1) steps to the next bucket | k counts
    widths = bytes of a step (1, 2) + 16 * bytes of a count (1, 2, 4, 8)
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from osbench.common.error import ProtocolError
from osbench.common.histogram import BUCKETS, MAX_US, SUB, SUB_BITS, bucket_of, lower_edge_us, upper_edge_us

Integers = NDArray[np.int64]
#: Whole numbers of 32 or 64 bits.
Whole = NDArray[np.int64] | NDArray[np.uint32]

SPANS_FORMAT = 1
_HEAD = Struct("<BBHH")
_COUNT_TYPES: dict[int, np.dtype[np.unsignedinteger]] = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
#: A float64's bits shifted so that its exponent and its 8 highest fraction bits remain: log-linear by construction.
_FLOAT_SHIFT = 52 - SUB_BITS
#: bits(256.0) >> _FLOAT_SHIFT is this plus 256, so bucket(v) = (bits(v) >> _FLOAT_SHIFT) - _FLOAT_BIAS for v >= 256.
_FLOAT_BIAS = (1023 + SUB_BITS - 1) * SUB


def buckets_of(values_us: Whole, least: int | None = None, most: int | None = None) -> Integers:
    """`common/histogram.bucket_of` of each value.

    Args:
        values_us: any shape; below 0 counts as 0, above 24 h as 24 h.
        least, most: bounds of the values, if they are known: some steps are left out then.
    """
    is_inside = least is not None and most is not None and least >= 0 and most <= MAX_US
    values = values_us if is_inside else np.clip(values_us, 0, MAX_US)
    # Exact: every value up to 24 h fits the 53 bits of a float64.
    found: Integers = values.astype(np.float64).view(np.int64)
    found >>= _FLOAT_SHIFT
    found -= _FLOAT_BIAS
    if is_inside and least is not None and least >= SUB:
        return found
    # Below 256 the formula falls short of the value, which is its own bucket; from 256 on it is at least 256.
    return np.maximum(found, np.minimum(values, SUB - 1), out=found)


def encode_spans(buckets: Integers, counts: Integers) -> bytes:
    """Sparse counts as bytes.

    Args:
        buckets: ascending, each once, at least one. counts: as many, each 1 or more.
    """
    steps = np.diff(buckets)
    step_width = 1 if not len(steps) or int(steps.max()) < 256 else 2
    most = int(counts.max())
    count_width = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4 if most < 1 << 32 else 8
    head = _HEAD.pack(SPANS_FORMAT, step_width + 16 * count_width, len(buckets), int(buckets[0]))
    return b"".join(
        (head, steps.astype(_COUNT_TYPES[step_width]).tobytes(), counts.astype(_COUNT_TYPES[count_width]).tobytes())
    )


def decode_spans(spans: bytes) -> tuple[Integers, Integers]:
    """Buckets and counts, as `encode_spans` got them.

    Raises:
        ProtocolError: not spans of a known format.
    """
    if len(spans) < _HEAD.size or spans[0] != SPANS_FORMAT:
        raise ProtocolError(f"histogram spans {spans[:6]!r} are not of format {SPANS_FORMAT}")
    _, widths, size, first = _HEAD.unpack_from(spans)
    step_width, count_width = widths % 16, widths // 16
    counts_at = _HEAD.size + (size - 1) * step_width
    known = step_width in (1, 2) and count_width in _COUNT_TYPES and size > 0
    if not known or len(spans) != counts_at + size * count_width:
        raise ProtocolError(f"histogram spans of {len(spans)} bytes do not fit their head {spans[:6]!r}")
    buckets = np.empty(size, np.int64)
    buckets[0] = first
    buckets[1:] = np.frombuffer(spans, _COUNT_TYPES[step_width], size - 1, _HEAD.size)
    np.cumsum(buckets, out=buckets)
    return buckets, np.frombuffer(spans, _COUNT_TYPES[count_width], size, counts_at).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Values of one kind, counted.

    Attributes:
        buckets, counts: ascending, each bucket once. n, sum_us, min_us, max_us: exact; n is at least 1.
    """

    buckets: Integers
    counts: Integers
    n: int
    sum_us: int
    min_us: int
    max_us: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self._key() == other._key()

    def _key(self) -> tuple[object, ...]:
        return (self.buckets.tobytes(), self.counts.tobytes(), self.n, self.sum_us, self.min_us, self.max_us)

    @property
    def mean_us(self) -> float:
        """Exact mean, microseconds."""
        return self.sum_us / self.n

    def spans(self) -> bytes:
        """Its counts as bytes."""
        return encode_spans(self.buckets, self.counts)

    def percentile_us(self, fraction: float) -> float:
        """The value at a rank, see `percentiles_us`."""
        return self.percentiles_us((fraction,))[0]

    def percentiles_us(self, fractions: Sequence[float]) -> list[float]:
        """The values at ranks ceil(fraction * n), microseconds.

        Nearest rank. Inside a bucket its values are taken as evenly spread between its lowest and its highest value,
        and the result never leaves [min_us, max_us], so rank 1 and rank n are exact. Error: exact below 512 us, else
        less than 1/256 of the value, as long as it is at most 24 h.

        Args:
            fractions: each in [0, 1].
        """
        ends = np.cumsum(self.counts)
        found = []
        for fraction in fractions:
            assert 0 <= fraction <= 1, f"fraction {fraction} is not in [0, 1]"
            rank = min(max(math.ceil(fraction * self.n - 1e-9), 1), self.n)
            if rank in (1, self.n):
                found.append(float(self.min_us if rank == 1 else self.max_us))
                continue
            at = int(np.searchsorted(ends, rank))
            bucket, count = int(self.buckets[at]), int(self.counts[at])
            low_us, high_us = lower_edge_us(bucket), upper_edge_us(bucket) - 1
            within = (rank - (int(ends[at]) - count) - 0.5) / count
            found.append(min(max(low_us + (high_us - low_us) * within, self.min_us), self.max_us))
        return found


def histogram_of(values_us: Iterable[int] | Integers) -> Histogram:
    """Count values (microseconds, at least one)."""
    values = np.asarray(values_us if isinstance(values_us, np.ndarray) else list(values_us), np.int64)
    assert len(values), "a histogram has at least one value"
    buckets, counts = np.unique(buckets_of(values), return_counts=True)
    total = sum(values.tolist())
    return Histogram(buckets, counts.astype(np.int64), len(values), total, int(values.min()), int(values.max()))


def merge(histograms: Sequence[Histogram]) -> Histogram:
    """Add histograms (at least one)."""
    first = histograms[0]
    if len(histograms) == 1:
        return first
    low = min(int(one.buckets[0]) for one in histograms)
    high = max(int(one.buckets[-1]) for one in histograms)
    dense = np.zeros(high - low + 1, np.int64)
    for one in histograms:
        dense[one.buckets - low] += one.counts
    filled = np.flatnonzero(dense)
    return Histogram(
        filled + low,
        dense[filled],
        sum(one.n for one in histograms),
        sum(one.sum_us for one in histograms),
        min(one.min_us for one in histograms),
        max(one.max_us for one in histograms),
    )


__all__ = [
    "BUCKETS",
    "Histogram",
    "Integers",
    "bucket_of",
    "buckets_of",
    "decode_spans",
    "encode_spans",
    "histogram_of",
    "merge",
]
