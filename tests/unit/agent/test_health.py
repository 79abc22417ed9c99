"""The watchdog under a clock that is moved by hand."""

from osbench.agent.health import WAKE_NS, CollectorPauses, Watchdog
from osbench.common.clock import NS_PER_MS, NS_PER_S, ManualClock


def watchdog(clock: ManualClock, schedstat: list[tuple[int, int]]) -> Watchdog:
    return Watchdog(clock=clock, read_schedstat=lambda: schedstat.pop(0), pauses=CollectorPauses(clock))


def test_a_stall_is_by_how_much_the_loop_woke_late() -> None:
    clock = ManualClock(current_ns=NS_PER_S)
    dog = watchdog(clock, [(0, 0), (0, 0)])
    dog.begin()
    clock.advance(WAKE_NS)
    dog.woke()
    clock.advance(WAKE_NS + 130 * NS_PER_MS)
    dog.woke()
    clock.advance(WAKE_NS + 20 * NS_PER_MS)
    dog.woke()

    assert dog.row(0, 0, 0).stall_ns == 130 * NS_PER_MS


def test_a_row_counts_from_the_row_before() -> None:
    clock = ManualClock(current_ns=NS_PER_S)
    dog = watchdog(clock, [(10, 1), (40, 8), (45, 9)])
    dog.begin()
    clock.advance(NS_PER_S)
    first = dog.row(3, 20, 17)
    clock.advance(NS_PER_S)
    second = dog.row(2, 30, 28)

    assert (first.span_ns, first.cpu_ns, first.run_queue_ns, first.in_flight) == (NS_PER_S, 30, 7, 3)
    assert (second.cpu_ns, second.run_queue_ns, second.started, second.ended) == (5, 1, 30, 28)


def test_nothing_counts_before_the_load_begins() -> None:
    """A worker that waited for its start would else begin with a stall of the time it waited."""
    clock = ManualClock(current_ns=NS_PER_S)
    dog = watchdog(clock, [(0, 0), (0, 0)])
    clock.advance(10 * NS_PER_S)
    dog.woke()
    assert not dog.is_row_due()
    dog.begin()
    clock.advance(NS_PER_S - 1)
    assert not dog.is_row_due()
    clock.advance(1)

    assert dog.is_row_due()
    assert dog.row(0, 0, 0).stall_ns == 0


def test_pauses_of_the_collector_are_added_up() -> None:
    clock = ManualClock(current_ns=NS_PER_S)
    pauses = CollectorPauses(clock)
    for pause_ns in (3, 4):
        pauses.on_collect("start", {})
        clock.advance(pause_ns)
        pauses.on_collect("stop", {})

    assert pauses.paused_ns == 7
