"""Stage 10/10 · The report as one HTML file that needs nothing else: no network and no library.

Rules: it reads on a phone, in the dark and on paper. Every text goes through the template's escaping; what the charts
need travels as JSON with every `<`, `>` and `&` escaped, and the page's script puts it in as text only. The page
forbids itself everything else by a content security policy that names its one style and its one script by their hashes,
so even a text that got past the escaping could not run. The windows of coordinator/result bound the size of the file.
"""

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from math import log10
from pathlib import Path

import jinja2
import msgspec
from markupsafe import Markup

from osbench.common.clock import NS_PER_S
from osbench.coordinator.report.charts import chart_data
from osbench.coordinator.report.words import (
    badge,
    headline,
    milliseconds,
    rate,
    seconds,
    seconds_between,
    settings_line,
    share,
    span,
    verdict_rows,
)
from osbench.coordinator.result import (
    ActionLine,
    AgentWork,
    CallLine,
    Distribution,
    EventLine,
    HostLine,
    RunResult,
    TaskResult,
)
from osbench.coordinator.starvation import Unit, quantity

_HERE = Path(__file__).parent
_TONES = {"VALID": "good", "pass": "good", "100.0%": "good", "INVALID": "bad", "fail": "bad", "unknown": "warn"}
#: What a line of the verdict rests on, many and one.
_NOUNS = {"Complete": "losses", "Generator": "findings", "SLA": "criteria", "Warnings": "to know of"}
_NOUN = {"Complete": "loss", "Generator": "finding", "SLA": "criterion", "Warnings": "to know of"}
#: Rows of the whole iteration that are no latency: they would stretch the scale of the spreads.
_WITHOUT_SPREAD = (("total", "idle_duration"), ("total", "lag"))
#: Pixels of a spread, without its margins.
_SPREAD_WIDTH = 156


def task_html(result: TaskResult) -> str:
    """The page of a task."""
    data = msgspec.json.encode([chart_data(run) for run in result.runs]).decode()
    for char in "<>&\u2028\u2029":
        data = data.replace(char, f"\\u{ord(char):04x}")
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return _template().render(
        page=_page(result), data=Markup(data), style=Markup(style), script=Markup(script), policy=policy
    )


@cache
def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    what: str
    judged: str
    said: str
    details: list[str]
    summary: str
    tone: str
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """Places on a logarithmic scale, pixels."""

    low: float
    high: float
    p50: float
    box: float
    p99: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Action:
    name: str
    depth: int
    is_total: bool
    cells: list[str]
    success: str
    is_bad: bool
    count: str
    spread: _Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chip:
    text: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    route: str
    is_renewal: bool
    errors: int
    cells: list[str]
    statuses: list[_Chip]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Error:
    count: str
    source: str
    when: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agent:
    name: str
    cells: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    when: str
    kind: str
    who: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One workload's part of the page; every field is a text or made of texts."""

    anchor: str
    scenario: str
    description: str
    runner: str
    word: str
    tone: str
    headline: str
    overview: list[str]
    verdict: list[_Judged]
    tiles: list[tuple[str, str, str]]
    window: str
    actions: list[_Action]
    calls: list[_Call]
    errors: list[_Error]
    errors_said: str
    agents: list[_Agent]
    has_hosts: bool
    events: list[_Event]
    settings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    title: str
    description: str
    failure: str
    facts: list[tuple[str, str]]
    runs: list[_Run]
    version: str


def _page(result: TaskResult) -> _Page:
    facts = [("Task", result.task), ("Status", result.status), ("Deployment", result.deployment)]
    facts.append(("Created", _moment(result.created_ns)))
    if result.ended_ns is not None:
        facts.append(("Took", span(result.ended_ns - result.created_ns)))
    if result.tags:
        facts.append(("Tags", ", ".join(result.tags)))
    return _Page(
        title=result.title,
        description=result.description,
        failure=result.failure,
        facts=facts,
        runs=[_run(run) for run in result.runs],
        version=version("osbench"),
    )


