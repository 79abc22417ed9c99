"""Stage 10/10 · The service levels a workload can ask for; each criterion is pass, fail or unknown.

Rules: pure. A criterion sees an `Achieved` and nothing else, so it is evaluated live and at the end by the same code.
What was lost is not guessed: a criterion passes (or fails) only if it would whatever the lost iterations did, and is
unknown otherwise. An iteration without a full answer (outcome unknown) did not succeed, so it counts as failed.
Dropped iterations were never started: they are the business of the verdict's schedule kept, not of a criterion.

Adding one: a class with `name`, `schema`, `parse` and `judge`, and its line in `CRITERIA`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self

import msgspec

from osbench.common.error import InputError

US_PER_S = 1_000_000

#: Longest duration a criterion can name: the top of the histograms, 24 hours.
MAX_SECONDS = 24 * 3600


class Judgement(StrEnum):
    """What a criterion, or all of them together, came to."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def word(self) -> str:
        """As Rally writes it: Passed, Failed; and Unknown, which Rally does not have."""
        return {"pass": "Passed", "fail": "Failed", "unknown": "Unknown"}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTotals:
    """All successful executions of one atomic action: how many, and the sum of their durations in microseconds."""

    name: str
    count: int
    sum_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """What a run has achieved so far.

    Attributes:
        succeeded, failed: iterations that ended; those of outcome unknown are in `failed`.
        lost: iterations that were started and whose record is gone.
        max_us: longest iteration whatever its outcome, idle time taken off, microseconds.
        succeeded_sum_us: of the durations of those that succeeded, idle time taken off.
        actions: of those that succeeded.
        is_final: nothing more will come.
    """

    succeeded: int
    failed: int
    lost: int = 0
    max_us: int = 0
    succeeded_sum_us: int = 0
    actions: tuple[ActionTotals, ...] = ()
    is_final: bool = True

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed


class SlaResult(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion judged. `detail` is a sentence in Rally's manner, with the figure and its bounds."""

    criterion: str
    judgement: Judgement
    detail: str


class Criterion(Protocol):
    """One criterion with its setting.

    `schema` is the JSON schema of the setting, for the task file; `parse` checks a setting against it and more.
    """

    name: ClassVar[str]
    schema: ClassVar[dict[str, Any]]

    @classmethod
    def parse(cls, setting: object) -> Self:
        """The criterion with a setting as written in a task file.

        Raises:
            InputError: the setting does not fit: says what was found, what is allowed.
        """
        ...

    def judge(self, achieved: Achieved) -> SlaResult:
        """Judge what was achieved."""
        ...


def _number(criterion: str, value: object, low: float, high: float, *, above: bool) -> float:
    """A number of a setting, checked against its bounds; `above`: the lower one itself is not allowed."""
    allowed = f"a number {'above' if above else 'from'} {low:g} {'and up to' if above else 'to'} {high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"sla {criterion}: found {value!r:.80}, allowed is {allowed}")
    if not (low < value <= high if above else low <= value <= high):
        raise InputError(f"sla {criterion}: {value!r} is out of bounds, allowed is {allowed}")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRate:
    """Share of failed iterations, per cent of those that ended, both bounds included.

    Lost iterations may have succeeded or failed, so the rate lies between two figures. While the run is going on, the
    upper bound is judged by what has ended so far, as Rally does; the lower one only at the end.
    """

    name: ClassVar[str] = "failure_rate"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "min": {"type": "number", "minimum": 0, "maximum": 100},
            "max": {"type": "number", "minimum": 0, "maximum": 100},
        },
        "additionalProperties": False,
        "minProperties": 1,
    }

    min_percent: float = 0.0
    max_percent: float = 100.0

    @classmethod
    def parse(cls, setting: object) -> Self:
        if not isinstance(setting, Mapping) or not setting or not set(setting) <= {"min", "max"}:
            raise InputError(f"sla failure_rate: found {setting!r:.80}, allowed are min and max, e.g. {{max: 0}}")
        bounds = {key: _number(f"failure_rate.{key}", value, 0, 100, above=False) for key, value in setting.items()}
        low, high = bounds.get("min", 0.0), bounds.get("max", 100.0)
        if low > high:
            raise InputError(f"sla failure_rate: min {low:g} is above max {high:g}; nothing could pass")
        return cls(min_percent=low, max_percent=high)

    def judge(self, achieved: Achieved) -> SlaResult:
        total = achieved.ended + achieved.lost
        if not total:
            return SlaResult(
                criterion=self.name, judgement=Judgement.UNKNOWN, detail="Failure rate criteria: no iteration ended"
            )
        # The bounds are compared in whole products, so that 1 of 1,000 is exactly 0.1 %.
        lowest, highest = achieved.failed * 100, (achieved.failed + achieved.lost) * 100
        floor = self.min_percent * total if achieved.is_final else 0.0
        ceiling = self.max_percent * total
        if highest < floor or lowest > ceiling:
            judgement = Judgement.FAIL
        elif lowest >= floor and highest <= ceiling:
            judgement = Judgement.PASS
        else:
            judgement = Judgement.UNKNOWN
        rate = f"{lowest / total:.2f}%"
        if achieved.lost:
            rate = f"{rate} to {highest / total:.2f}% ({achieved.lost} lost)"
        detail = f"Failure rate criteria {self.min_percent:.2f}% <= {rate} <= {self.max_percent:.2f}%"
        return SlaResult(criterion=self.name, judgement=judgement, detail=f"{detail} - {judgement.word}")


