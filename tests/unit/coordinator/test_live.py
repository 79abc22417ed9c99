"""Numbers of a run while it runs: the same additions the store makes."""

from osbench.common.messages import RunReport, WorkerReport
from osbench.common.outcome import Outcome
from osbench.coordinator.ingest import Committed
from osbench.coordinator.live import RECENT_SECONDS, LiveNumbers
from osbench.coordinator.merge import histogram_of
from osbench.coordinator.store.values import ACTION, ITERATION, Derived, HistogramRow


def row(kind: str, values_us: list[int], *, outcome: int = Outcome.OK, name: str = "", second: int = 0) -> HistogramRow:
    made = histogram_of(values_us)
    return HistogramRow(
        run="r",
        kind=kind,
        name=name,
        outcome=outcome,
        ordinal=0,
        second=second,
        n=made.n,
        sum_us=made.sum_us,
        min_us=made.min_us,
        max_us=made.max_us,
        spans=made.spans(),
    )


def committed(*rows: HistogramRow) -> Committed:
    return Committed(derived=Derived(histograms=rows))


def test_successes_failures_and_actions_add_up_over_commits() -> None:
    live = LiveNumbers("r")
    live.add(committed(row(ITERATION, [100, 300]), row(ACTION, [50], name="outer/inner")))
    live.add(committed(row(ITERATION, [900], outcome=Outcome.FAILED), row(ACTION, [70], name="inner")))

    achieved = live.achieved()

    assert (achieved.succeeded, achieved.failed, achieved.max_us, achieved.succeeded_sum_us) == (2, 1, 900, 400)
    assert [(one.name, one.count, one.sum_us) for one in achieved.actions] == [("inner", 2, 120)]
    assert not achieved.is_final


def test_the_percentile_forgets_what_is_long_past() -> None:
    live = LiveNumbers("r")
    assert live.p95_s is None
    live.add(committed(row(ITERATION, [9_000_000])))
    live.add(committed(row(ITERATION, [1_000], second=RECENT_SECONDS)))

    assert live.p95_s == 0.001


def test_rows_of_other_runs_do_not_count() -> None:
    live = LiveNumbers("another")
    live.add(committed(row(ITERATION, [100])))

    assert live.achieved().succeeded == 0


def test_the_rate_is_what_ended_between_the_oldest_and_the_newest_report() -> None:
    live = LiveNumbers("r")

    def report(ended: int) -> RunReport:
        worker = WorkerReport(worker=0, state="running", ended=ended)
        return RunReport(run="r", revision=1, has_job=True, state="running", workers=(worker,))

    assert live.rate_hz(10.0, [report(100)]) == 0.0
    assert live.rate_hz(12.0, [report(180)]) == 40.0
