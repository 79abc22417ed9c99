"""The one layout of histograms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.histogram import BUCKETS, MAX_US, SUB, bucket_of, lower_edge_us, upper_edge_us

VALUES = st.integers(0, MAX_US)


@pytest.mark.parametrize(
    ("value_us", "bucket"),
    [
        (-5, 0),
        (0, 0),
        (511, 511),
        (512, 512),
        (513, 512),
        (514, 513),
        (1_023, 767),
        (1_024, 768),
        (1_000_000, 3_304),
        (MAX_US, 7_489),
        (MAX_US + 1, 7_489),
        (10**18, 7_489),
    ],
)
def test_the_layout_is_fixed_for_ever(value_us: int, bucket: int) -> None:
    """Stored histograms were counted by it: a change would move their values."""
    assert bucket_of(value_us) == bucket


def test_all_buckets_are_as_many_as_stored_files_say() -> None:
    assert BUCKETS == 7_490


@given(VALUES)
def test_a_value_lies_in_its_bucket(value_us: int) -> None:
    bucket = bucket_of(value_us)

    assert lower_edge_us(bucket) <= value_us < upper_edge_us(bucket)


@given(st.integers(0, BUCKETS - 2))
def test_buckets_follow_each_other_without_gap_or_overlap(bucket: int) -> None:
    assert bucket_of(lower_edge_us(bucket)) == bucket
    assert bucket_of(upper_edge_us(bucket) - 1) == bucket
    assert bucket_of(upper_edge_us(bucket)) == bucket + 1


@given(st.integers(0, BUCKETS - 1))
def test_a_bucket_is_exact_or_a_256th_of_its_value_wide(bucket: int) -> None:
    width = upper_edge_us(bucket) - lower_edge_us(bucket)

    assert width == 1 or width * SUB <= lower_edge_us(bucket)
