"""Stage 10/10 · Was the load generator starved: from what workers and hosts say of themselves to findings.

Rules: pure. A finding names agent, worker, seconds, signal, value and bound. A signal counts if it is severe once or
moderate for several rows on end, so that one hiccup of a busy machine is none and a thief of its cores is one. Only
rows with load in them are judged: a worker that waits for the start or has ended its share cannot distort anything.

    signal     severe, one row   sustained, 3 rows   why
    stall      > 250 ms          > 100 ms            The loop woke so late: every time that ended meanwhile reads as much
                                                     longer. 100 ms over a 50 ms sleep is Hyperfoil's watchdog; once, it
                                                     is not rare where a cloud shares two cores. A quarter of a second is.
    run_queue  > 70 %            > 40 %, 5 rows      Share of the row spent runnable without a core. Measured on 2 cores, a
                                                     worker 40 % busy: alone 1 %, beside 2 busy processes 15 %, 4: 35 %,
                                                     8: 62 %, 16: 81 %. Below 40 % it costs a call single milliseconds. (The
                                                     kernel shares cores among sessions first, sched_autogroup: a hog in a
                                                     session of its own hurts less, and then less is seen of it.)
    gc         > 250 ms          > 100 ms            The collector stopped the worker: a stall with a known cause.
    lag        > 500 ms          > 100 ms            Open loop: iterations started so late are not the load asked for.
    frozen     > 2.5 s           -                   A row is due each second and one spans so much: the process did not
                                                     run at all (SIGSTOP, swapping, a suspended machine).
    unseen     > 3.5 s           -                   Rows are missing while work was in flight: dead, or its records are
                                                     lost. Nobody can say how it fared. (Rows have whole seconds, hence
                                                     one more than for frozen.)

Of a host, never more than a warning: the cloud may share the machine, and a closed loop fills a core by nature.

    core       -                 > 95 %, 5 rows      The busiest core.
    steal      -                 > 10 %, 3 rows      The hypervisor gave the time to others, which schedstat does not see.
    memory     > 95 %            -                   Swapping or the kernel's killer comes next.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from enum import StrEnum
from itertools import groupby
from typing import Generic, NamedTuple, TypeVar

import msgspec

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.coordinator.store.values import HealthSecond, HostSecond


class Signal(StrEnum):
    """What was found. Those from LAG_P99 on are the verdict's own, of a whole agent or run."""

    STALL = "stall"
    RUN_QUEUE = "run_queue"
    GC = "gc"
    LAG = "lag"
    FROZEN = "frozen"
    UNSEEN = "unseen"
    CORE = "core"
    STEAL = "steal"
    MEMORY = "memory"
    LAG_P99 = "lag_p99"
    SCHEDULE = "schedule"
    DROPPED = "dropped"
    CLOCK = "clock"
    START = "start"


