"""Stage 10/10 · Can the numbers of a run be trusted: the verdict that stands beside every one of them.

Rules: pure; told all it judges by, in one `Evidence`. Five things are judged, each on its own, none hides another:

    complete        stored iterations of those that were to be run. What is lost is said with agent, second and reason.
    generator       VALID, or INVALID with findings: coordinator/starvation has the signals and their bounds. Two more
                    are of the whole run and of open loop only, since in closed loop nothing was scheduled:
                    lag_p99    > 50 ms and > 10 % of the median response: what was measured is then partly OSBench.
                               (The larger of both: 5 ms matter to a sign-in, not to a boot of ten seconds.)
                    schedule   > 5 % of the iterations started more than 50 ms late: the load was not the one asked for.
    schedule kept   share of the due iterations that started within 50 ms of their time. What the cap on iterations in
                    flight stopped was not kept, but that is the cloud's slowness and so a warning, not a finding.
    clock error     worst bound of an agent's clock offset, and of its start. Above 50 ms (250 ms for the start) the
                    agents' seconds no longer lie upon each other to the eye: a warning, for no duration depends on it.
    sla             the criteria, each pass, fail or unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from osbench.common.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from osbench.common.error import AbortedError, IncompleteError, OsbenchError, SlaError
from osbench.coordinator.accounting import Accounting, Loss
from osbench.coordinator.sla import Judgement, SlaResult, worst
from osbench.coordinator.starvation import (
    UNSEEN_NS,
    Finding,
    Signal,
    Unit,
    host_findings,
    worker_findings,
)
from osbench.coordinator.store.values import ClockFit, HealthSecond, HostSecond

#: An iteration that starts so much after its intended time was not started on time.
ON_TIME_US = 50_000
LAG_SHARE_PERMILLE = 100
LATE_PERMILLE = 50
CLOCK_ERROR_NS = 50 * NS_PER_MS
START_ERROR_NS = 250 * NS_PER_MS

#: So many findings, and so many warnings and losses, are kept; the rest is counted.
MAX_LISTED = 100


class Validity(StrEnum):
    """Whether the generator was fit to be believed."""

    VALID = "VALID"
    INVALID = "INVALID"


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every iteration that was to be run has its record, in exact counts.

    Attributes:
        planned: that were to be run; in a run that only its duration ends, those that were started.
        stored, lost, not_run: as in coordinator/accounting.
        losses: where, when and why, the first `MAX_LISTED`.
    """

    planned: int
    stored: int
    lost: int
    not_run: int
    losses: tuple[Loss, ...] = ()

    @classmethod
    def of(cls, accounting: Accounting) -> "Completeness":
        """What an accounting comes to."""
        stored, lost = accounting.stored, accounting.lost
        return cls(
            planned=stored + lost if accounting.planned is None else accounting.planned,
            stored=stored,
            lost=lost,
            not_run=accounting.not_run,
            losses=accounting.losses[:MAX_LISTED],
        )

    @property
    def permille(self) -> int:
        """Stored of planned, rounded down so that 1,000 means all of it."""
        return self.stored * 1000 // self.planned if self.planned else 1000

    @property
    def is_complete(self) -> bool:
        return not self.lost and not self.not_run and self.stored >= self.planned


def loss_text(loss: Loss) -> str:
    """A loss in words: agent, worker, seconds, how many and why."""
    who = loss.agent or "no agent"
    if loss.agent and loss.worker >= 0:
        who = f"{who} worker {loss.worker}"
    when = ""
    if loss.first_second >= 0:
        when = f", second {loss.first_second}"
        if loss.last_second > loss.first_second:
            when = f", seconds {loss.first_second}-{loss.last_second}"
    plural = "" if loss.count == 1 else "s"
    what = "lost" if loss.kind == "lost" else "not run"
    return f"{who}{when}: {loss.count:,} iteration{plural} {what}: {loss.reason}"


