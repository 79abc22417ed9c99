"""The keys of every runner: Rally's own, with its bounds and defaults, and what must hold between them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from osbench.common.plan import MAX_CONCURRENCY, MAX_ITERATIONS
from osbench.coordinator.task_file.document import Node, Table
from osbench.coordinator.task_file.problem import Position, Problems
from osbench.coordinator.task_file.schema import ABSENT, REQUIRED, Anything, Either, Key, Mapped, Number, Schema

#: Longest time a runner may ask for, seconds: a year.
MAX_SECONDS = 365 * 24 * 3600
#: Highest arrival rate, iterations a second, and most steps of a ramp.
MAX_RATE_HZ = 10_000_000
MAX_STEPS = 10_000

TIMES = Number(whole=True, minimum=1, maximum=MAX_ITERATIONS)
CONCURRENCY = Number(whole=True, minimum=1, maximum=MAX_CONCURRENCY)
SECONDS = Number(minimum=0, maximum=MAX_SECONDS)
RATE = Number(minimum=1, maximum=MAX_RATE_HZ)
#: Accepted as Rally accepts it, and ignored: how many processes there are is a matter of the load hosts.
MAX_CPU_COUNT = Key(schema=Number(whole=True, minimum=1), default=ABSENT)

RAMP = Mapped(
    keys={
        "start": Key(schema=RATE),
        "end": Key(schema=RATE),
        "step": Key(schema=RATE),
        "duration": Key(schema=Number(minimum=1, maximum=MAX_SECONDS), default=1),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerKind:
    """One runner: its keys, and a check of what no single key tells.

    Attributes:
        title: what it does, in one line.
        others: what further keys may hold; None if there may be none.
        check: what is wrong with options that each fit alone, as (key, message), or None.
        ignored: keys that are taken and have no effect.
    """

    title: str
    keys: Mapping[str, Key]
    others: Schema | None = None
    check: Callable[[Mapping[str, Any]], tuple[str, str] | None] = lambda _options: None
    ignored: tuple[str, ...] = ("max_cpu_count",)

    def read(self, entries: Table, at: Position, where: str, problems: Problems) -> dict[str, Any]:
        """The options with defaults; `entries` are the runner's own keys, `at` is where a missing one is missed."""
        before = len(problems.found)
        schema = Mapped(keys=self.keys, others=self.others)
        options = schema.read_entries(entries.entries, at, where, problems)
        if len(problems.found) == before and (wrong := self.check(options)):
            key, message = wrong
            entry = entries.entry(key)
            problems.add(entry.value.position if entry else at, f"{where}: {message}")
        return options

    def notes(self, options: Mapping[str, Any], where: str) -> tuple[str, ...]:
        """What was written and has no effect, one line each."""
        ignored = [key for key in options if key in self.ignored or key not in self.keys]
        return tuple(f"{where}: {key} has no effect here" for key in ignored)

    def effective(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options without those that have no effect."""
        return {key: value for key, value in options.items() if key in self.keys and key not in self.ignored}


def _at_most_times(options: Mapping[str, Any]) -> tuple[str, str] | None:
    times, concurrency = options["times"], options["concurrency"]
    if concurrency <= times:
        return None
    return "concurrency", f"concurrency is {concurrency}; allowed: at most times, which is {times}"


def _ramp_problem(options: Mapping[str, Any]) -> tuple[str, str] | None:
    rate = options["rps"]
    if not isinstance(rate, Mapping):
        return None
    start, end, step = (Fraction(str(rate[key])) for key in ("start", "end", "step"))
    if end < start:
        return "rps", f"rps: end is {rate['end']}; allowed: start, which is {rate['start']}, or more"
    if (end - start) / step > MAX_STEPS:
        return "rps", f"rps: step is {rate['step']}; allowed: such that start reaches end in {MAX_STEPS:,} steps"
    return None


RUNNERS: dict[str, RunnerKind] = {
    "serial": RunnerKind(
        title="one iteration after another",
        keys={"times": Key(schema=TIMES, default=1)},
        others=Anything(),  # Rally's own schema of serial takes any other key.
    ),
    "constant": RunnerKind(
        title="a fixed number of iterations, so many at a time",
        keys={
            "times": Key(schema=TIMES, default=1),
            "concurrency": Key(schema=CONCURRENCY, default=1),
            "timeout": Key(schema=SECONDS, default=0),
            "max_cpu_count": MAX_CPU_COUNT,
        },
        check=_at_most_times,
    ),
    "constant_for_duration": RunnerKind(
        title="so many iterations at a time, for so long",
        keys={
            "duration": Key(schema=SECONDS, default=REQUIRED),
            "concurrency": Key(schema=CONCURRENCY, default=1),
            "timeout": Key(schema=Number(minimum=1, maximum=MAX_SECONDS), default=600),
            "max_cpu_count": MAX_CPU_COUNT,
        },
    ),
    "rps": RunnerKind(
        title="so many iterations started each second, whatever the cloud does",
        keys={
            "times": Key(schema=TIMES, default=REQUIRED),
            "rps": Key(schema=Either((Number(above=0, maximum=MAX_RATE_HZ), RAMP)), default=REQUIRED),
            "timeout": Key(schema=SECONDS, default=0),
            "max_concurrency": Key(schema=CONCURRENCY, default=ABSENT),
            "max_cpu_count": MAX_CPU_COUNT,
        },
        check=_ramp_problem,
    ),
}


def without_type(node: Node) -> Table:
    """The runner's own keys of a format 1 runner, where its kind stands among them as `type`."""
    entries = node.entries if isinstance(node, Table) else ()
    return Table(node.position, tuple(entry for entry in entries if entry.key != "type"))
