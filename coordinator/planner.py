"""Stage 2/10 · The planner: a workload, its arguments resolved, becomes the plan that every agent evaluates alone.

Rules: pure. Numbers of the task file become exact fractions by their decimal text (0.1 is one tenth), and times whole
nanoseconds. Runners have Rally's keys and defaults, and do what Rally's documentation says of them.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from osbench.common.clock import NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, Polling, RateStage, Schedule
from osbench.common.task import RunnerSpec, Workload

#: How long iterations in flight may go on after the last start, if none of them has a longer time limit.
DRAIN_NS = 600 * NS_PER_S


def plan_run(
    workload: Workload,
    *,
    run: str,
    task: str,
    seed: int,
    arguments: Mapping[str, Any],
    polling: Polling | None = None,
    request_ids: str = "slow",
) -> Plan:
    """The plan of one run of a workload.

    Args:
        workload: as the task file said, checked.
        run, task: their ids. seed: of every choice an iteration makes.
        arguments: the scenario's, references resolved to ids.
        polling: how states are waited for; None for fast early and slower later.
        request_ids: all, slow or none.
    """
    timeout_ns = nanoseconds(workload.runner.options.get("timeout", 0))
    users = workload.contexts.get("users") or {}
    return Plan(
        run=run,
        task=task,
        scenario=workload.scenario,
        arguments=dict(arguments),
        schedule=schedule_of(workload.runner),
        seed=seed,
        timeout_ns=timeout_ns,
        drain_ns=max(DRAIN_NS, timeout_ns),
        user_choice=users.get("user_choice_method", "random"),
        request_ids=request_ids,
        polling=polling or Polling(),
    )


def schedule_of(runner: RunnerSpec) -> Schedule:
    """When the iterations of a runner start."""
    options = runner.options
    match runner.kind:
        case "serial":
            return ClosedLoop(concurrency=1, iterations=options.get("times", 1))
        case "constant":
            return ClosedLoop(concurrency=options.get("concurrency", 1), iterations=options.get("times", 1))
        case "constant_for_duration":
            concurrency, duration_ns = options.get("concurrency", 1), nanoseconds(options["duration"])
            if not duration_ns:  # Rally: once per slot.
                return ClosedLoop(concurrency=concurrency, iterations=concurrency)
            return ClosedLoop(concurrency=concurrency, duration_ns=duration_ns)
        case "rps":
            cap = options.get("max_concurrency")
            # A cap of all iterations stops none; Rally's default is just that.
            is_cap = cap is not None and cap < options["times"]
            return OpenLoop(
                stages=rate_stages(options["rps"]),
                iterations=options["times"],
                max_in_flight=cap if is_cap else None,
            )
    raise AssertionError(f"runner {runner.kind!r} passed the task file's check and has no schedule")


def rate_stages(rate: Any) -> tuple[RateStage, ...]:
    """The stages of an rps runner: one for a number; for a ramp one per step, the last of which has no end.

    A ramp begins at `start`, grows by `step` every `duration` seconds, and stays at `end` once that is reached; a last
    step that would overshoot is cut to `end`.

    Args:
        rate: iterations a second, or {start, end, step, duration}.
    """
    if not isinstance(rate, Mapping):
        return (_stage(exact(rate), None),)
    start, end, step = exact(rate["start"]), exact(rate["end"]), exact(rate["step"])
    duration_ns = nanoseconds(rate.get("duration", 1))
    stages = []
    while start < end:
        stages.append(_stage(start, duration_ns))
        start += step
    return (*stages, _stage(end, None))


def _stage(rate_hz: Fraction, duration_ns: int | None) -> RateStage:
    return RateStage(numerator=rate_hz.numerator, denominator=rate_hz.denominator, duration_ns=duration_ns)


def exact(number: float) -> Fraction:
    """A number of a task file as the fraction its decimal text names."""
    return Fraction(str(number))


def nanoseconds(seconds: float) -> int:
    """Seconds of a task file as whole nanoseconds, rounded half to even."""
    return round(exact(seconds) * NS_PER_S)


def expected_load_ns(schedule: Schedule) -> int | None:
    """How long the load will take, as far as the plan alone tells: for a progress bar; None if the cloud decides."""
    if isinstance(schedule, OpenLoop):
        return schedule.intended_start_ns(schedule.iterations - 1)
    return schedule.duration_ns


def expected_iterations(schedule: Schedule) -> int | None:
    """How many iterations there will be; None if only time ends the load."""
    return schedule.iterations
