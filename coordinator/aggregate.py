"""Stage 9/10 · The numbers of a run: merged from what ingest added, live, or from what the store holds, at the end.

Rules: pure. Additions come in any order; a live aggregate that saw every commit and one read from the store are equal.
Everything is per series, (kind, name), with outcomes kept apart and merged as asked; percentiles are read off merged
counts, by rank (merge.Histogram.percentiles_us), and never averaged.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from osbench.common.clock import NS_PER_S
from osbench.common.histogram import BUCKETS
from osbench.common.outcome import Outcome
from osbench.coordinator.histogram_rows import histogram_of_row
from osbench.coordinator.merge import Histogram, merge
from osbench.coordinator.store.contract import Records
from osbench.coordinator.store.values import (
    CALL,
    ITERATION,
    RENEWAL,
    SERIES_KINDS,
    CounterRow,
    Derived,
    ErrorRow,
    ExtentRow,
    HistogramRow,
    SecondRow,
)

#: What a duration is usually asked of: iterations and calls that ended as they should.
SUCCESSES = frozenset({Outcome.OK})
#: All that ran, however it ended.
ALL_ENDED = frozenset({Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN})

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One line of a table. Durations are of the outcomes asked for, microseconds; None where there is none.

    Attributes:
        kind, name: the series. count: of all outcomes that ended. succeeded: of OK ones.
        success_fraction: succeeded / count, None if nothing ended.
        min_us, max_us, mean_us: exact. median_us … p999_us: by rank, see merge.Histogram.percentiles_us.
    """

    kind: str
    name: str
    count: int
    succeeded: int
    min_us: float | None = None
    median_us: float | None = None
    p90_us: float | None = None
    p95_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    max_us: float | None = None
    mean_us: float | None = None

    @property
    def success_fraction(self) -> float | None:
        return self.succeeded / self.count if self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePoint:
    """A series over `step_s` seconds from `second` on.

    Attributes:
        rate_hz: what ended, a second, whatever its outcome. errors: not OK.
        median_us, p95_us, p99_us: of the outcomes asked for, None if there were none.
    """

    second: int
    count: int
    errors: int
    rate_hz: float
    median_us: float | None
    p95_us: float | None
    p99_us: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """The load itself over `step_s` seconds from `second` on.

    Attributes:
        started, ended, failed, dropped: iterations. in_flight: at the end of the step, of those on record: an
        iteration is on record once it ended, so the last seconds of a run under way show too few.
    """

    second: int
    started: int
    ended: int
    failed: int
    dropped: int
    in_flight: int


class _Series:
    """One series and outcome: its rows merged by second, and in all.

    The total is kept dense, so that adding a second to it does not get slower with the length of the run.
    """

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self.by_second: dict[int, Histogram] = {}
        self.n = 0
        self._sum_us = 0
        self._min_us = 0
        self._max_us = 0
        self._counts = np.zeros(BUCKETS, np.int64)

    def add(self, row: HistogramRow) -> None:
        new = histogram_of_row(row)
        old = self.by_second.get(row.second)
        self.by_second[row.second] = new if old is None else merge([old, new])
        self.ordinal = min(self.ordinal, row.ordinal)
        self._min_us = min(self._min_us, new.min_us) if self.n else new.min_us
        self._max_us = max(self._max_us, new.max_us)
        self._sum_us += new.sum_us
        self._counts[new.buckets] += new.counts
        self.n += new.n

    def total(self) -> Histogram:
        filled = np.flatnonzero(self._counts)
        return Histogram(filled, self._counts[filled], self.n, self._sum_us, self._min_us, self._max_us)


