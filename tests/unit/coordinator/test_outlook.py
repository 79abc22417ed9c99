"""How long a run goes on, about."""

import pytest

from osbench.common.clock import NS_PER_S
from osbench.common.messages import ShareProgress
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage, Schedule
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.outlook import time_left_ns
from osbench.coordinator.run_snapshot import WorkerKey
from osbench.coordinator.slots import SlotBook

S = NS_PER_S
KEY = WorkerKey("a", 1, 0)


def left_s(schedule: Schedule, started: int, elapsed_s: int) -> float | None:
    """Seconds left after so many were started."""
    ledger = Ledger(schedule)
    ledger.divide_plan([KEY], 1)
    ledger.advance(KEY, [ShareProgress(epoch=1, started=started)], 0, "")
    slots = SlotBook(ledger.asked_slots)
    slots.restore(ledger.slots_before())
    left_ns = time_left_ns(schedule, ledger, slots, elapsed_s * S)
    return None if left_ns is None else left_ns / S


@pytest.mark.parametrize(
    ("schedule", "started", "expected"),
    [
        (ClosedLoop(concurrency=1, iterations=100), 20, 40.0),
        (ClosedLoop(concurrency=1, iterations=100), 100, 0.0),
        (ClosedLoop(concurrency=1, iterations=100), 0, None),
        (ClosedLoop(concurrency=1, duration_ns=30 * S), 5, 20.0),
        (ClosedLoop(concurrency=1, iterations=100, duration_ns=30 * S), 20, 20.0),
        (OpenLoop(stages=(RateStage(numerator=2, denominator=1),), iterations=101), 20, 40.0),
        (OpenLoop(stages=(RateStage(numerator=2, denominator=1),), iterations=0), 0, 0.0),
    ],
)
def test_the_pace_so_far_is_taken_for_the_pace_to_come(
    schedule: Schedule, started: int, expected: float | None
) -> None:
    assert left_s(schedule, started, 10) == expected
