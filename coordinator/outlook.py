"""How long a run will still have something to start: whether it is worth an agent's while to join it.

Rules: an estimate, and nothing exact may hang on it. It takes the pace so far for the pace to come, and the worker that has
most to go for the last to end.
"""

from fractions import Fraction

from osbench.common.plan import ClosedLoop, OpenLoop, Schedule
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.slots import SlotBook


def time_left_ns(schedule: Schedule, ledger: Ledger, slots: SlotBook, elapsed_ns: int) -> int | None:
    """For how long something will be left to start, about; None if nobody can say.

    Args:
        schedule: the plan's. ledger: what is started and what is not. slots: who may have how many in flight.
        elapsed_ns: since the start of the run.
    """
    if isinstance(schedule, OpenLoop):
        return schedule.intended_start_ns(schedule.iterations - 1) - elapsed_ns if schedule.iterations else 0
    bounds = []
    if schedule.duration_ns is not None:
        bounds.append(schedule.duration_ns - elapsed_ns)
    if schedule.iterations is not None:
        started = sum(held.started for held in ledger.held.values())
        longest = _longest(schedule, ledger, slots)
        if started or longest <= 0:
            # Each slot started so many in the time that is past, on average.
            bounds.append(int(longest * elapsed_ns * schedule.concurrency) // max(started, 1))
    return min(bounds, default=None)


def _longest(schedule: ClosedLoop, ledger: Ledger, slots: SlotBook) -> Fraction:
    """The most that any worker has to start in each of its slots, or all have on average if that is more."""
    left = {key: sum(held.left or 0 for held in shares if held.is_open) for key, shares in ledger.by_worker.items()}
    waiting = sum((ledger.end_of(rest) or 0) - rest.begin for rest in ledger.rests)
    average = Fraction(sum(left.values()) + waiting, schedule.concurrency)
    return max([average, *(Fraction(count, slots.of(key)) for key, count in left.items() if slots.of(key))])
