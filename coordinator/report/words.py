"""Figures and judgements in words, the same in every report.

Rules: pure. Shares are never rounded up to all or down to nothing: 99.96 % of something is not 100 %.
"""

from osbench.coordinator.result import RunResult
from osbench.coordinator.sla import Judgement
from osbench.coordinator.verdict import Validity, Verdict, loss_text

MS_NS = 1_000_000
S_NS = 1_000_000_000


def seconds(value_us: int | None) -> str:
    """Microseconds as seconds with three digits; `n/a` of none."""
    return "n/a" if value_us is None else f"{value_us / 1_000_000:.3f}"


def milliseconds(value_us: int | None) -> str:
    """Microseconds as milliseconds with one digit; `n/a` of none."""
    return "n/a" if value_us is None else f"{value_us / 1_000:,.1f}"


def share(part: int, whole: int) -> str:
    """Per cent with one digit, rounded towards the middle: only all is 100.0 %, only nothing 0.0 %."""
    if not whole:
        return "n/a"
    permille = part * 1000 // whole
    if part and not permille:
        return "<0.1%"
    return f"{permille / 10:.1f}%"


def span(nanoseconds: int) -> str:
    """A duration for people: 0.18 ms, 12.4 s, 2 min 05 s, 1 h 02 min."""
    if nanoseconds < 10 * MS_NS:
        return f"{nanoseconds / MS_NS:.2f} ms"
    if nanoseconds < S_NS:
        return f"{nanoseconds / MS_NS:.0f} ms"
    if nanoseconds < 100 * S_NS:
        return f"{nanoseconds / S_NS:.1f} s"
    minutes, rest_s = divmod(round(nanoseconds / S_NS), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rate(per_s: float) -> str:
    """A rate with a digit or so that matters."""
    if not per_s:
        return "0"
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}" if per_s >= 1 else f"{per_s:.3f}"


def settings_line(run: RunResult) -> str:
    """The runner with its keys: `rps: times 1200, rps 20`."""
    runner = run.settings.get("runner")
    keys = runner.items() if isinstance(runner, dict) else ()
    said = ", ".join(f"{key} {value}" for key, value in keys if key != "type")
    return f"{run.runner}: {said}" if said else run.runner


#: Of a run whose set-up has failed or is under way.
NOT_BEGUN = "No load was put on the cloud: no iteration has begun."


def headline(run: RunResult) -> str:
    """The verdict in one sentence."""
    verdict = run.verdict
    if not run.is_begun:
        return NOT_BEGUN
    if not run.is_final:
        return "The run has not ended: all of this is of what is stored so far."
    troubles = []
    if not verdict.complete.is_complete:
        complete = verdict.complete
        said = [f"{complete.lost:,} were lost"] if complete.lost else []
        said += [f"{complete.not_run:,} were not run"] if complete.not_run else []
        troubles.append(f"of {complete.planned:,} iterations {' and '.join(said) or 'some have no record'}")
    if verdict.generator is Validity.INVALID:
        troubles.append("the load generator was starved, so its numbers are not those of the cloud alone")
    if verdict.sla_judgement is Judgement.FAIL:
        troubles.append("the service level asked for was not met")
    if verdict.sla_judgement is Judgement.UNKNOWN:
        troubles.append("whether the service level was met cannot be told")
    if not troubles:
        return "Every iteration is accounted for, the generator was fit, and the service level was met."
    text = "; ".join(troubles)
    return f"{text[0].upper()}{text[1:]}."


def verdict_rows(run: RunResult) -> list[tuple[str, str, str, list[str]]]:
    """The verdict line by line: what is judged, the judgement, a sentence, and what it rests on."""
    verdict = run.verdict
    rows = [_complete_row(verdict), _generator_row(verdict)]
    if verdict.schedule_kept is not None:
        kept = verdict.schedule_kept
        said = f"{kept.on_time:,} of {kept.due:,} iterations on time, {kept.late:,} late, {kept.dropped:,} dropped"
        rows.append(("Schedule kept", share(kept.on_time, kept.due), said, []))
    if verdict.clock_error_ns >= 0 or verdict.start_error_ns >= 0:
        bound = f"±{span(verdict.clock_error_ns)}" if verdict.clock_error_ns >= 0 else "unknown"
        start = f"latest start {span(verdict.start_error_ns)} after T0" if verdict.start_error_ns >= 0 else ""
        rows.append(("Clock error", bound, start, []))
    judged = [result.detail for result in verdict.sla]
    rows.append(("SLA", verdict.sla_judgement.value if judged else "none", "" if judged else "no criteria", judged))
    if verdict.warnings:
        rows.append(("Warnings", str(len(verdict.warnings)), "", [str(warning) for warning in verdict.warnings]))
    return rows


def _complete_row(verdict: Verdict) -> tuple[str, str, str, list[str]]:
    complete = verdict.complete
    said = f"{complete.stored:,} of {complete.planned:,} iterations stored"
    if complete.lost:
        said += f", {complete.lost:,} lost"
    if complete.not_run:
        said += f", {complete.not_run:,} not run"
    return "Complete", share(complete.stored, complete.planned), said, [loss_text(loss) for loss in complete.losses]


def _generator_row(verdict: Verdict) -> tuple[str, str, str, list[str]]:
    findings = [str(finding) for finding in verdict.findings]
    said = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}" if findings else "no sign of starvation"
    if verdict.unlisted:
        findings.append(f"and {verdict.unlisted:,} more findings and warnings")
    return "Generator", verdict.generator.value, said, findings


def badge(run: RunResult) -> tuple[str, str]:
    """The verdict in a word, and its tone: good, warn or bad. The gravest trouble gives the word."""
    verdict = run.verdict
    if not run.is_begun:
        return "NOT BEGUN", "warn"
    if not run.is_final:
        return "NOT ENDED", "warn"
    if verdict.generator is Validity.INVALID:
        return "INVALID", "bad"
    if not verdict.complete.is_complete:
        return "INCOMPLETE", "bad"
    if verdict.sla_judgement is Judgement.FAIL:
        return "SLA FAILED", "bad"
    if verdict.sla_judgement is Judgement.UNKNOWN:
        return "SLA UNKNOWN", "warn"
    return "VALID", "good"


def seconds_between(first_second: int, last_second: int) -> str:
    """`second 5` or `seconds 5-60`."""
    return f"second {first_second}" if first_second >= last_second else f"seconds {first_second}-{last_second}"
