"""Histograms over arrays: exact addition, and percentiles within their bound."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.error import ProtocolError
from osbench.common.histogram import MAX_US, bucket_of, lower_edge_us, upper_edge_us
from osbench.coordinator.merge import buckets_of, decode_spans, encode_spans, histogram_of, merge

EDGES = [lower_edge_us(bucket) for bucket in range(0, 7_490, 7)]
NEAR_EDGES = st.sampled_from(EDGES).flatmap(lambda edge: st.integers(edge - 1, edge + 1))
VALUES = st.integers(0, MAX_US) | NEAR_EDGES | st.integers(0, 1_500)
SAMPLES = st.lists(st.integers(0, 10**9) | st.integers(0, 700), min_size=1, max_size=80)


@given(st.lists(VALUES | st.integers(-(2**40), 2**62), min_size=1, max_size=60))
def test_buckets_of_arrays_are_those_of_the_one_layout(values: list[int]) -> None:
    """Two layouts that differ by one bucket somewhere would corrupt stored sums unseen."""
    assert buckets_of(np.array(values)).tolist() == [bucket_of(value) for value in values]


def test_every_edge_falls_into_its_own_bucket() -> None:
    edges = np.array([lower_edge_us(bucket) for bucket in range(7_490)])
    lasts = np.array([min(upper_edge_us(bucket) - 1, MAX_US) for bucket in range(7_490)])

    assert buckets_of(edges).tolist() == list(range(7_490))
    assert buckets_of(lasts).tolist() == list(range(7_490))


@given(st.dictionaries(st.integers(0, 7_489), st.integers(1, 2**40) | st.integers(1, 300), min_size=1, max_size=40))
def test_spans_read_back(counts: dict[int, int]) -> None:
    buckets = sorted(counts)
    spans = encode_spans(np.array(buckets), np.array([counts[bucket] for bucket in buckets]))
    found = decode_spans(spans)

    assert found[0].tolist() == buckets
    assert found[1].tolist() == [counts[bucket] for bucket in buckets]


def test_the_bytes_of_spans_are_fixed() -> None:
    """Stored rows are read by this format."""
    assert encode_spans(np.array([3, 5, 300]), np.array([1, 2, 256])).hex() == "0122030003000200270101000200" + "0001"
    assert encode_spans(np.array([512]), np.array([7])).hex() == "01110100000207"


@pytest.mark.parametrize(
    "spans",
    [
        b"",
        b"\x01\x11\x01\x00\x00",
        b"\x02\x11\x01\x00\x00\x02\x07",
        b"\x01\x11\x00\x00\x00\x02",
        b"\x01\x33\x01\x00\x00\x02\x07",
    ],
)
def test_what_are_no_spans_is_refused(spans: bytes) -> None:
    with pytest.raises(ProtocolError, match="histogram spans"):
        decode_spans(spans)


@given(st.binary(max_size=40))
def test_garbage_for_spans_is_refused_or_read(data: bytes) -> None:
    try:
        decode_spans(data)
    except ProtocolError:
        pass


@given(st.lists(SAMPLES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_merging_in_any_order_is_counting_all_at_once(parts: list[list[int]], random: st.DataObject) -> None:
    whole = histogram_of([value for part in parts for value in part])
    shuffled = [histogram_of(part) for part in parts]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one_by_one = shuffled[0]
    for part in shuffled[1:]:
        one_by_one = merge([one_by_one, part])

    assert merge(shuffled) == whole
    assert one_by_one == whole


@given(SAMPLES)
def test_count_sum_min_and_max_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)

    assert (histogram.n, histogram.sum_us) == (len(values), sum(values))
    assert (histogram.min_us, histogram.max_us) == (min(values), max(values))
    assert histogram.mean_us == sum(values) / len(values)
    counts = Counter(map(bucket_of, values))
    assert dict(zip(histogram.buckets.tolist(), histogram.counts.tolist(), strict=True)) == counts


@given(SAMPLES, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]) | st.floats(0, 1))
def test_a_percentile_is_within_a_256th_of_the_value_at_its_rank(values: list[int], fraction: float) -> None:
    found = histogram_of(values).percentile_us(fraction)
    rank = min(max(math.ceil(fraction * len(values) - 1e-9), 1), len(values))
    exact = sorted(values)[rank - 1]

    assert abs(found - exact) <= (0 if exact < 512 else exact / 256)


@given(SAMPLES)
def test_percentiles_grow_with_the_fraction_and_end_at_the_extremes(values: list[int]) -> None:
    found = histogram_of(values).percentiles_us([step / 40 for step in range(41)])

    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))


def test_values_above_a_day_keep_their_exact_maximum_and_sum() -> None:
    histogram = histogram_of([5, 10 * MAX_US])

    assert (histogram.max_us, histogram.sum_us) == (10 * MAX_US, 10 * MAX_US + 5)
    assert histogram.percentile_us(1.0) == 10 * MAX_US
