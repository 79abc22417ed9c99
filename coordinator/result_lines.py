"""Stage 10/10 · The lines of a result: actions, calls, errors, latencies over time, hosts, agents.

Rules: each function makes one kind of line of what was read and added up; none judges, and none reads another's.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from osbench.common.clock import NS_PER_US
from osbench.common.outcome import Outcome
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.merge import Histogram
from osbench.coordinator.result import (
    ActionLine,
    AgentWork,
    CallLine,
    Distribution,
    ErrorLine,
    HostLine,
    LatencyLine,
    StatusCount,
)
from osbench.coordinator.run_records import ResultSource, RunRecords
from osbench.coordinator.starvation import run_queue_permille
from osbench.coordinator.store.values import (
    ACTION,
    CALL,
    CALL_FIRST_BYTE,
    IDLE,
    ITERATION,
    LAG,
    RENEWAL,
    RESPONSE,
    TOTAL,
    ClockFit,
    CounterRow,
    HealthSecond,
    HostSecond,
    Run,
)
from osbench.coordinator.windows import Windows

#: Series of each kind that get percentiles over time, the most frequent first.
MAX_ACTION_LATENCIES = 12
MAX_CALL_LATENCIES = 8
#: Points of all hosts together; with many hosts each has fewer, wider windows.
MAX_HOST_POINTS = 6_000
#: Errors shown; the store keeps all.
MAX_ERRORS = 200
FRACTIONS = (0.5, 0.9, 0.95, 0.99, 0.999)
DURATION_ROWS = (
    (TOTAL, ()),
    (ITERATION, ("duration",)),
    (IDLE, ("idle_duration",)),
    (RESPONSE, ("response",)),
    (LAG, ("lag",)),
)


def distribution(histogram: Histogram | None) -> Distribution | None:
    """A histogram's figures; None of none."""
    if histogram is None:
        return None
    p50, p90, p95, p99, p999 = (round(value) for value in histogram.percentiles_us(FRACTIONS))
    return Distribution(
        n=histogram.n,
        min_us=histogram.min_us,
        p50_us=p50,
        p90_us=p90,
        p95_us=p95,
        p99_us=p99,
        p999_us=p999,
        max_us=histogram.max_us,
        mean_us=round(histogram.mean_us),
    )


def _action_line(records: RunRecords, path: tuple[str, ...], kind: str, name: str) -> ActionLine:
    well = records.well(kind, name)
    return ActionLine(
        path=path, succeeded=well.n if well else 0, failed=records.badly(kind, name), took=distribution(well)
    )