class Unit(StrEnum):
    """Of a finding's value and bound."""

    NANOSECONDS = "ns"
    PERMILLE = "permille"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found wrong.

    Attributes:
        agent: empty where the whole fleet is meant. worker: None where the whole agent is meant.
        first_second, last_second: of the run, both included.
        value: the worst in that time. bound: what it went over, 0 for none. Both in `unit`.
    """

    signal: Signal
    agent: str
    worker: int | None
    first_second: int
    last_second: int
    value: int
    bound: int
    unit: Unit = Unit.NANOSECONDS

    @property
    def where(self) -> str:
        """Agent, worker and seconds in words."""
        who = self.agent or "all agents"
        if self.worker is not None:
            who = f"{who} worker {self.worker}"
        if self.first_second == self.last_second:
            return f"{who}, second {self.first_second}"
        return f"{who}, seconds {self.first_second}-{self.last_second}"

    @property
    def what(self) -> str:
        """Signal, value and bound in words."""
        bound = f" (bound {quantity(self.bound, self.unit)})" if self.bound else ""
        return f"{_SAID[self.signal]} {quantity(self.value, self.unit)}{bound}"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


_SAID = {
    Signal.STALL: "event loop stalled",
    Signal.RUN_QUEUE: "runnable but without a core",
    Signal.GC: "garbage collector stopped it",
    Signal.LAG: "iterations started late by up to",
    Signal.FROZEN: "frozen for",
    Signal.UNSEEN: "not heard of with work in flight for",
    Signal.CORE: "busiest core",
    Signal.STEAL: "core time stolen by the hypervisor",
    Signal.MEMORY: "memory in use",
    Signal.LAG_P99: "99%ile of the lag",
    Signal.SCHEDULE: "iterations not started on time",
    Signal.DROPPED: "iterations dropped by the cap on those in flight",
    Signal.CLOCK: "offset of its clock known only to",
    Signal.START: "started late by",
}


def quantity(value: int, unit: Unit) -> str:
    """A value with its unit for people: `312 ms`, `3.1 s`, `42 %`."""
    if unit is Unit.PERMILLE:
        return f"{value / 10:g} %"
    if value >= NS_PER_S:
        return f"{value / NS_PER_S:.1f} s"
    return f"{value / NS_PER_MS:.0f} ms" if value >= 10 * NS_PER_MS else f"{value / NS_PER_MS:.2g} ms"


Row = TypeVar("Row", HealthSecond, HostSecond)


class Bound(NamedTuple, Generic[Row]):
    """A line of the table above: found above `severe` in one row, or above `sustained` in `rows` rows on end."""

    signal: Signal
    unit: Unit
    value: Callable[[Row], int]
    severe: int | None
    sustained: int | None
    rows: int = 3


#: Rows shorter than this are no sample of a share: the last row of a worker may span a few milliseconds.
SHARE_SPAN_NS = NS_PER_S // 2
#: Rows longer than this speak of more than their own second.
LONG_SPAN_NS = 3 * NS_PER_S // 2
FROZEN_NS = 5 * NS_PER_S // 2
UNSEEN_NS = FROZEN_NS + NS_PER_S
#: Findings of one signal and worker so few seconds apart are one.
SAME_SECONDS = 2


def run_queue_permille(row: HealthSecond) -> int:
    """Share of a row spent runnable without a core; 0 where the row is too short to be a sample."""
    return row.run_queue_ns * 1000 // row.span_ns if row.span_ns >= SHARE_SPAN_NS else 0


_NS, _PERMILLE = Unit.NANOSECONDS, Unit.PERMILLE
_MS = NS_PER_MS
WORKER_BOUNDS: tuple[Bound[HealthSecond], ...] = (
    Bound(Signal.FROZEN, _NS, lambda row: row.span_ns, FROZEN_NS, None),
    Bound(Signal.STALL, _NS, lambda row: row.stall_ns, 250 * _MS, 100 * _MS),
    Bound(Signal.RUN_QUEUE, _PERMILLE, run_queue_permille, 700, 400, 5),
    Bound(Signal.GC, _NS, lambda row: row.gc_ns, 250 * _MS, 100 * _MS),
)
LAG_BOUND: Bound[HealthSecond] = Bound(Signal.LAG, _NS, lambda row: row.lag_max_ns, 500 * _MS, 100 * _MS)
HOST_BOUNDS: tuple[Bound[HostSecond], ...] = (
    Bound(Signal.CORE, _PERMILLE, lambda row: row.core_max_permille, None, 950, 5),
    Bound(Signal.STEAL, _PERMILLE, lambda row: row.steal_permille, None, 100),
    Bound(Signal.MEMORY, _PERMILLE, lambda row: row.memory_permille, 950, None),
)


def worker_findings(
    rows: Iterable[HealthSecond],
    last_second: int,
    *,
    is_open_loop: bool,
    dead: Set[tuple[str, int, int]] = frozenset(),
) -> list[Finding]:
    """What is wrong with any worker's seconds, in order of time.

    Args:
        rows: of a run, in any order.
        last_second: the run's last second with load.
        is_open_loop: lag is judged.
        dead: (agent, life, worker) of those known to have died: that they fell silent is no news, and what was lost
            with them is said by the accounting.
    """
    bounds = (*WORKER_BOUNDS, LAG_BOUND) if is_open_loop else WORKER_BOUNDS
    findings: list[Finding] = []
    ordered = sorted(rows, key=lambda row: (row.agent, row.life, row.worker, row.second))
    for (agent, life, worker), group in groupby(ordered, key=lambda row: (row.agent, row.life, row.worker)):
        own = list(group)
        loaded = list(_loaded(own))
        for bound in bounds:
            findings.extend(_over(bound, loaded, agent, worker, _seconds_of))
        findings.extend(_unseen(own, None if (agent, life, worker) in dead else last_second, agent, worker))
    return _in_order(_without_echo(findings))


def host_findings(rows: Iterable[HostSecond]) -> list[Finding]:
    """What should be known of the hosts' seconds, in order of time: warnings."""
    findings: list[Finding] = []
    ordered = sorted(rows, key=lambda row: (row.agent, row.second))
    for agent, group in groupby(ordered, key=lambda row: row.agent):
        own = [row for row in group if row.second >= 0]
        for bound in HOST_BOUNDS:
            findings.extend(_over(bound, own, agent, None, lambda row: (row.second, row.second)))
    return _in_order(findings)


