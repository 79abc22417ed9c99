"""Each fault of a generator turns the verdict and is named with agent, worker and second; what is ordinary does not."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.coordinator.accounting import Accounting, Loss, WorkerAccount
from osbench.coordinator.sla import Judgement, SlaResult
from osbench.coordinator.starvation import Finding, Signal, Unit
from osbench.coordinator.store.values import ClockFit, HealthSecond, HostSecond
from osbench.coordinator.verdict import (
    Evidence,
    ScheduleKept,
    Validity,
    Verdict,
    exit_code,
    judge,
    loss_text,
)

MS = NS_PER_MS
RUN = "r"


def healthy(second: int, **changed: Any) -> HealthSecond:
    """A row of agent a1, worker 0, that has work and wants for nothing."""
    row = HealthSecond(
        run=RUN,
        agent="a1",
        life=1,
        worker=0,
        second=second,
        span_ns=NS_PER_S,
        stall_ns=2 * MS,
        run_queue_ns=20 * MS,
        cpu_ns=400 * MS,
        gc_ns=0,
        lag_max_ns=MS,
        in_flight=4,
        started=(second + 1) * 10,
        ended=(second + 1) * 10 - 4,
    )
    return msgspec.structs.replace(row, **changed)


def rows(changed: Mapping[int, dict[str, Any]] | None = None, last: int = 9) -> list[HealthSecond]:
    """Rows of seconds 0 to `last`, changed where `{3: {"stall_ns": …}}` says so."""
    return [healthy(second, **(changed or {}).get(second, {})) for second in range(last + 1)]


def host(second: int, **changed: Any) -> HostSecond:
    row = HostSecond(
        run=RUN,
        agent="a1",
        life=1,
        second=second,
        core_max_permille=500,
        cpu_permille=300,
        memory_permille=400,
        sent_bytes=1000,
        received_bytes=1000,
        steal_permille=0,
        spool_bytes=0,
    )
    return msgspec.structs.replace(row, **changed)


def verdict_on(health: Sequence[HealthSecond] | None = None, **evidence: Any) -> Verdict:
    given: dict[str, Any] = {
        "accounting": Accounting(planned=100, ok=100),
        "health": rows() if health is None else health,
        "hosts": [host(second) for second in range(10)],
        "clocks": (),
        "sla": (),
        "last_second": 9,
    }
    return judge(Evidence(**{**given, **evidence}))


def found(verdict: Verdict) -> list[tuple[Signal, str, int | None, int, int]]:
    return [(one.signal, one.agent, one.worker, one.first_second, one.last_second) for one in verdict.findings]


def test_a_healthy_run_is_valid_without_findings_and_warnings() -> None:
    verdict = verdict_on()

    assert verdict.generator is Validity.VALID
    assert (verdict.findings, verdict.warnings) == ((), ())


@pytest.mark.parametrize(
    ("signal", "below", "above"),
    [
        (Signal.STALL, {"stall_ns": 250 * MS}, {"stall_ns": 250 * MS + 1}),
        (Signal.RUN_QUEUE, {"run_queue_ns": 700 * MS}, {"run_queue_ns": 701 * MS}),
        (Signal.GC, {"gc_ns": 250 * MS}, {"gc_ns": 250 * MS + 1}),
        (Signal.LAG, {"lag_max_ns": 500 * MS}, {"lag_max_ns": 500 * MS + 1}),
        (Signal.FROZEN, {"span_ns": 2500 * MS}, {"span_ns": 2500 * MS + 1}),
    ],
)
def test_one_severe_second_makes_the_generator_invalid(
    signal: Signal, below: dict[str, Any], above: dict[str, Any]
) -> None:
    open_loop = {"is_open_loop": True}

    assert verdict_on(rows({4: below}), **open_loop).generator is Validity.VALID
    verdict = verdict_on(rows({4: above}), **open_loop)
    assert verdict.generator is Validity.INVALID
    ((found_signal, agent, worker, first, last),) = found(verdict)
    assert (found_signal, agent, worker) == (signal, "a1", 0)
    assert first <= 4 <= last


@pytest.mark.parametrize(
    ("signal", "moderate"),
    [
        (Signal.STALL, {"stall_ns": 101 * MS}),
        (Signal.GC, {"gc_ns": 101 * MS}),
        (Signal.LAG, {"lag_max_ns": 101 * MS}),
    ],
)
def test_a_moderate_signal_counts_when_it_lasts_three_seconds_on_end(signal: Signal, moderate: dict[str, Any]) -> None:
    twice = rows({2: moderate, 3: moderate, 5: moderate, 6: moderate})
    thrice = rows({2: moderate, 3: moderate, 4: moderate})

    assert verdict_on(twice, is_open_loop=True).generator is Validity.VALID
    assert found(verdict_on(thrice, is_open_loop=True)) == [(signal, "a1", 0, 2, 4)]


def test_waiting_for_a_core_counts_when_it_lasts_five_seconds_on_end() -> None:
    """On two cores that the cloud shares, a few such seconds are ordinary."""
    wait = {"run_queue_ns": 401 * MS}

    assert verdict_on(rows(dict.fromkeys(range(2, 6), wait))).generator is Validity.VALID
    assert found(verdict_on(rows(dict.fromkeys(range(2, 7), wait)))) == [(Signal.RUN_QUEUE, "a1", 0, 2, 6)]


def test_a_hog_on_the_host_is_named_with_its_seconds_and_the_worst_value() -> None:
    waits = {second: {"run_queue_ns": (450 + second) * MS} for second in range(3, 9)}
    (finding,) = verdict_on(rows(waits)).findings

    assert str(finding) == "a1 worker 0, seconds 3-8: runnable but without a core 45.8 % (bound 40 %)"


def test_a_stopped_worker_is_one_finding_that_spans_its_sleep() -> None:
    """SIGSTOP for four seconds: the row after it spans them, and the stall of the same row says nothing new."""
    health = [
        *rows(last=2),
        healthy(5, span_ns=5 * NS_PER_S, stall_ns=4 * NS_PER_S, lag_max_ns=4 * NS_PER_S),
        healthy(8),
    ]
    verdict = verdict_on(health, is_open_loop=True)

    assert found(verdict) == [(Signal.FROZEN, "a1", 0, 3, 8)]


def test_a_worker_that_falls_silent_with_work_in_flight_is_found() -> None:
    assert found(verdict_on(rows(last=4))) == [(Signal.UNSEEN, "a1", 0, 5, 9)]


def test_a_silence_of_three_seconds_before_the_end_is_not_yet_one() -> None:
    assert verdict_on(rows(last=6)).generator is Validity.VALID


def test_a_worker_that_ended_its_share_may_be_silent() -> None:
    assert verdict_on(rows({4: {"in_flight": 0}}, last=4)).generator is Validity.VALID


def test_a_worker_known_to_have_died_is_not_reported_as_silent_too() -> None:
    account = WorkerAccount(agent="a1", life=1, worker=0, state="died", owned=100, ok=90, lost=10)
    accounting = Accounting(planned=100, ok=90, lost=10, workers=(account,))

    assert verdict_on(rows(last=4), accounting=accounting).generator is Validity.VALID


def test_rows_missing_in_the_middle_are_found() -> None:
    health = [row for row in rows() if not 3 <= row.second <= 6]

    assert found(verdict_on(health)) == [(Signal.UNSEEN, "a1", 0, 3, 6)]


def test_a_worker_with_records_and_no_row_of_its_own_health_is_found() -> None:
    account = WorkerAccount(agent="a2", life=1, worker=3, state="ended", owned=50, ok=50)
    accounting = Accounting(planned=100, ok=100, workers=(account,))

    assert found(verdict_on(accounting=accounting)) == [(Signal.UNSEEN, "a2", 3, 0, 9)]


def test_what_happens_before_the_start_and_without_load_does_not_count() -> None:
    idle = {"in_flight": 0, "started": 50, "ended": 50, "stall_ns": NS_PER_S, "run_queue_ns": NS_PER_S}
    health = [
        healthy(-1, stall_ns=NS_PER_S, started=0, ended=0, in_flight=0),
        *rows({4: {"in_flight": 0, "started": 50, "ended": 50}}, last=4),
        healthy(5, **idle),
        healthy(6, **idle),
    ]

    assert verdict_on(health).generator is Validity.VALID


def test_the_few_milliseconds_of_a_last_row_are_no_sample_of_a_share() -> None:
    assert verdict_on(rows({9: {"span_ns": 10 * MS, "run_queue_ns": 9 * MS}})).generator is Validity.VALID


def test_lag_means_nothing_in_closed_loop() -> None:
    assert verdict_on(rows({4: {"lag_max_ns": 10 * NS_PER_S}})).generator is Validity.VALID


def test_workers_are_told_apart() -> None:
    moderate = {"stall_ns": 150 * MS}
    health = [
        *rows({2: moderate, 4: moderate}),
        *(msgspec.structs.replace(row, worker=1) for row in rows({3: moderate})),
    ]

    assert verdict_on(health).generator is Validity.VALID


@pytest.mark.parametrize(
    ("lag_p99_us", "median_us", "expected"),
    [
        (50_000, 20_000, Validity.VALID),
        (50_001, 20_000, Validity.INVALID),
        (1_000_000, 10_000_000, Validity.VALID),
        (1_000_001, 10_000_000, Validity.INVALID),
    ],
)
def test_lag_is_held_against_the_median_response(lag_p99_us: int, median_us: int, expected: Validity) -> None:
    health = rows({7: {"lag_max_ns": 90 * MS}})
    verdict = verdict_on(health, is_open_loop=True, lag_p99_us=lag_p99_us, response_median_us=median_us)

    assert verdict.generator is expected
    if expected is Validity.INVALID:
        assert found(verdict) == [(Signal.LAG_P99, "a1", 0, 7, 7)]


@pytest.mark.parametrize(("late", "expected"), [(5, Validity.VALID), (6, Validity.INVALID)])
def test_a_schedule_kept_for_less_than_95_per_cent_is_the_generators_fault(late: int, expected: Validity) -> None:
    kept = ScheduleKept(on_time=100 - late, late=late, dropped=0)
    verdict = verdict_on(is_open_loop=True, schedule=kept)

    assert verdict.generator is expected
    assert verdict.schedule_kept == kept


def test_dropped_iterations_are_not_kept_but_not_the_generators_fault() -> None:
    verdict = verdict_on(is_open_loop=True, schedule=ScheduleKept(on_time=60, late=0, dropped=40))

    assert verdict.generator is Validity.VALID
    assert verdict.schedule_kept is not None
    assert verdict.schedule_kept.permille == 600
    assert [str(one) for one in verdict.warnings] == [
        "all agents, seconds 0-9: iterations dropped by the cap on those in flight 40 %"
    ]


def test_busy_cores_steal_and_memory_are_warnings_only() -> None:
    hosts = [host(second, core_max_permille=1000, steal_permille=101, memory_permille=951) for second in range(10)]
    verdict = verdict_on(hosts=hosts)

    assert verdict.generator is Validity.VALID
    assert {one.signal for one in verdict.warnings} == {Signal.CORE, Signal.STEAL, Signal.MEMORY}


def test_a_core_busy_for_four_seconds_is_not_worth_a_word() -> None:
    hosts = [host(second, core_max_permille=1000 if second < 4 else 500) for second in range(10)]

    assert verdict_on(hosts=hosts).warnings == ()


def test_the_worst_clock_is_shown_and_a_bad_one_warned_of() -> None:
    fits = (
        ClockFit(agent="a1", life=1, at_ns=0, offset_ns=5, error_ns=50 * MS, start_error_ns=250 * MS),
        ClockFit(agent="a2", life=1, at_ns=3 * NS_PER_S, offset_ns=5, error_ns=51 * MS, start_error_ns=251 * MS),
    )
    verdict = verdict_on(clocks=fits)

    assert (verdict.clock_error_ns, verdict.start_error_ns) == (51 * MS, 251 * MS)
    assert [(one.signal, one.agent, one.first_second) for one in verdict.warnings] == [
        (Signal.CLOCK, "a2", 3),
        (Signal.START, "a2", 0),
    ]


def test_a_loss_says_how_many_when_where_and_why() -> None:
    loss = Loss(
        kind="lost",
        agent="a2",
        life=1,
        worker=1,
        count=1200,
        first_second=3,
        last_second=5,
        reason="batches 4 to 6 are gone from the spool",
    )
    verdict = verdict_on(accounting=Accounting(planned=100_000, ok=98_800, lost=1200, losses=(loss,)))

    assert (verdict.complete.permille, verdict.complete.is_complete) == (988, False)
    assert loss_text(verdict.complete.losses[0]) == (
        "a2 worker 1, seconds 3-5: 1,200 iterations lost: batches 4 to 6 are gone from the spool"
    )


def test_one_lost_of_a_million_is_not_rounded_to_all() -> None:
    verdict = verdict_on(accounting=Accounting(planned=1_000_000, ok=999_999, lost=1))

    assert verdict.complete.permille == 999


def test_a_run_that_only_its_duration_ends_is_complete_if_nothing_was_lost() -> None:
    assert verdict_on(accounting=Accounting(planned=None, ok=70)).complete.is_complete
    assert verdict_on(accounting=Accounting(planned=None, ok=70, lost=30)).complete.permille == 700


def test_thousands_of_findings_are_bounded_and_counted() -> None:
    stalls = {second: {"stall_ns": NS_PER_S} for second in range(0, 1000, 4)}
    verdict = verdict_on(rows(stalls, last=999), last_second=999)

    assert (len(verdict.findings), verdict.unlisted) == (100, 150)


def test_a_verdict_survives_the_store() -> None:
    sla = (SlaResult(criterion="failure_rate", judgement=Judgement.FAIL, detail="…"),)
    verdict = verdict_on(rows({4: {"stall_ns": NS_PER_S}}), sla=sla)

    assert msgspec.convert(msgspec.to_builtins(verdict), Verdict) == verdict


FINE = verdict_on()
SLA_FAILED = verdict_on(sla=(SlaResult(criterion="c", judgement=Judgement.FAIL, detail=""),))
SLA_UNKNOWN = verdict_on(sla=(SlaResult(criterion="c", judgement=Judgement.UNKNOWN, detail=""),))
INCOMPLETE = verdict_on(accounting=Accounting(planned=100, ok=99, lost=1))
SLA_ABORTED = verdict_on(
    accounting=Accounting(planned=100, ok=40, failed=10, not_run=50),
    sla=(SlaResult(criterion="c", judgement=Judgement.FAIL, detail=""),),
)
INVALID_CLOSED = verdict_on(rows({4: {"stall_ns": NS_PER_S}}))
INVALID_OPEN = verdict_on(rows({4: {"stall_ns": NS_PER_S}}), is_open_loop=True)


@pytest.mark.parametrize(
    ("verdicts", "asked", "expected"),
    [
        ([FINE], {}, 0),
        ([], {}, 0),
        ([FINE, SLA_FAILED], {}, 2),
        ([SLA_UNKNOWN], {}, 3),
        ([SLA_FAILED, INCOMPLETE], {}, 3),
        ([INVALID_CLOSED], {}, 0),
        ([INVALID_CLOSED], {"require_valid": True}, 3),
        ([INVALID_OPEN], {}, 3),
        ([SLA_ABORTED], {}, 3),
        ([SLA_ABORTED], {"is_sla_abort": True}, 2),
        ([INCOMPLETE], {"is_sla_abort": True}, 3),
        ([INCOMPLETE], {"is_failed": True}, 1),
        ([INCOMPLETE], {"is_failed": True, "is_aborted": True}, 4),
    ],
)
def test_the_exit_code_is_the_gravest(verdicts: list[Verdict], asked: dict[str, bool], expected: int) -> None:
    assert exit_code(verdicts, **asked) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1_500_000, Unit.NANOSECONDS, "1.5 ms"),
        (312 * MS, Unit.NANOSECONDS, "312 ms"),
        (3_100 * MS, Unit.NANOSECONDS, "3.1 s"),
        (425, Unit.PERMILLE, "42.5 %"),
    ],
)
def test_a_finding_shows_its_value_with_a_unit(value: int, unit: Unit, expected: str) -> None:
    finding = Finding(
        signal=Signal.STALL, agent="a", worker=None, first_second=1, last_second=1, value=value, bound=MS, unit=unit
    )

    assert finding.what.startswith(f"event loop stalled {expected} (bound")