class Aggregate:
    """The numbers of one run. Not thread-safe; one mutator, `add`."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._series: dict[_Key, dict[int, _Series]] = defaultdict(dict)
        self._counters: Counter[tuple[str, str, int, int]] = Counter()
        self._seconds: dict[int, SecondRow] = {}
        self._errors: dict[tuple[str, str, str], ErrorRow] = {}
        self._extent: ExtentRow | None = None

    @classmethod
    def from_store(cls, store: Records, run: str) -> "Aggregate":
        """The numbers of a run as stored."""
        aggregate = cls(run)
        for row in store.histogram_iterate(run):
            aggregate._add_histogram(row)
        extent = store.extent_get(run)
        aggregate.add(
            Derived(
                counters=tuple(store.counter_list(run)),
                seconds=tuple(store.second_list(run)),
                errors=tuple(store.error_list(run)),
                extents=() if extent is None else (extent,),
            )
        )
        return aggregate

    def add(self, derived: Derived) -> None:
        """Add what a commit added (ingest.Committed.derived); rows of other runs are left aside."""
        for histogram in derived.histograms:
            if histogram.run == self.run:
                self._add_histogram(histogram)
        for counter in derived.counters:
            if counter.run == self.run:
                self._counters[counter.kind, counter.name, counter.outcome, counter.status] += counter.n
        for second in derived.seconds:
            if second.run == self.run:
                self._add_second(second)
        for error in derived.errors:
            if error.run == self.run:
                self._add_error(error)
        for extent in derived.extents:
            if extent.run == self.run:
                self._add_extent(extent)

    def _add_histogram(self, row: HistogramRow) -> None:
        outcomes = self._series[row.kind, row.name]
        if row.outcome not in outcomes:
            outcomes[row.outcome] = _Series(row.ordinal)
        outcomes[row.outcome].add(row)

    def _add_second(self, row: SecondRow) -> None:
        old = self._seconds.get(row.second, SecondRow(run=self.run, second=0, started=0, ended=0, failed=0, dropped=0))
        self._seconds[row.second] = SecondRow(
            run=self.run,
            second=row.second,
            started=old.started + row.started,
            ended=old.ended + row.ended,
            failed=old.failed + row.failed,
            dropped=old.dropped + row.dropped,
        )

    def _add_error(self, row: ErrorRow) -> None:
        key = (row.source, row.kind, row.message)
        old = self._errors.get(key)
        if old is None:
            self._errors[key] = row
            return
        self._errors[key] = ErrorRow(
            run=self.run,
            source=row.source,
            kind=row.kind,
            message=row.message,
            n=old.n + row.n,
            first_second=min(old.first_second, row.first_second),
            last_second=max(old.last_second, row.last_second),
            iteration=min(old.iteration, row.iteration),
        )

    def _add_extent(self, row: ExtentRow) -> None:
        old = self._extent or row
        self._extent = ExtentRow(
            run=self.run,
            first_started_ns=min(old.first_started_ns, row.first_started_ns),
            last_ended_ns=max(old.last_ended_ns, row.last_ended_ns),
        )

    def names(self, kind: str) -> list[str]:
        """Names of the series of a kind: actions by first appearance in an iteration, all else by name."""
        assert kind in SERIES_KINDS, f"kind {kind!r} is not one of {SERIES_KINDS}"
        found = {
            name: min(series.ordinal for series in outcomes.values())
            for (its_kind, name), outcomes in self._series.items()
            if its_kind == kind
        }
        return sorted(found, key=lambda name: (found[name], name))

    def histogram(self, kind: str, name: str = "", outcomes: Collection[int] = SUCCESSES) -> Histogram | None:
        """All values of a series with these outcomes, merged; None if there are none."""
        found = self._series.get((kind, name), {})
        totals = [found[outcome].total() for outcome in sorted(outcomes) if outcome in found]
        return merge(totals) if totals else None

    def summary(self, kind: str, name: str = "", outcomes: Collection[int] = SUCCESSES) -> Summary:
        """A line of a table; `outcomes` are those whose durations are described."""
        found = self._series.get((kind, name), {})
        counts = {outcome: series.n for outcome, series in found.items()}
        return _summary(kind, name, counts, self.histogram(kind, name, outcomes))

    def summaries(self, kind: str, outcomes: Collection[int] = SUCCESSES) -> list[Summary]:
        """A line for each series of a kind, in the order of `names`."""
        return [self.summary(kind, name, outcomes) for name in self.names(kind)]

    def outcomes(self, kind: str = ITERATION, name: str | None = None) -> Counter[Outcome]:
        """How many iterations (or calls, or renewals, of one route or of all) ended how; dropped ones included."""
        assert kind in (ITERATION, CALL, RENEWAL), f"outcomes of {kind!r} are not counted; ask for its summary"
        counts: Counter[Outcome] = Counter()
        for (its_kind, its_name, outcome, _), n in self._counters.items():
            if its_kind == kind and name in (None, its_name):
                counts[Outcome(outcome)] += n
        return counts

    def statuses(self, name: str | None = None, kind: str = CALL) -> Counter[int]:
        """How many calls were answered with which HTTP status; 0 for no answer, -1 where only counts are left."""
        counts: Counter[int] = Counter()
        for (its_kind, its_name, _, status), n in self._counters.items():
            if its_kind == kind and name in (None, its_name):
                counts[status] += n
        return counts

    def counters(self) -> list[CounterRow]:
        """All counters, by kind, name, outcome and status."""
        return [
            CounterRow(run=self.run, kind=kind, name=name, outcome=outcome, status=status, n=n)
            for (kind, name, outcome, status), n in sorted(self._counters.items())
        ]

    def errors(self) -> list[ErrorRow]:
        """Errors by their text, most frequent first."""
        return sorted(self._errors.values(), key=lambda row: (-row.n, row.source, row.kind, row.message))

    @property
    def load_duration_ns(self) -> int:
        """From the start of the first iteration to the end of the last; 0 before there is one."""
        return 0 if self._extent is None else self._extent.last_ended_ns - self._extent.first_started_ns

    @property
    def extent_ns(self) -> tuple[int, int] | None:
        """Start of the first iteration and end of the last, nanoseconds after the start of the run."""
        return None if self._extent is None else (self._extent.first_started_ns, self._extent.last_ended_ns)

    def throughput_hz(self, outcomes: Collection[int] = SUCCESSES) -> float | None:
        """Iterations of these outcomes a second over the load's duration; None if it has none."""
        if self.load_duration_ns <= 0:
            return None
        counts = self.outcomes()
        return sum(counts[Outcome(outcome)] for outcome in outcomes) * NS_PER_S / self.load_duration_ns

    def timeline(
        self, kind: str, name: str = "", outcomes: Collection[int] = SUCCESSES, step_s: int = 1
    ) -> list[TimelinePoint]:
        """A series over time, one point for each step from its first second to its last, gaps included."""
        assert step_s >= 1, f"a step is 1 s or more, not {step_s}"
        found = self._series.get((kind, name), {})
        ended: dict[int, list[Histogram]] = defaultdict(list)
        asked: dict[int, list[Histogram]] = defaultdict(list)
        errors: Counter[int] = Counter()
        for outcome, series in found.items():
            for second, histogram in series.by_second.items():
                step = second // step_s
                ended[step].append(histogram)
                if outcome in outcomes:
                    asked[step].append(histogram)
                if outcome != Outcome.OK:
                    errors[step] += histogram.n
        points = []
        for step in _span(ended):
            count = sum(histogram.n for histogram in ended.get(step, ()))
            median_us, p95_us, p99_us = _percentiles(asked.get(step, ()))
            points.append(
                TimelinePoint(
                    second=step * step_s,
                    count=count,
                    errors=errors[step],
                    rate_hz=count / step_s,
                    median_us=median_us,
                    p95_us=p95_us,
                    p99_us=p99_us,
                )
            )
        return points

    def load(self, step_s: int = 1) -> list[LoadPoint]:
        """The load over time, one point for each step from the first second to the last, gaps included."""
        assert step_s >= 1, f"a step is 1 s or more, not {step_s}"
        steps: dict[int, list[SecondRow]] = defaultdict(list)
        for second, row in self._seconds.items():
            steps[second // step_s].append(row)
        points = []
        in_flight = 0
        for step in _span(steps):
            rows = steps.get(step, ())
            started, ended = sum(row.started for row in rows), sum(row.ended for row in rows)
            in_flight += started - ended
            points.append(
                LoadPoint(
                    second=step * step_s,
                    started=started,
                    ended=ended,
                    failed=sum(row.failed for row in rows),
                    dropped=sum(row.dropped for row in rows),
                    in_flight=in_flight,
                )
            )
        return points

    def recent(self, kind: str, seconds: int, name: str = "", outcomes: Collection[int] = SUCCESSES) -> Summary:
        """A summary of the last `seconds` seconds on record: for the progress line."""
        found = self._series.get((kind, name), {})
        last = max((max(series.by_second) for series in found.values()), default=0)
        parts = {
            outcome: [histogram for second, histogram in series.by_second.items() if second > last - seconds]
            for outcome, series in found.items()
        }
        asked = [histogram for outcome in sorted(outcomes) for histogram in parts.get(outcome, ())]
        counts = {outcome: sum(histogram.n for histogram in part) for outcome, part in parts.items()}
        return _summary(kind, name, counts, merge(asked) if asked else None)


def _summary(kind: str, name: str, counts: Mapping[int, int], histogram: Histogram | None) -> Summary:
    counted = {"count": sum(counts.values()), "succeeded": counts.get(Outcome.OK, 0)}
    if histogram is None:
        return Summary(kind=kind, name=name, **counted)
    median_us, p90_us, p95_us, p99_us, p999_us = histogram.percentiles_us((0.5, 0.9, 0.95, 0.99, 0.999))
    return Summary(
        kind=kind,
        name=name,
        **counted,
        min_us=float(histogram.min_us),
        median_us=median_us,
        p90_us=p90_us,
        p95_us=p95_us,
        p99_us=p99_us,
        p999_us=p999_us,
        max_us=float(histogram.max_us),
        mean_us=histogram.mean_us,
    )


def _span(steps: Iterable[int]) -> range:
    present = sorted(steps)
    return range(present[0], present[-1] + 1) if present else range(0)


def _percentiles(histograms: Sequence[Histogram]) -> tuple[float | None, float | None, float | None]:
    if not histograms:
        return None, None, None
    median_us, p95_us, p99_us = merge(histograms).percentiles_us((0.5, 0.95, 0.99))
    return median_us, p95_us, p99_us