def _loaded(rows: Iterable[HealthSecond]) -> Iterator[HealthSecond]:
    """One worker's rows in which it had work: something in flight at the end, or started or ended within."""
    started = ended = 0
    for row in rows:
        is_idle = not row.in_flight and row.started == started and row.ended == ended
        started, ended = row.started, row.ended
        if not is_idle and _seconds_of(row)[1] >= 0:
            yield row


def _seconds_of(row: HealthSecond) -> tuple[int, int]:
    """First and last second a row speaks of; its own is that of the middle of its span."""
    if row.span_ns < LONG_SPAN_NS:
        return row.second, row.second
    middle_ns = row.second * NS_PER_S + NS_PER_S // 2
    first, last = (middle_ns - row.span_ns // 2) // NS_PER_S, (middle_ns + row.span_ns // 2) // NS_PER_S
    return max(first, 0), last


def _over(
    bound: Bound[Row],
    rows: Sequence[Row],
    agent: str,
    worker: int | None,
    seconds_of: Callable[[Row], tuple[int, int]],
) -> Iterator[Finding]:
    """Findings of one signal in the rows of one worker or host."""
    spell: list[Row] = []
    found: list[tuple[Row, int]] = []
    for row in rows:
        value = bound.value(row)
        if bound.severe is not None and value > bound.severe:
            found.append((row, bound.severe))
        if bound.sustained is None:
            continue
        if value <= bound.sustained:
            spell.clear()
            continue
        spell.append(row)
        if len(spell) == bound.rows:
            found.extend((early, bound.sustained) for early in spell)
        elif len(spell) > bound.rows:
            found.append((row, bound.sustained))
    found.sort(key=lambda pair: pair[0].second)
    yield from _joined(
        Finding(
            signal=bound.signal,
            agent=agent,
            worker=worker,
            first_second=seconds_of(row)[0],
            last_second=seconds_of(row)[1],
            value=bound.value(row),
            bound=threshold,
            unit=bound.unit,
        )
        for row, threshold in found
    )


def _joined(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings of one signal and worker, ascending: neighbours become one with the worst value and its bound."""
    last: Finding | None = None
    for finding in findings:
        if last is None:
            last = finding
        elif finding.first_second - last.last_second <= SAME_SECONDS:
            worse = max(last, finding, key=lambda one: (one.value, one.bound))
            last = msgspec.structs.replace(
                last,
                last_second=max(last.last_second, finding.last_second),
                value=worse.value,
                bound=worse.bound,
            )
        else:
            yield last
            last = finding
    if last is not None:
        yield last


def _unseen(rows: Sequence[HealthSecond], last_second: int | None, agent: str, worker: int) -> Iterator[Finding]:
    """Time that no row of a worker speaks of though it had work in flight before; `last_second`: of the run."""
    ends_ns = [row.second * NS_PER_S + (NS_PER_S + row.span_ns) // 2 for row in rows]
    begins_ns = [row.second * NS_PER_S + (NS_PER_S - row.span_ns) // 2 for row in rows[1:]]
    begins_ns.append(ends_ns[-1] if last_second is None else (last_second + 1) * NS_PER_S)
    for row, end_ns, begin_ns in zip(rows, ends_ns, begins_ns, strict=True):
        if row.in_flight and begin_ns - end_ns > UNSEEN_NS:
            yield Finding(
                signal=Signal.UNSEEN,
                agent=agent,
                worker=worker,
                first_second=max(end_ns // NS_PER_S, 0),
                last_second=max(begin_ns // NS_PER_S - 1, end_ns // NS_PER_S, 0),
                value=begin_ns - end_ns,
                bound=UNSEEN_NS,
            )


def _without_echo(findings: Sequence[Finding]) -> list[Finding]:
    """Leave out the stalls and lags that only repeat that a worker was frozen in that time."""
    frozen = [finding for finding in findings if finding.signal is Signal.FROZEN]

    def is_echo(finding: Finding) -> bool:
        return finding.signal in (Signal.STALL, Signal.LAG) and any(
            (one.agent, one.worker) == (finding.agent, finding.worker)
            and one.first_second - 1 <= finding.first_second
            and finding.last_second <= one.last_second + 1
            for one in frozen
        )

    return [finding for finding in findings if not is_echo(finding)]


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (one.first_second, one.agent, -1 if one.worker is None else one.worker))