class ScheduleKept(msgspec.Struct, frozen=True, kw_only=True):
    """How the iterations that were due in an open loop started: on time, late, or not at all because of the cap."""

    on_time: int
    late: int
    dropped: int

    @property
    def due(self) -> int:
        return self.on_time + self.late + self.dropped

    @property
    def permille(self) -> int:
        """On time of due, rounded down so that 1,000 means all of it."""
        return self.on_time * 1000 // self.due if self.due else 1000


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One run judged.

    Attributes:
        findings: what makes the generator INVALID. warnings: what a reader should know. Both in order of time,
            those of the whole run last, the first `MAX_LISTED`; `unlisted` counts the rest of both.
        schedule_kept: None in closed loop.
        clock_error_ns: worst bound of an agent's offset, -1 if no agent's is known. start_error_ns: latest start, -1 too.
    """

    complete: Completeness
    generator: Validity
    is_open_loop: bool
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    unlisted: int = 0
    schedule_kept: ScheduleKept | None = None
    clock_error_ns: int = -1
    start_error_ns: int = -1
    sla: tuple[SlaResult, ...] = ()

    @property
    def sla_judgement(self) -> Judgement:
        """All criteria together: fail before unknown before pass."""
        return worst([result.judgement for result in self.sla])


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a run is judged by.

    Attributes:
        last_second: of the run, with load in it.
        schedule, lag_p99_us, response_median_us: open loop; None in closed loop.
    """

    accounting: Accounting
    health: Sequence[HealthSecond]
    hosts: Sequence[HostSecond]
    clocks: Sequence[ClockFit]
    sla: tuple[SlaResult, ...]
    last_second: int
    is_open_loop: bool = False
    schedule: ScheduleKept | None = None
    lag_p99_us: int | None = None
    response_median_us: int | None = None


def judge(evidence: Evidence) -> Verdict:
    """The verdict on one run."""
    findings = [
        *worker_findings(
            evidence.health,
            evidence.last_second,
            is_open_loop=evidence.is_open_loop,
            dead=frozenset(
                (one.agent, one.life, one.worker) for one in evidence.accounting.workers if one.state == "died"
            ),
        ),
        *_never_seen(evidence),
        *_run_findings(evidence),
    ]
    warnings = [*_schedule_warnings(evidence), *_clock_warnings(evidence.clocks), *host_findings(evidence.hosts)]
    unlisted = sum(max(len(listed) - MAX_LISTED, 0) for listed in (findings, warnings))
    return Verdict(
        complete=Completeness.of(evidence.accounting),
        generator=Validity.INVALID if findings else Validity.VALID,
        is_open_loop=evidence.is_open_loop,
        findings=tuple(findings[:MAX_LISTED]),
        warnings=tuple(warnings[:MAX_LISTED]),
        unlisted=unlisted,
        schedule_kept=evidence.schedule,
        clock_error_ns=max((fit.error_ns for fit in evidence.clocks), default=-1),
        start_error_ns=max((fit.start_error_ns for fit in evidence.clocks), default=-1),
        sla=evidence.sla,
    )


