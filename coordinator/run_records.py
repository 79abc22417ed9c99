"""Stage 9/10 · What is stored of a run's records, added up: histograms by series, and the load over time.

Rules: reads, never writes. Memory stays small because histograms come by series and are folded one series at a time.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

from osbench.common.clock import NS_PER_S
from osbench.common.outcome import Outcome
from osbench.common.plan import OpenLoop
from osbench.coordinator.merge import Histogram, merge
from osbench.coordinator.result import (
    Timeline,
)
from osbench.coordinator.store.contract import Records, Runs
from osbench.coordinator.store.values import (
    ACTION,
    CALL,
    ITERATION,
    RESPONSE,
    ClockFit,
    CounterRow,
    ExtentRow,
    HealthSecond,
    HostSecond,
    Run,
)
from osbench.coordinator.windows import Series, Windows, series_of


class ResultSource(Runs, Records, Protocol):
    """What of the store a run is read from."""


@dataclass(slots=True, kw_only=True)
class RunRecords:
    """What is stored of a run's records, added up."""

    is_open_loop: bool
    counters: Sequence[CounterRow]
    extent: ExtentRow | None
    health: Sequence[HealthSecond]
    hosts: Sequence[HostSecond]
    clocks: Sequence[ClockFit]
    windows: Windows
    timeline: Timeline
    #: (kind, name) to outcome to all its values, and to its place among the actions.
    wholes: dict[tuple[str, str], dict[int, Histogram]]
    ordinals: dict[tuple[str, str], int]
    #: (kind, name) to window to n, p50, p95, p99 of what ended well.
    latencies: dict[tuple[str, str], dict[int, tuple[int, int, int, int]]]

    def well(self, kind: str, name: str = "") -> Histogram | None:
        """All that ended well."""
        return self.wholes.get((kind, name), {}).get(Outcome.OK)

    def every(self, kind: str, name: str = "") -> Histogram | None:
        """All, whatever the outcome."""
        parts = self.wholes.get((kind, name))
        return merge(list(parts.values())) if parts else None

    def badly(self, kind: str, name: str = "") -> int:
        """How many did not end well."""
        return sum(one.n for outcome, one in self.wholes.get((kind, name), {}).items() if outcome != Outcome.OK)


def records_of(store: ResultSource, run: Run) -> RunRecords:
    seconds = store.second_list(run.id)
    schedule = run.plan.schedule if run.plan is not None else None
    first = min([0, *(row.second for row in seconds[:1])])
    last = max([0, *(row.second for row in seconds[-1:])])
    windows = Windows.over(first, last)
    calls, call_errors = [0] * windows.count, [0] * windows.count
    wholes: dict[tuple[str, str], dict[int, Histogram]] = defaultdict(dict)
    ordinals: dict[tuple[str, str], int] = {}
    latencies: dict[tuple[str, str], dict[int, tuple[int, int, int, int]]] = {}
    for series in series_of(store.histogram_iterate(run.id), windows):
        key = (series.kind, series.name)
        wholes[key][series.outcome] = series.whole
        ordinals[key] = min(series.ordinal, ordinals.get(key, series.ordinal))
        if series.outcome == Outcome.OK and series.kind in (ITERATION, RESPONSE, ACTION, CALL):
            latencies[key] = _percentiles_over_time(series)
        if series.kind == CALL:
            for at, histogram in series.by_window.items():
                calls[at] += histogram.n
                call_errors[at] += histogram.n if series.outcome != Outcome.OK else 0
    started = windows.sums((row.second, row.started) for row in seconds)
    ended = windows.sums((row.second, row.ended) for row in seconds)
    timeline = Timeline(
        width_s=windows.width_s,
        first_second=windows.first_second,
        started=started,
        ended=ended,
        failed=windows.sums((row.second, row.failed) for row in seconds),
        dropped=windows.sums((row.second, row.dropped) for row in seconds),
        calls=tuple(calls),
        call_errors=tuple(call_errors),
        in_flight=tuple(accumulate(more - fewer for more, fewer in zip(started, ended, strict=True))),
        asked=_asked(schedule, windows) if isinstance(schedule, OpenLoop) else None,
    )
    return RunRecords(
        is_open_loop=isinstance(schedule, OpenLoop),
        counters=store.counter_list(run.id),
        extent=store.extent_get(run.id),
        health=store.health_list(run.id),
        hosts=store.host_list(run.id),
        clocks=store.clock_fit_list(run.id),
        windows=windows,
        timeline=timeline,
        wholes=dict(wholes),
        ordinals=ordinals,
        latencies=latencies,
    )


def _percentiles_over_time(series: Series) -> dict[int, tuple[int, int, int, int]]:
    over_time = {}
    for at, histogram in series.by_window.items():
        p50, p95, p99 = (round(value) for value in histogram.percentiles_us((0.5, 0.95, 0.99)))
        over_time[at] = (histogram.n, p50, p95, p99)
    return over_time


def _asked(schedule: OpenLoop, windows: Windows) -> tuple[int, ...]:
    """Iterations due in each window, exactly."""
    borders = (windows.begin(at) * NS_PER_S for at in range(windows.count + 1))
    due = [schedule.due_by(max(border, 0)) for border in borders]
    return tuple(after - before for before, after in pairwise(due))
