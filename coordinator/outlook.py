"""How long a run will still have something to start: whether it is worth an agent's while to join it.

Rules: an estimate, and nothing exact may hang on it. It takes the pace so far for the pace to come.
"""

from osbench.common.plan import OpenLoop, Schedule
from osbench.coordinator.ledger import Ledger


def time_left_ns(schedule: Schedule, ledger: Ledger, elapsed_ns: int) -> int | None:
    """For how long something will be left to start, about; None if nobody can say.

    Args:
        schedule: the plan's. ledger: what is started and what is not. elapsed_ns: since the start of the run.
    """
    if isinstance(schedule, OpenLoop):
        return schedule.intended_start_ns(schedule.iterations - 1) - elapsed_ns if schedule.iterations else 0
    bounds = []
    if schedule.duration_ns is not None:
        bounds.append(schedule.duration_ns - elapsed_ns)
    if schedule.iterations is not None:
        started = sum(held.started for held in ledger.held.values())
        left = schedule.iterations - started - sum(piece.count for piece in ledger.not_run)
        if started or left <= 0:
            bounds.append(max(left, 0) * elapsed_ns // max(started, 1))
    return min(bounds, default=None)
