"""Thinning is exact: windows say together what their seconds said, whatever their width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.coordinator.histogram_rows import row_of
from osbench.coordinator.merge import histogram_of, merge
from osbench.coordinator.store.values import ITERATION, HistogramRow
from osbench.coordinator.windows import MAX_WINDOWS, Windows, series_of


@pytest.mark.parametrize(
    ("first", "last", "width_s", "begin", "count"),
    [
        (0, 0, 1, 0, 1),
        (0, 599, 1, 0, 600),
        (0, 600, 2, 0, 301),
        (-3, 700, 2, -4, 353),
        (0, 3599, 10, 0, 360),
        (0, 86_399, 300, 0, 288),
        (0, 600 * 3600 - 1, 3600, 0, 600),
        (0, 600 * 3600, 7200, 0, 301),
    ],
)
def test_windows_are_as_narrow_as_the_bound_allows(first: int, last: int, width_s: int, begin: int, count: int) -> None:
    assert Windows.over(first, last) == Windows(first_second=begin, width_s=width_s, count=count)


@given(st.integers(-1000, 10**6), st.integers(0, 10**7), st.integers(2, MAX_WINDOWS))
def test_there_are_never_more_windows_than_asked_and_all_seconds_lie_in_one(first: int, span: int, most: int) -> None:
    windows = Windows.over(first, first + span, most)

    assert windows.count <= most
    assert windows.begin(windows.at(first)) <= first < windows.begin(1)
    assert windows.at(first + span) == windows.count - 1
    assert windows.begin(windows.count - 1) <= first + span < windows.begin(windows.count)


def test_what_lies_outside_counts_at_the_nearest_window() -> None:
    windows = Windows(first_second=0, width_s=10, count=3)

    assert windows.sums([(-5, 1), (0, 2), (29, 4), (99, 8)]) == (3, 0, 12)
    assert windows.worst([(-5, 1), (3, 7), (25, 4)]) == (7, None, 4)


def rows_of(values_us: list[list[int]]) -> list[HistogramRow]:
    return [
        row_of("r", ITERATION, "", 0, second, second, histogram_of(values))
        for second, values in enumerate(values_us)
        if values
    ]


@given(st.lists(st.lists(st.integers(0, 10**8), max_size=5), min_size=1, max_size=40), st.integers(1, 7))
def test_merged_windows_are_the_histogram_of_all_their_values(values_us: list[list[int]], width_s: int) -> None:
    """Percentiles of a window are those of its values, never made of the seconds' percentiles."""
    windows = Windows(first_second=0, width_s=width_s, count=len(values_us) // width_s + 1)
    everything = [value for values in values_us for value in values]

    for series in series_of(rows_of(values_us), windows):
        assert series.whole == histogram_of(everything)
        assert merge(list(series.by_window.values())) == series.whole
        for at, histogram in series.by_window.items():
            inside = [value for values in values_us[at * width_s : (at + 1) * width_s] for value in values]
            assert histogram == histogram_of(inside)


def test_series_are_told_apart_by_kind_name_and_outcome() -> None:
    one, other = rows_of([[5], [7]])
    windows = Windows.over(0, 1)
    failed = row_of("r", ITERATION, "", 1, 3, 0, histogram_of([9]))
    found = [(series.outcome, series.ordinal, series.whole.n) for series in series_of([one, other, failed], windows)]

    assert found == [(0, 0, 2), (1, 3, 1)]
