"""A run's numbers while it runs, from what each commit adds: for the progress line and for the SLA's abort.

Rules: only what is committed counts, so the numbers are those of the store, a second or two late. They are the same
additions the store makes (coordinator/derive), folded here without reading it back.
"""

from collections import defaultdict, deque
from collections.abc import Sequence

from osbench.common.messages import RunReport
from osbench.common.outcome import Outcome
from osbench.coordinator.ingest import Committed
from osbench.coordinator.merge import Histogram, decode_spans, merge
from osbench.coordinator.sla import Achieved, ActionTotals
from osbench.coordinator.store.values import ACTION, ITERATION, HistogramRow

#: Seconds whose successes make the percentile shown.
RECENT_SECONDS = 10
#: Samples of (time, iterations ended) between which the rate is taken.
RATE_SAMPLES = 10


class LiveNumbers:
    """Numbers of one run so far.

    Args:
        run: its id.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._succeeded = self._failed = self._max_us = self._succeeded_sum_us = 0
        self._actions: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._recent: dict[int, list[Histogram]] = defaultdict(list)
        self._ended: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)

    def add(self, committed: Committed) -> None:
        """Fold in what a commit added."""
        for row in committed.derived.histograms:
            if row.run == self._run:
                self._add_row(row)

    def _add_row(self, row: HistogramRow) -> None:
        if row.kind == ITERATION:
            self._max_us = max(self._max_us, row.max_us)
            if row.outcome == Outcome.OK:
                self._succeeded += row.n
                self._succeeded_sum_us += row.sum_us
                self._remember(row)
            else:
                self._failed += row.n
        elif row.kind == ACTION and row.outcome == Outcome.OK:
            name = row.name.rpartition("/")[2]
            count, sum_us = self._actions[name]
            self._actions[name] = (count + row.n, sum_us + row.sum_us)

    def _remember(self, row: HistogramRow) -> None:
        histogram = Histogram(*decode_spans(row.spans), row.n, row.sum_us, row.min_us, row.max_us)
        self._recent[row.second].append(histogram)
        newest = max(self._recent)
        for second in [second for second in self._recent if second <= newest - RECENT_SECONDS]:
            del self._recent[second]

    @property
    def p95_s(self) -> float | None:
        """95th percentile of the last seconds' successes; None before there are any."""
        recent = [histogram for second in self._recent.values() for histogram in second]
        return merge(recent).percentile_us(0.95) / 1e6 if recent else None

    def achieved(self, lost: int = 0) -> Achieved:
        """What the SLA's criteria judge by, so far."""
        return Achieved(
            succeeded=self._succeeded,
            failed=self._failed,
            lost=lost,
            max_us=self._max_us,
            succeeded_sum_us=self._succeeded_sum_us,
            actions=tuple(ActionTotals(name=name, count=n, sum_us=us) for name, (n, us) in self._actions.items()),
            is_final=False,
        )

    def rate_hz(self, now_s: float, reports: Sequence[RunReport]) -> float:
        """Iterations ended per second, over the last samples of the agents' reports."""
        ended = sum(worker.ended for report in reports for worker in report.workers)
        self._ended.append((now_s, ended))
        (then_s, before), (last_s, after) = self._ended[0], self._ended[-1]
        return (after - before) / (last_s - then_s) if last_s > then_s else 0.0