def _run_findings(evidence: Evidence) -> list[Finding]:
    """Lag of the whole run, laid at the door of the worker that was latest."""
    if not evidence.is_open_loop:
        return []
    worst_row = max(evidence.health, key=lambda row: row.lag_max_ns, default=None)

    def finding(signal: Signal, value: int, bound: int, unit: Unit) -> Finding:
        return Finding(
            signal=signal,
            agent=worst_row.agent if worst_row else "",
            worker=worst_row.worker if worst_row else None,
            first_second=max(worst_row.second, 0) if worst_row else 0,
            last_second=max(worst_row.second, 0) if worst_row else evidence.last_second,
            value=value,
            bound=bound,
            unit=unit,
        )

    findings = []
    if evidence.lag_p99_us is not None:
        bound_us = max(ON_TIME_US, (evidence.response_median_us or 0) * LAG_SHARE_PERMILLE // 1000)
        if evidence.lag_p99_us > bound_us:
            lag_ns, bound_ns = evidence.lag_p99_us * NS_PER_US, bound_us * NS_PER_US
            findings.append(finding(Signal.LAG_P99, lag_ns, bound_ns, Unit.NANOSECONDS))
    if (kept := evidence.schedule) is not None and kept.late * 1000 > kept.due * LATE_PERMILLE:
        findings.append(finding(Signal.SCHEDULE, kept.late * 1000 // kept.due, LATE_PERMILLE, Unit.PERMILLE))
    return findings


def _never_seen(evidence: Evidence) -> list[Finding]:
    """Workers that stored iterations and not one row about themselves."""
    seen = {(row.agent, row.life, row.worker) for row in evidence.health}
    lasted_ns = (evidence.last_second + 1) * NS_PER_S
    return [
        Finding(
            signal=Signal.UNSEEN,
            agent=one.agent,
            worker=one.worker,
            first_second=0,
            last_second=evidence.last_second,
            value=lasted_ns,
            bound=UNSEEN_NS,
        )
        for one in evidence.accounting.workers
        if one.stored and one.state != "died" and lasted_ns > UNSEEN_NS
        if (one.agent, one.life, one.worker) not in seen
    ]


def _schedule_warnings(evidence: Evidence) -> list[Finding]:
    kept = evidence.schedule
    if kept is None or not kept.dropped:
        return []
    return [
        Finding(
            signal=Signal.DROPPED,
            agent="",
            worker=None,
            first_second=0,
            last_second=evidence.last_second,
            value=max(kept.dropped * 1000 // kept.due, 1),
            bound=0,
            unit=Unit.PERMILLE,
        )
    ]


def _clock_warnings(clocks: Sequence[ClockFit]) -> list[Finding]:
    """One for each agent whose clock or start is too far out at some moment."""
    warnings = []
    for agent in sorted({fit.agent for fit in clocks}):
        own = [fit for fit in clocks if fit.agent == agent]
        for signal, bound_ns, values in (
            (Signal.CLOCK, CLOCK_ERROR_NS, [(fit.error_ns, fit.at_ns) for fit in own]),
            (Signal.START, START_ERROR_NS, [(fit.start_error_ns, fit.at_ns) for fit in own]),
        ):
            value_ns, at_ns = max(values)
            if value_ns > bound_ns:
                second = max(at_ns // NS_PER_S, 0) if signal is Signal.CLOCK else 0
                warnings.append(
                    Finding(
                        signal=signal,
                        agent=agent,
                        worker=None,
                        first_second=second,
                        last_second=second,
                        value=value_ns,
                        bound=bound_ns,
                    )
                )
    return warnings


def exit_code(
    verdicts: Sequence[Verdict],
    *,
    is_aborted: bool = False,
    is_failed: bool = False,
    is_sla_abort: bool = False,
    require_valid: bool = False,
) -> int:
    """What the command line ends with for a task: 4 aborted, 1 error, 3 not to be believed, 2 SLA failed, 0 fine.

    The earlier hides the later. Not to be believed is a run that is incomplete, that is INVALID in open loop (or in any
    loop if `require_valid`), or whose SLA cannot be told.

    Args:
        verdicts: of all runs of the task.
        is_aborted: the user ended it. is_failed: it ended by an error.
        is_sla_abort: it was ended because a criterion failed: that the rest was not run is then no fault.
    """
    if is_aborted:
        return AbortedError.exit_code
    if is_failed:
        return OsbenchError.exit_code
    if any(
        (not verdict.complete.is_complete if not is_sla_abort else verdict.complete.lost > 0)
        or (verdict.generator is Validity.INVALID and (verdict.is_open_loop or require_valid))
        or verdict.sla_judgement is Judgement.UNKNOWN
        for verdict in verdicts
    ):
        return IncompleteError.exit_code
    if any(verdict.sla_judgement is Judgement.FAIL for verdict in verdicts):
        return SlaError.exit_code
    return 0
