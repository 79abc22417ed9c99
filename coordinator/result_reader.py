"""Stage 10/10 · Reads a task or run out of the store into the values it is shown from, and judges it by the way.

Rules: one function for a run, one for a task; both read, neither writes. What is stored is added up here and nothing is
guessed: while a run is under way its result is of what is stored so far, and says so.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import msgspec

from osbench.common.clock import NS_PER_S
from osbench.common.histogram import bucket_of
from osbench.common.outcome import Outcome
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.result import (
    EventLine,
    RunResult,
    TaskResult,
)
from osbench.coordinator.result_lines import (
    action_lines,
    agent_lines,
    call_lines,
    error_lines,
    host_lines,
    latency_lines,
)
from osbench.coordinator.run_records import ResultSource, RunRecords, records_of
from osbench.coordinator.sla import Achieved, ActionTotals, judge_all, parse_criteria
from osbench.coordinator.store.values import (
    ACTION,
    CALL,
    ITERATION,
    LAG,
    RESPONSE,
    CounterRow,
    Run,
)
from osbench.coordinator.task_state import Task
from osbench.coordinator.verdict import ON_TIME_US, Evidence, ScheduleKept, Verdict, judge

#: Phases of the run state machine after which nothing more comes.
FINAL_PHASES = frozenset({"done", "aborted"})

MAX_EVENTS = 500

#: Keys of a workload whose values are not shown.
SECRET = re.compile(r"password|secret|token|credential|private_key", re.IGNORECASE)


class TaskSource(ResultSource, Protocol):
    """What of the store a task is read from."""

    def task_get(self, task: str) -> Task: ...

    def deployment_get(self, reference: str) -> Deployment: ...


def read_task(store: TaskSource, task_id: str) -> TaskResult:
    """A task with the results of all its runs.

    Raises:
        NotFoundError: there is no such task.
    """
    task = store.task_get(task_id)
    return TaskResult(
        task=task.id,
        title=task.title,
        description=task.spec.description,
        deployment=store.deployment_get(task.deployment).name,
        status=task.status.value,
        failure=task.failure,
        tags=task.tags,
        created_ns=task.created_ns,
        ended_ns=task.ended_ns,
        runs=tuple(read_run(store, run.id) for run in store.run_list(task.id)),
    )


def read_run(store: ResultSource, run_id: str, *, accounting: Accounting | None = None) -> RunResult:
    """A run with everything it is shown from.

    Args:
        accounting: where the caller knows it, at the end of the run: the run is then judged as final. Else what is
            stored of it holds, with its verdict; and before there is any, what is stored of the records.

    Raises:
        NotFoundError: there is no such run.
    """
    run = store.run_get(run_id)
    is_final = accounting is not None or run.phase in FINAL_PHASES
    records = records_of(store, run)
    counted = accounting or _accounting_of(run, records.counters)
    if run.verdict and accounting is None:
        verdict = msgspec.convert(run.verdict, Verdict)
    else:
        verdict = judge(_evidence(run, records, counted, is_final=is_final))
    extent = records.extent
    load_ns = extent.last_ended_ns - extent.first_started_ns if extent else 0
    ended = counted.stored - counted.dropped
    calls = sum(row.n for row in records.counters if row.kind == CALL)
    actions, durations = action_lines(records)
    return RunResult(
        run=run.id,
        task=run.task,
        position=run.position,
        ordinal=run.ordinal,
        scenario=run.workload.scenario,
        description=run.workload.description,
        runner=run.workload.runner.kind,
        settings=_settings(run),
        phase=run.phase,
        is_final=is_final,
        is_open_loop=records.is_open_loop,
        start_wall_ns=run.start_wall_ns,
        load_ns=load_ns,
        full_ns=None if run.ended_ns is None else run.ended_ns - run.created_ns,
        ended_per_s=_rate(ended, load_ns),
        calls_per_s=_rate(calls, load_ns),
        accounting=counted,
        verdict=verdict,
        actions=actions,
        durations=durations,
        calls=call_lines(records),
        errors=error_lines(store, run),
        timeline=records.timeline,
        latencies=latency_lines(records),
        hosts=host_lines(records),
        agents=agent_lines(store, run, counted, records.clocks),
        events=tuple(
            EventLine(kind=one.kind, text=one.text, at_ns=one.at_ns, agent=one.agent, worker=one.worker)
            for one in store.event_list(run.id)[:MAX_EVENTS]
        ),
    )


def _rate(count: int, span_ns: int) -> float:
    return count * NS_PER_S / span_ns if span_ns > 0 else 0.0


def _accounting_of(run: Run, counters: Sequence[CounterRow]) -> Accounting:
    """What was concluded, or before that the counts of what is stored, in which nothing is known to be lost."""
    if run.accounting:
        return msgspec.convert(run.accounting, Accounting)
    stored: dict[int, int] = defaultdict(int)
    for row in counters:
        if row.kind == ITERATION:
            stored[row.outcome] += row.n
    return Accounting(
        planned=None,
        ok=stored[Outcome.OK],
        failed=stored[Outcome.FAILED],
        unknown=stored[Outcome.UNKNOWN],
        dropped=stored[Outcome.DROPPED],
    )


def _evidence(run: Run, records: RunRecords, accounting: Accounting, *, is_final: bool) -> Evidence:
    """What the verdict judges by."""
    lag, response = records.every(LAG), records.well(RESPONSE)
    schedule = None
    if records.is_open_loop and (lag is not None or accounting.dropped):
        on_time = int(lag.counts[lag.buckets <= bucket_of(ON_TIME_US)].sum()) if lag is not None else 0
        late = lag.n - on_time if lag is not None else 0
        schedule = ScheduleKept(on_time=on_time, late=late, dropped=accounting.dropped)
    extent = records.extent
    return Evidence(
        accounting=accounting,
        health=records.health,
        hosts=records.hosts,
        clocks=records.clocks,
        sla=judge_all(parse_criteria(run.workload.sla), _achieved(records, accounting, is_final=is_final)),
        last_second=max(extent.last_ended_ns // NS_PER_S, 0) if extent else 0,
        is_open_loop=records.is_open_loop,
        schedule=schedule,
        lag_p99_us=round(lag.percentile_us(0.99)) if lag is not None else None,
        response_median_us=round(response.percentile_us(0.5)) if response is not None else None,
    )


def _achieved(records: RunRecords, accounting: Accounting, *, is_final: bool) -> Achieved:
    every, well = records.every(ITERATION), records.well(ITERATION)
    actions: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (kind, path), by_outcome in records.wholes.items():
        if kind == ACTION and Outcome.OK in by_outcome:
            name, one = path.rpartition("/")[2], by_outcome[Outcome.OK]
            count, sum_us = actions[name]
            actions[name] = (count + one.n, sum_us + one.sum_us)
    return Achieved(
        succeeded=accounting.ok,
        failed=accounting.failed + accounting.unknown,
        lost=accounting.lost,
        max_us=every.max_us if every is not None else 0,
        succeeded_sum_us=well.sum_us if well is not None else 0,
        actions=tuple(ActionTotals(name=name, count=n, sum_us=us) for name, (n, us) in actions.items()),
        is_final=is_final,
    )


def _settings(run: Run) -> dict[str, object]:
    """The workload as the task file had it, for the reader; what is called a secret there is not shown."""
    workload = run.workload
    return {
        "args": _shown(workload.arguments),
        "runner": {"type": workload.runner.kind, **workload.runner.options},
        "contexts": _shown(workload.contexts),
        "sla": workload.sla,
        "hooks": _shown(list(workload.hooks)),
    }


def _shown(value: object) -> object:
    if isinstance(value, dict):
        return {key: "***" if SECRET.search(str(key)) else _shown(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return value
