"""The one histogram layout: fixed for ever, so that any two histograms can be added exactly.

Values are integer microseconds. Below 2^9 each value has a bucket of its own; above, each power of two is cut into
2^8 equal buckets, so a bucket is at most 1/256 of its lower edge wide (0.4 %). The top is 24 h; what lies above is
counted in the last bucket and the exact maximum is kept beside. Merging is addition of counts.

    bucket(v) = v                                   v < 512
              = (e - 8) * 256 + (v >> (e - 8))      2^e <= v < 2^(e+1), e >= 9
"""

SUB_BITS = 8
SUB = 1 << SUB_BITS
#: Largest value with a bucket of its own: 24 hours in microseconds.
MAX_US = 24 * 3600 * 1_000_000


def bucket_of(value_us: int) -> int:
    """The bucket of a value; negative values count as 0, those above 24 h as 24 h.

    Args:
        value_us: microseconds.
    """
    value_us = min(max(value_us, 0), MAX_US)
    shift = max(value_us.bit_length() - SUB_BITS - 1, 0)
    return shift * SUB + (value_us >> shift)


def lower_edge_us(bucket: int) -> int:
    """Smallest value of a bucket, microseconds."""
    shift = max(bucket // SUB - 1, 0)
    return (bucket - shift * SUB) << shift


def upper_edge_us(bucket: int) -> int:
    """Smallest value above a bucket, microseconds."""
    return lower_edge_us(bucket + 1)


BUCKETS = bucket_of(MAX_US) + 1