def _moment(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _run(run: RunResult) -> _Run:
    word, tone = badge(run)
    errors = sum(error.count for error in run.errors)
    width_s = run.timeline.width_s
    return _Run(
        anchor=f"run-{run.ordinal}",
        scenario=run.scenario,
        description=run.description,
        runner=settings_line(run),
        word=word,
        tone=tone,
        headline=headline(run),
        overview=_overview(run),
        verdict=[_judged(*row) for row in verdict_rows(run)],
        tiles=_tiles(run),
        window="second" if width_s == 1 else f"window of {width_s} seconds",
        actions=_actions(run),
        calls=[_call(line) for line in run.calls],
        errors=[
            _Error(
                count=f"{error.count:,}",
                source=error.source,
                when=seconds_between(error.first_second, error.last_second),
                kind=error.kind,
                message=error.message,
            )
            for error in run.errors
        ],
        errors_said=f"{errors:,} of {len(run.errors)} kind{'s' if len(run.errors) != 1 else ''}",
        agents=[_agent(agent, run.hosts) for agent in run.agents],
        has_hosts=bool(run.hosts),
        events=[_event(event) for event in run.events],
        settings=msgspec.json.format(msgspec.json.encode(run.settings), indent=2).decode(),
    )


def _judged(what: str, judged: str, said: str, details: list[str]) -> _Judged:
    tone = _TONES.get(judged, "")
    if what == "Complete" and not tone:
        tone = "bad"
    if what == "Warnings":
        tone = "warn"
    noun = (_NOUN if len(details) == 1 else _NOUNS).get(what, "")
    return _Judged(
        what=what,
        judged=judged,
        said=said,
        details=details,
        summary=f"{what}: {len(details)} {noun}",
        tone=tone,
        is_open=tone in ("bad", "warn") and len(details) <= 5,
    )


def _whole(run: RunResult) -> ActionLine | None:
    return next((line for line in run.durations if line.path == ("total",)), None)


def _overview(run: RunResult) -> list[str]:
    whole = _whole(run)
    took = whole.took if whole else None
    return [
        f"{whole.count if whole else 0:,}",
        share(whole.succeeded, whole.count) if whole else "n/a",
        *(seconds(value) for value in ((took.p50_us, took.p95_us, took.p99_us) if took else (None, None, None))),
        rate(run.ended_per_s),
    ]


def _tiles(run: RunResult) -> list[tuple[str, str, str]]:
    whole = _whole(run)
    took = whole.took if whole else None
    count, succeeded = (whole.count, whole.succeeded) if whole else (0, 0)
    tiles = [
        ("Iterations", f"{count:,}", f"{count - succeeded:,} failed"),
        ("Success", share(succeeded, count), f"{run.accounting.dropped:,} dropped" if run.is_open_loop else ""),
        ("Throughput", f"{rate(run.ended_per_s)}/s", f"{rate(run.calls_per_s)} calls/s"),
    ]
    if took is not None:
        tiles.append(("Median", span(took.p50_us * 1_000), "of an iteration"))
        tiles.append(("95%ile", span(took.p95_us * 1_000), f"99%ile {span(took.p99_us * 1_000)}"))
    tiles.append(("Load", span(run.load_ns), f"{span(run.full_ns)} in all" if run.full_ns is not None else ""))
    return tiles


def _actions(run: RunResult) -> list[_Action]:
    lines = (*run.actions, *run.durations)
    tooks = [line.took for line in lines if line.took is not None and line.path not in _WITHOUT_SPREAD]
    low = log10(max(min((took.min_us for took in tooks if took.min_us), default=1), 1))
    high = max(log10(max((took.max_us for took in tooks), default=10)), low + 0.1)

    def place(value_us: int) -> float:
        ratio = (log10(max(value_us, 1)) - low) / (high - low)
        return round(2 + _SPREAD_WIDTH * min(max(ratio, 0.0), 1.0), 1)

    def spread(took: Distribution | None) -> _Spread | None:
        if took is None:
            return None
        return _Spread(
            low=place(took.min_us),
            high=place(took.max_us),
            p50=place(took.p50_us),
            box=max(round(place(took.p95_us) - place(took.p50_us), 1), 1.5),
            p99=place(took.p99_us),
            label=f"min {seconds(took.min_us)}, median {seconds(took.p50_us)}, 95%ile {seconds(took.p95_us)}, "
            f"99%ile {seconds(took.p99_us)}, max {seconds(took.max_us)}",
        )

    return [
        _Action(
            name=line.path[-1],
            depth=min(len(line.path) - 1, 3),
            is_total=line.path == ("total",),
            cells=[seconds(value) for value in (line.took.columns_us if line.took else (None,) * 8)],
            success=share(line.succeeded, line.count),
            is_bad=bool(line.failed) and not (line.path[0] == "total" and len(line.path) > 1),
            count=f"{line.count:,}",
            spread=None if line.path in _WITHOUT_SPREAD else spread(line.took),
        )
        for line in lines
    ]


def _call(line: CallLine) -> _Call:
    took, first_byte = line.took, line.first_byte
    figures = (took.p50_us, took.p95_us, took.p99_us, took.p999_us, took.max_us) if took else (None,) * 5
    first = (first_byte.p50_us, first_byte.p95_us) if first_byte else (None, None)
    words = {0: "no answer", -1: "status not kept"}
    return _Call(
        route=line.route,
        is_renewal=line.is_renewal,
        errors=line.errors,
        cells=[f"{line.count:,}", f"{line.errors:,}", *(milliseconds(value) for value in (*figures, *first))],
        statuses=[
            _Chip(
                text=f"{words.get(one.status, one.status)} × {one.count:,}",
                tone="bad" if one.status == 0 or one.status >= 400 else "",
            )
            for one in line.statuses
        ],
    )


def _agent(agent: AgentWork, hosts: tuple[HostLine, ...]) -> _Agent:
    host = next((one for one in hosts if one.agent == agent.agent), None)

    def worst(values: tuple[int | None, ...] | None) -> int | None:
        return max((value for value in values or () if value is not None), default=None)

    core = worst(host.core_max_permille if host else None)
    stall_us = worst(host.stall_us if host else None)
    waited = worst(host.run_queue_permille if host else None)
    lag_us = worst(host.lag_us if host else None)
    return _Agent(
        name=agent.agent,
        cells=[
            str(agent.workers),
            f"{agent.stored:,}",
            f"{agent.lost:,}",
            f"±{span(agent.offset_error_ns)}" if agent.offset_error_ns >= 0 else "n/a",
            span(agent.start_error_ns) if agent.start_error_ns >= 0 else "n/a",
            "n/a" if core is None else quantity(core, Unit.PERMILLE),
            "n/a" if stall_us is None else span(stall_us * 1_000),
            "n/a" if waited is None else quantity(waited, Unit.PERMILLE),
            "n/a" if lag_us is None else span(lag_us * 1_000),
        ],
    )


def _event(event: EventLine) -> _Event:
    who = event.agent if event.worker < 0 else f"{event.agent} worker {event.worker}"
    return _Event(when=f"{event.at_ns / NS_PER_S:.1f} s", kind=event.kind, who=who, text=event.text)
