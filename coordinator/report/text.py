"""Stage 10/10 · The report in a terminal: Rally's table with its column names, and the verdict beside it, always.

Rules: pure. Without a width nothing is left out, so what goes into a file or a pipe is whole; with one, tables give way
(coordinator/report/table). Colour only where asked for. Whatever came from the cloud is made plain first.
"""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from osbench.coordinator.report.table import Column, plain, table
from osbench.coordinator.report.words import (
    headline,
    milliseconds,
    rate,
    seconds,
    settings_line,
    share,
    verdict_rows,
)
from osbench.coordinator.result import ActionLine, CallLine, ErrorLine, RunResult, TaskResult

#: Lines of losses, findings and errors shown in text; JSON and HTML have all that is kept.
MAX_DETAILS = 10
MAX_ERRORS = 20

GREEN, RED, YELLOW, BOLD, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
_COLOURS = {"VALID": GREEN, "pass": GREEN, "100.0%": GREEN, "INVALID": RED, "fail": RED, "unknown": YELLOW}

ACTION_COLUMNS = (
    Column(title="Action", is_text=True),
    Column(title="Min (sec)", rank=3),
    Column(title="Median (sec)"),
    Column(title="90%ile (sec)", rank=2),
    Column(title="95%ile (sec)"),
    Column(title="99%ile (sec)"),
    Column(title="99.9%ile (sec)", rank=4),
    Column(title="Max (sec)"),
    Column(title="Avg (sec)", rank=1),
    Column(title="Success"),
    Column(title="Count"),
)
CALL_COLUMNS = (
    Column(title="Call", is_text=True),
    Column(title="Count"),
    Column(title="Errors"),
    Column(title="Median (ms)"),
    Column(title="95%ile (ms)"),
    Column(title="99%ile (ms)", rank=1),
    Column(title="Max (ms)", rank=2),
    Column(title="First byte median (ms)", rank=4),
    Column(title="First byte 95%ile (ms)", rank=5),
    Column(title="Status", is_text=True, rank=3),
)


def task_text(result: TaskResult, *, width: int | None = None, colour: bool = False) -> str:
    """The whole task.

    Args:
        width: of the terminal in cells; None where it is none.
        colour: use escape sequences for colours.
    """
    parts = [f"Task {result.task}: {result.status}", plain(result.title)]
    if result.failure:
        parts.append(plain(result.failure))
    for run in result.runs:
        parts.extend(("", run_text(run, width=width, colour=colour)))
    return "\n".join(parts) + "\n"


def run_text(run: RunResult, *, width: int | None = None, colour: bool = False) -> str:
    """One run: what was run, the verdict, the actions, durations, calls, errors."""
    name = f"{BOLD}{run.scenario}{PLAIN}" if colour else run.scenario
    if not run.is_begun:
        return "\n".join([f"{name}  ({plain(settings_line(run))})", "", *_wrapped(headline(run), "", width)])
    parts = [f"{name}  ({plain(settings_line(run))})", "", _verdict_text(run, width, colour=colour), ""]
    parts.append(table("Response Times (sec)", ACTION_COLUMNS, _action_rows(run), width))
    parts.extend(("", _totals(run)))
    if run.calls:
        parts.extend(("", table("Calls (ms)", CALL_COLUMNS, [_call_row(line) for line in run.calls], width)))
    if run.errors:
        parts.extend(("", "\n".join(_error_lines(run.errors, width))))
    return "\n".join(parts)


def _verdict_text(run: RunResult, width: int | None, *, colour: bool) -> str:
    lines = _wrapped(headline(run), "", width)
    for what, judged, said, details in verdict_rows(run):
        word = f"{judged:<9}"
        if colour and (paint := _COLOURS.get(judged)):
            word = f"{paint}{word}{PLAIN}"
        lines.append(f"  {what:<14} {word} {said}".rstrip())
        for detail in details[:MAX_DETAILS]:
            lines.extend(_wrapped(plain(detail), "      ", width))
        if len(details) > MAX_DETAILS:
            lines.append(f"      and {len(details) - MAX_DETAILS} more, see the report")
    return "\n".join(lines)


def _wrapped(text: str, indent: str, width: int | None) -> list[str]:
    """A text in lines that fit; on its further lines two more spaces stand before it."""
    if width is None:
        return [indent + text]
    return wrap(text, max(width, 40), initial_indent=indent, subsequent_indent=f"{indent}  ")


def _action_rows(run: RunResult) -> list[list[str]]:
    return [_action_row(line) for line in (*run.actions, *run.durations)]


def _action_row(line: ActionLine) -> list[str]:
    depth = len(line.path) - 1
    name = plain(line.path[-1], 120)
    took = line.took
    figures = ["n/a"] * 8 if took is None else [seconds(value) for value in took.columns_us]
    return [
        f"{'   ' * (depth - 1)} -> {name}" if depth else name,
        *figures,
        share(line.succeeded, line.count),
        str(line.count),
    ]


def _totals(run: RunResult) -> str:
    lines = [f"Load duration: {run.load_ns / 1e9:.6f}"]
    if run.full_ns is not None:
        lines.append(f"Full duration: {run.full_ns / 1e9:.6f}")
    lines.append(f"Throughput: {rate(run.ended_per_s)} iterations/s, {rate(run.calls_per_s)} calls/s")
    return "\n".join(lines)


def _call_row(line: CallLine) -> list[str]:
    took, first_byte = line.took, line.first_byte
    name = plain(line.route, 120)
    return [
        f"{name} (renewal)" if line.is_renewal else name,
        str(line.count),
        str(line.errors),
        milliseconds(took.p50_us if took else None),
        milliseconds(took.p95_us if took else None),
        milliseconds(took.p99_us if took else None),
        milliseconds(took.max_us if took else None),
        milliseconds(first_byte.p50_us if first_byte else None),
        milliseconds(first_byte.p95_us if first_byte else None),
        statuses(line),
    ]


def statuses(line: CallLine) -> str:
    """How calls ended: `200: 998, 503: 2`; `none` where no full answer came."""
    words = {0: "none", -1: "not kept"}
    return ", ".join(f"{words.get(one.status, one.status)}: {one.count}" for one in line.statuses)


def _error_lines(errors: Sequence[ErrorLine], width: int | None) -> Iterable[str]:
    total = sum(error.count for error in errors)
    yield f"Errors: {total:,} of {len(errors)} kind{'s' if len(errors) != 1 else ''}"
    for error in errors[:MAX_ERRORS]:
        when = f"second {error.first_second}"
        if error.last_second > error.first_second:
            when = f"seconds {error.first_second}-{error.last_second}"
        said = f"{error.count:>7,} x {error.source}, {when}: {plain(error.kind, 80)}: {plain(error.message)}"
        yield from _wrapped(said, "", width)
    if len(errors) > MAX_ERRORS:
        yield f"        and {len(errors) - MAX_ERRORS} more kinds, see the report"
