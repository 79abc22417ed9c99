"""Stage 10/10 · What a run is shown from, whoever shows it: text, JSON, HTML, the API.

Rules: values only; coordinator/result_reader makes them of what is stored. Durations are whole microseconds unless the
name says otherwise; seconds count from the start of the run. Percentiles are of successful executions alone: what failed
is counted beside them. The JSON form is these very values, so a change of a field here is a change of the schema, whose
version and rules stand in coordinator/report/json and docs/results.md.
"""

from typing import Any

import msgspec

from osbench.coordinator.accounting import Accounting
from osbench.coordinator.verdict import Verdict


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, microseconds; n, min, max and mean are exact, percentiles to 0.4 %."""

    n: int
    min_us: int
    p50_us: int
    p90_us: int
    p95_us: int
    p99_us: int
    p999_us: int
    max_us: int
    mean_us: int

    @property
    def columns_us(self) -> tuple[int, ...]:
        """In the order of the columns of Rally's table: min, median, 90, 95, 99 and 99.9 percent, max, average."""
        return (
            self.min_us,
            self.p50_us,
            self.p90_us,
            self.p95_us,
            self.p99_us,
            self.p999_us,
            self.max_us,
            self.mean_us,
        )


class ActionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of actions.

    Attributes:
        path: names from the outermost action to this one; the whole iteration's rows have the path (`total`,) and
            (`total`, `duration` | `idle_duration` | `response` | `lag`).
        succeeded, failed: executions; those of outcome unknown are in `failed`.
        took: None if none succeeded.
    """

    path: tuple[str, ...]
    succeeded: int
    failed: int
    took: Distribution | None

    @property
    def count(self) -> int:
        return self.succeeded + self.failed


class StatusCount(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that ended with an HTTP status; 0 where no full answer came, -1 where only a histogram is left of them."""

    status: int
    count: int


class CallLine(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of one route.

    Attributes:
        is_renewal: sign-ins that OSBench made itself; they are no part of the load.
        errors: calls that did not end well. took: of those that did. first_byte: time to the first byte, all calls.
    """

    route: str
    is_renewal: bool
    count: int
    errors: int
    statuses: tuple[StatusCount, ...]
    took: Distribution | None
    first_byte: Distribution | None


class ErrorLine(msgspec.Struct, frozen=True, kw_only=True):
    """One text of an error; `source` is iteration or call, `iteration` the lowest index that met it."""

    source: str
    kind: str
    message: str
    count: int
    first_second: int
    last_second: int
    iteration: int


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The load over time, in windows of `width_s` whole seconds; every tuple has one entry for each window.

    Attributes:
        first_second: of the first window. asked: iterations due in the window, None in closed loop.
        started, ended, failed, dropped: iterations in the window; failed are among the ended.
        calls, call_errors: that ended in it. in_flight: iterations at its end.
    """

    width_s: int
    first_second: int
    started: tuple[int, ...] = ()
    ended: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    calls: tuple[int, ...] = ()
    call_errors: tuple[int, ...] = ()
    in_flight: tuple[int, ...] = ()
    asked: tuple[int, ...] | None = None


class LatencyLine(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles over time of one series, by the windows of the timeline; None where nothing of it ended well.

    `kind` is iteration, response, action or call; `name` is empty for the first two.
    """

    kind: str
    name: str
    n: tuple[int, ...]
    p50_us: tuple[int | None, ...]
    p95_us: tuple[int | None, ...]
    p99_us: tuple[int | None, ...]


class HostLine(msgspec.Struct, frozen=True, kw_only=True):
    """A load host and its workers over time; None where nothing was said.

    Attributes:
        width_s, first_second: windows as in the timeline, wider where there are many hosts.
        cpu_permille: mean of all cores. core_max_permille, memory_permille, steal_permille: the worst of the window.
        stall_us, run_queue_permille, lag_us: the worst of any worker in the window.
        sent_bytes, received_bytes: in the window.
    """

    agent: str
    width_s: int
    first_second: int
    cpu_permille: tuple[int | None, ...]
    core_max_permille: tuple[int | None, ...]
    memory_permille: tuple[int | None, ...]
    steal_permille: tuple[int | None, ...]
    stall_us: tuple[int | None, ...]
    run_queue_permille: tuple[int | None, ...]
    lag_us: tuple[int | None, ...]
    sent_bytes: tuple[int | None, ...]
    received_bytes: tuple[int | None, ...]


class AgentWork(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent had to do with the run.

    Attributes:
        workers: how many of its workers had a share. stored, lost: iterations of theirs.
        offset_ns: of its clock, last known; offset_error_ns: worst bound; start_error_ns: how late it started; the
            last two are -1 where they are not known.
    """

    agent: str
    workers: int
    stored: int
    lost: int
    offset_ns: int = 0
    offset_error_ns: int = -1
    start_error_ns: int = -1


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; `at_ns` after the start of the run."""

    kind: str
    text: str
    at_ns: int
    agent: str = ""
    worker: int = -1


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run, finished or under way.

    Attributes:
        position: of the workload in the task. ordinal: of the run in the task.
        runner: its kind. settings: args, runner, contexts, sla and hooks as the task file had them.
        is_final: the run has ended; before that the verdict is of what is stored so far.
        start_wall_ns: of the load, ns since the Unix epoch, None before. load_ns: from the first start to the last
            end. full_ns: contexts and clean-up included, None before the end.
        ended_per_s: iterations that ended, by the load's duration; calls_per_s: calls without renewals.
        durations: the rows total, duration, idle_duration and in open loop response and lag.
    """

    run: str
    task: str
    position: int
    ordinal: int
    scenario: str
    description: str
    runner: str
    settings: dict[str, Any]
    phase: str
    is_final: bool
    is_open_loop: bool
    start_wall_ns: int | None
    load_ns: int
    full_ns: int | None
    ended_per_s: float
    calls_per_s: float
    accounting: Accounting
    verdict: Verdict
    actions: tuple[ActionLine, ...]
    durations: tuple[ActionLine, ...]
    calls: tuple[CallLine, ...]
    errors: tuple[ErrorLine, ...]
    timeline: Timeline
    latencies: tuple[LatencyLine, ...]
    hosts: tuple[HostLine, ...]
    agents: tuple[AgentWork, ...]
    events: tuple[EventLine, ...]

    @property
    def is_begun(self) -> bool:
        """Whether there was any load: not where the set-up failed, or is not over."""
        return self.is_final or self.start_wall_ns is not None or self.accounting.stored > 0


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """A task with all its runs.

    Attributes:
        status: the task's word. failure: why it was invalid or crashed. created_ns, ended_ns: wall time.
    """

    task: str
    title: str
    description: str
    deployment: str
    status: str
    failure: str
    tags: tuple[str, ...]
    created_ns: int
    ended_ns: int | None
    runs: tuple[RunResult, ...]