def _at_most(value_us: float, bound_s: float, achieved: Achieved) -> Judgement:
    """Judge a duration that what was lost could only have raised, or changed in a way that is not known."""
    if value_us > bound_s * US_PER_S:
        return Judgement.FAIL
    return Judgement.UNKNOWN if achieved.lost and achieved.is_final else Judgement.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seconds:
    """What a criterion that is one number of seconds is made of."""

    name: ClassVar[str]
    schema: ClassVar[dict[str, Any]] = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SECONDS}

    seconds: float

    @classmethod
    def parse(cls, setting: object) -> Self:
        return cls(seconds=_number(cls.name, setting, 0, MAX_SECONDS, above=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxSecondsPerIteration(_Seconds):
    """No iteration, failed ones included, took longer than so many seconds."""

    name: ClassVar[str] = "max_seconds_per_iteration"

    def judge(self, achieved: Achieved) -> SlaResult:
        judgement = _at_most(achieved.max_us, self.seconds, achieved) if achieved.ended else Judgement.UNKNOWN
        found = f"{achieved.max_us / US_PER_S:.2f}s" if achieved.ended else "unknown"
        detail = f"Maximum seconds per iteration {found} <= {self.seconds:.2f}s - {judgement.word}"
        return SlaResult(criterion=self.name, judgement=judgement, detail=detail)


def _average(sum_us: int, count: int, bound_s: float, achieved: Achieved) -> tuple[Judgement, str]:
    """Judge an average: what was lost could have moved it either way, so with losses it is not known at the end."""
    if not count:
        return Judgement.UNKNOWN, "unknown"
    average_us = sum_us / count
    judgement = _at_most(average_us, bound_s, achieved)
    if achieved.lost and achieved.is_final:
        judgement = Judgement.UNKNOWN
    return judgement, f"{average_us / US_PER_S:.2f}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxAvgDuration(_Seconds):
    """Successful iterations took on average at most so many seconds, idle time taken off."""

    name: ClassVar[str] = "max_avg_duration"

    def judge(self, achieved: Achieved) -> SlaResult:
        judgement, found = _average(achieved.succeeded_sum_us, achieved.succeeded, self.seconds, achieved)
        detail = f"Average duration of one iteration {found} <= {self.seconds:.2f}s - {judgement.word}"
        return SlaResult(criterion=self.name, judgement=judgement, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxAvgDurationPerAtomic:
    """Each named atomic action took on average at most so many seconds when it succeeded."""

    name: ClassVar[str] = "max_avg_duration_per_atomic"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SECONDS},
        "minProperties": 1,
    }

    seconds: tuple[tuple[str, float], ...]

    @classmethod
    def parse(cls, setting: object) -> Self:
        if not isinstance(setting, Mapping) or not setting or not all(isinstance(action, str) for action in setting):
            raise InputError(f"sla {cls.name}: found {setting!r:.80}, allowed is {{action: seconds, ...}}")
        bounds = tuple(
            (action, _number(f"{cls.name}.{action}", value, 0, MAX_SECONDS, above=True))
            for action, value in setting.items()
        )
        return cls(seconds=bounds)

    def judge(self, achieved: Achieved) -> SlaResult:
        totals = {action.name: action for action in achieved.actions}
        judgements, parts = [], []
        for action, bound_s in self.seconds:
            total = totals.get(action, ActionTotals(name=action, count=0, sum_us=0))
            judgement, found = _average(total.sum_us, total.count, bound_s, achieved)
            judgements.append(judgement)
            parts.append(f"{action}: {found} <= {bound_s:.2f}s - {judgement.word}")
        detail = f"Average duration of one iteration for atomic actions: {'; '.join(parts)}"
        return SlaResult(criterion=self.name, judgement=worst(judgements), detail=detail)


#: All criteria, by the name a task file uses.
CRITERIA: dict[str, type[Criterion]] = {
    criterion.name: criterion
    for criterion in (FailureRate, MaxSecondsPerIteration, MaxAvgDuration, MaxAvgDurationPerAtomic)
}


def worst(judgements: list[Judgement]) -> Judgement:
    """One judgement of several: fail before unknown before pass; none at all is a pass."""
    for judgement in (Judgement.FAIL, Judgement.UNKNOWN):
        if judgement in judgements:
            return judgement
    return Judgement.PASS


def parse_criteria(settings: Mapping[str, object]) -> tuple[Criterion, ...]:
    """The criteria of a workload, from its `sla` section.

    Raises:
        InputError: a criterion that does not exist, or a setting that does not fit.
    """
    unknown = [name for name in settings if name not in CRITERIA]
    if unknown:
        raise InputError(f"sla: {unknown[0]!r:.80} is no criterion; there are {', '.join(sorted(CRITERIA))}")
    return tuple(CRITERIA[name].parse(setting) for name, setting in settings.items())


def judge_all(criteria: tuple[Criterion, ...], achieved: Achieved) -> tuple[SlaResult, ...]:
    """Every criterion judged, in the order of the task file."""
    return tuple(criterion.judge(achieved) for criterion in criteria)
