"""Stage 2/10 · The plan of a run: everything decided before the first iteration, as plain data.

Rules: every agent evaluates a plan alone and all get the same answer. Rates are exact fractions and times integer
nanoseconds, never floats. Nothing here knows a clock: intended starts are nanoseconds after the start of the run.
"""

from bisect import bisect_right
from fractions import Fraction
from functools import cached_property
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from osbench.common.clock import NS_PER_S

#: Bounds of what a plan may ask.
MAX_ITERATIONS = 10**12
MAX_CONCURRENCY = 1_000_000


class ClosedLoop(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """A fixed number of slots, each starting its next iteration when the one before has ended.

    Attributes:
        concurrency: slots in the whole fleet, 1 or more.
        iterations: how many in all; None where only the duration ends the load.
        duration_ns: no iteration starts later than this after the start of the run; None where only the count ends it.
    """

    concurrency: int
    iterations: int | None = None
    duration_ns: int | None = None


class RateStage(msgspec.Struct, frozen=True, kw_only=True):
    """A time of constant arrival rate: `numerator / denominator` iterations a second for `duration_ns`.

    `duration_ns` None: until all iterations have started; only the last stage may have it.
    """

    numerator: int
    denominator: int
    duration_ns: int | None = None


class OpenLoop(msgspec.Struct, frozen=True, kw_only=True, tag="open", dict=True):
    """Iterations arrive by the schedule, whatever the cloud does.

    Iteration i of a stage that began at b with the cumulated count A (an exact fraction) starts at b + (i - A) / rate,
    rounded down to whole nanoseconds: fractions of an arrival carry over the border of two stages.

    Attributes:
        stages: at least one.
        iterations: how many in all.
        max_in_flight: cap on iterations in flight in the whole fleet; what it stops is dropped and counted. None: none.
    """

    stages: tuple[RateStage, ...]
    iterations: int
    max_in_flight: int | None = None

    @cached_property
    def _borders(self) -> tuple[list[int], list[tuple[int, Fraction, Fraction]]]:
        """First index of each stage, and (begin_ns, arrivals before it, rate) of each."""
        firsts: list[int] = []
        stages: list[tuple[int, Fraction, Fraction]] = []
        begin_ns, arrived = 0, Fraction(0)
        for stage in self.stages:
            rate = Fraction(stage.numerator, stage.denominator)
            firsts.append(-(-arrived.numerator // arrived.denominator))
            stages.append((begin_ns, arrived, rate))
            if stage.duration_ns is None:
                break
            begin_ns += stage.duration_ns
            arrived += rate * stage.duration_ns / NS_PER_S
        return firsts, stages

    def intended_start_ns(self, index: int) -> int:
        """When iteration `index` is due, nanoseconds after the start of the run."""
        firsts, stages = self._borders
        begin_ns, arrived, rate = stages[bisect_right(firsts, index) - 1]
        after_ns = (index - arrived) * NS_PER_S / rate
        return begin_ns + after_ns.numerator // after_ns.denominator

    def due_by(self, elapsed_ns: int) -> int:
        """The smallest index that is not due before `elapsed_ns` after the start; at most `iterations`.

        Found by bisection, since intended starts grow with the index.
        """
        low, high = 0, self.iterations
        while low < high:
            middle = (low + high) // 2
            if self.intended_start_ns(middle) < elapsed_ns:
                low = middle + 1
            else:
                high = middle
        return low


Schedule = ClosedLoop | OpenLoop


class Polling(msgspec.Struct, frozen=True, kw_only=True):
    """How waiting for a state polls: `fast` early and slower later, or `rally` with its own delays and intervals."""

    mode: str = "fast"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run, decided.

    Attributes:
        run, task: their ids.
        scenario: registered name, e.g. `NovaServers.boot_and_delete_server`.
        arguments: the scenario's, references to images, flavors and the like resolved to ids.
        schedule: closed or open loop.
        seed: of every choice an iteration makes.
        timeout_ns: an iteration that takes longer is ended and counts as failed; 0 for none.
        drain_ns: how long iterations in flight may go on after the last start.
        user_choice: `random` or `round_robin`.
        request_ids: which of the servers' request ids are kept: all, slow or none.
    """

    run: str
    task: str
    scenario: str
    arguments: dict[str, Any]
    schedule: Schedule
    seed: int
    timeout_ns: int = 0
    drain_ns: int = 600 * NS_PER_S
    user_choice: str = "random"
    request_ids: str = "slow"
    polling: Polling = Polling()


def random_of(seed: int, iteration: int, purpose: str) -> Random:
    """The random numbers of one iteration for one purpose: the same on whatever worker it runs.

    Args:
        seed: the plan's.
        iteration: global index.
        purpose: keeps the streams of two purposes apart, e.g. `user` and `scenario`.
    """
    digest = blake2b(f"{seed}/{iteration}/{purpose}".encode(), digest_size=8).digest()
    return Random(int.from_bytes(digest, "little"))


def user_of(plan: Plan, iteration: int, users: int) -> int:
    """Which of `users` users an iteration acts as: a pure function of (seed, iteration)."""
    if plan.user_choice == "round_robin":
        return iteration % users
    digest = blake2b(f"{plan.seed}/{iteration}/user".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % users
