"""Stage 9/10 · Histograms as rows of the store and back, and the addition of rows."""

from osbench.coordinator.merge import Histogram, decode_spans, encode_spans, merge
from osbench.coordinator.store.values import HistogramRow

_LARGEST = 2**63 - 1


def row_of(
    run: str, kind: str, name: str, outcome: int, ordinal: int, second: int, histogram: Histogram
) -> HistogramRow:
    """A histogram of one series and second as a row."""
    return HistogramRow(
        run=run,
        kind=kind,
        name=name,
        outcome=outcome,
        ordinal=ordinal,
        second=second,
        n=histogram.n,
        # Only made-up values get there; a database has no larger number.
        sum_us=min(histogram.sum_us, _LARGEST),
        min_us=histogram.min_us,
        max_us=histogram.max_us,
        spans=encode_spans(histogram.buckets, histogram.counts),
    )


def histogram_of_row(row: HistogramRow) -> Histogram:
    """A row's counts as arrays."""
    return Histogram(*decode_spans(row.spans), row.n, row.sum_us, row.min_us, row.max_us)


def add_rows(one: HistogramRow, other: HistogramRow) -> HistogramRow:
    """The sum of two rows of one series and second."""
    both = merge([histogram_of_row(one), histogram_of_row(other)])
    ordinal = min(one.ordinal, other.ordinal)
    return row_of(one.run, one.kind, one.name, one.outcome, ordinal, one.second, both)