def action_lines(records: RunRecords) -> tuple[tuple[ActionLine, ...], tuple[ActionLine, ...]]:
    """Rows of the actions, each after the one around it, in the order in which they first ran; and of the whole."""

    def place(path: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
        outer = (path[: depth + 1] for depth in range(len(path)))
        return tuple((records.ordinals.get((ACTION, "/".join(part)), 0), part[-1]) for part in outer)

    paths = sorted((tuple(name.split("/")) for kind, name in records.wholes if kind == ACTION), key=place)
    actions = tuple(_action_line(records, path, ACTION, "/".join(path)) for path in paths)
    durations = tuple(
        _action_line(records, ("total", *suffix), kind, "")
        for kind, suffix in DURATION_ROWS
        if (kind, "") in records.wholes
    )
    return actions, durations


def call_lines(records: RunRecords) -> tuple[CallLine, ...]:
    """One line for each route, the most frequent first, renewals last."""
    by_route: dict[tuple[str, str], list[CounterRow]] = defaultdict(list)
    for row in records.counters:
        if row.kind in (CALL, RENEWAL):
            by_route[row.kind, row.name].append(row)
    lines = []
    for (kind, route), rows in by_route.items():
        statuses: dict[int, int] = defaultdict(int)
        for row in rows:
            statuses[row.status] += row.n
        lines.append(
            CallLine(
                route=route,
                is_renewal=kind == RENEWAL,
                count=sum(row.n for row in rows),
                errors=sum(row.n for row in rows if row.outcome != Outcome.OK),
                statuses=tuple(StatusCount(status=status, count=n) for status, n in sorted(statuses.items())),
                took=distribution(records.well(kind, route)),
                first_byte=distribution(records.every(CALL_FIRST_BYTE, route)) if kind == CALL else None,
            )
        )
    return tuple(sorted(lines, key=lambda line: (line.is_renewal, -line.count, line.route)))


def without_kind(message: str, kind: str) -> str:
    """A message of a failed call, `ROUTE: KIND: WORDS`, without the kind, which is shown beside it."""
    return message.replace(f": {kind}: ", ": ", 1).removesuffix(f": {kind}")


def error_lines(store: ResultSource, run: Run) -> tuple[ErrorLine, ...]:
    return tuple(
        ErrorLine(
            source=row.source,
            kind=row.kind,
            message=without_kind(row.message, row.kind),
            count=row.n,
            first_second=row.first_second,
            last_second=row.last_second,
            iteration=row.iteration,
        )
        for row in store.error_list(run.id)[:MAX_ERRORS]
    )


def latency_lines(records: RunRecords) -> tuple[LatencyLine, ...]:
    """Percentiles over time: iteration, response, then the most frequent actions and calls."""
    chosen = [key for key in ((ITERATION, ""), (RESPONSE, "")) if key in records.latencies]
    for kind, most in ((ACTION, MAX_ACTION_LATENCIES), (CALL, MAX_CALL_LATENCIES)):
        keys = [key for key in records.latencies if key[0] == kind]
        keys.sort(key=lambda key: -records.wholes[key][Outcome.OK].n)
        kept = set(keys[:most])
        chosen.extend(sorted(kept, key=lambda key: (records.ordinals[key], keys.index(key))))
    lines = []
    for kind, name in chosen:
        over_time = records.latencies[kind, name]
        points = [over_time.get(at) for at in range(records.windows.count)]
        lines.append(
            LatencyLine(
                kind=kind,
                name=name,
                n=tuple(point[0] if point else 0 for point in points),
                p50_us=tuple(point[1] if point else None for point in points),
                p95_us=tuple(point[2] if point else None for point in points),
                p99_us=tuple(point[3] if point else None for point in points),
            )
        )
    return tuple(lines)


Row = TypeVar("Row", HealthSecond, HostSecond)


def host_lines(records: RunRecords) -> tuple[HostLine, ...]:
    """One line for each agent."""
    agents = sorted({row.agent for row in records.hosts} | {row.agent for row in records.health})
    if not agents:
        return ()
    whole = records.windows
    last = whole.begin(whole.count) - 1
    windows = Windows.over(whole.first_second, last, max(min(MAX_HOST_POINTS // len(agents), whole.count), 2))

    def worst(rows: Sequence[Row], value: Callable[[Row], int]) -> tuple[int | None, ...]:
        return windows.worst((row.second, value(row)) for row in rows)

    lines = []
    hosts, health = _by_agent(records.hosts, last), _by_agent(records.health, last)
    for agent in agents:
        own_hosts, own_health = hosts.get(agent, []), health.get(agent, [])
        rows = windows.sums((row.second, 1) for row in own_hosts)
        busy = windows.sums((row.second, row.cpu_permille) for row in own_hosts)
        sent = windows.sums((row.second, row.sent_bytes) for row in own_hosts)
        received = windows.sums((row.second, row.received_bytes) for row in own_hosts)
        lines.append(
            HostLine(
                agent=agent,
                width_s=windows.width_s,
                first_second=windows.first_second,
                cpu_permille=tuple(total // n if n else None for total, n in zip(busy, rows, strict=True)),
                core_max_permille=worst(own_hosts, lambda row: row.core_max_permille),
                memory_permille=worst(own_hosts, lambda row: row.memory_permille),
                steal_permille=worst(own_hosts, lambda row: row.steal_permille),
                stall_us=worst(own_health, lambda row: max(row.stall_ns, 0) // NS_PER_US),
                run_queue_permille=worst(own_health, run_queue_permille),
                lag_us=worst(own_health, lambda row: max(row.lag_max_ns, 0) // NS_PER_US),
                sent_bytes=tuple(value if n else None for value, n in zip(sent, rows, strict=True)),
                received_bytes=tuple(value if n else None for value, n in zip(received, rows, strict=True)),
            )
        )
    return tuple(lines)


def _by_agent(rows: Sequence[Row], last_second: int) -> dict[str, list[Row]]:
    """Rows of the time the run is shown for, by agent: what came before and after it is no part of the picture."""
    by_agent: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if 0 <= row.second <= last_second:
            by_agent[row.agent].append(row)
    return by_agent


def agent_lines(
    store: ResultSource, run: Run, accounting: Accounting, clocks: Sequence[ClockFit]
) -> tuple[AgentWork, ...]:
    workers: dict[str, set[tuple[int, int]]] = defaultdict(set)
    stored: dict[str, int] = defaultdict(int)
    lost: dict[str, int] = defaultdict(int)
    for totals in store.batch_totals(run.id):
        if totals.iterations:
            workers[totals.agent].add((totals.life, totals.worker))
            stored[totals.agent] += totals.iterations
    for account in accounting.workers:
        workers[account.agent].add((account.life, account.worker))
        lost[account.agent] += account.lost
    fits: dict[str, list[ClockFit]] = defaultdict(list)
    for fit in clocks:
        fits[fit.agent].append(fit)
    return tuple(
        AgentWork(
            agent=agent,
            workers=len(workers[agent]),
            stored=stored[agent],
            lost=lost[agent],
            offset_ns=fits[agent][-1].offset_ns if fits[agent] else 0,
            offset_error_ns=max((fit.error_ns for fit in fits[agent]), default=-1),
            start_error_ns=max((fit.start_error_ns for fit in fits[agent]), default=-1),
        )
        for agent in sorted({*workers, *fits})
    )
