"""The fit of two clocks: bounds that hold, and probes when they are due."""

from hypothesis import given
from hypothesis import strategies as st

from osbench.agent.clock_fit import BURST, BURST_EVERY_NS, DRIFT_PPM, PROBE_EVERY_NS, ClockFit
from osbench.common.clock import NS_PER_MS, NS_PER_S

OFFSET_NS = 7_000 * NS_PER_S


def probe(fit: ClockFit, at_ns: int, up_ns: int, down_ns: int, offset_ns: int = OFFSET_NS) -> bool:
    """One probe, sent at a time of the agent, under way for so long each way; the coordinator needs 1 ms."""
    received_ns = at_ns + up_ns - offset_ns
    return fit.add(at_ns, received_ns, received_ns + NS_PER_MS, at_ns + up_ns + NS_PER_MS + down_ns)


def test_nothing_is_known_before_the_first_reply() -> None:
    fit = ClockFit()
    fit.restart(0)

    assert fit.estimate(5) is None


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=30))
def test_the_true_offset_lies_within_the_bound_however_uneven_the_ways(trips: list[tuple[int, int]]) -> None:
    """Otherwise a start would be off by more than is said."""
    fit = ClockFit()
    fit.restart(0)
    for number, (up_ns, down_ns) in enumerate(trips):
        assert probe(fit, number * NS_PER_S, up_ns, down_ns)

    estimate = fit.estimate(60 * NS_PER_S)

    assert estimate is not None
    assert abs(estimate.offset_ns - OFFSET_NS) <= estimate.error_ns


def test_the_quickest_probe_counts() -> None:
    fit = ClockFit()
    fit.restart(0)
    probe(fit, 0, 90 * NS_PER_MS, 10 * NS_PER_MS)
    probe(fit, 10, NS_PER_MS, NS_PER_MS)
    probe(fit, 20, 10 * NS_PER_MS, 90 * NS_PER_MS)

    estimate = fit.estimate(200 * NS_PER_MS)

    assert estimate is not None
    assert estimate.offset_ns == OFFSET_NS
    assert estimate.error_ns <= NS_PER_MS + 200 * NS_PER_MS * DRIFT_PPM // 1_000_000 + 1


def test_an_old_probe_is_worth_less_than_a_new_one_that_was_a_little_slower() -> None:
    fit = ClockFit()
    fit.restart(0)
    probe(fit, 0, NS_PER_MS, NS_PER_MS)
    probe(fit, 200 * NS_PER_S, 2 * NS_PER_MS, NS_PER_MS)

    estimate = fit.estimate(201 * NS_PER_S)

    assert estimate is not None
    assert estimate.offset_ns == OFFSET_NS - NS_PER_MS // 2


def test_a_reply_to_a_probe_of_an_earlier_acquaintance_is_not_taken() -> None:
    """It may be of another process with another clock."""
    fit = ClockFit()
    fit.restart(10)

    assert not probe(fit, 9, 1, 1)
    assert fit.estimate(20) is None


def test_a_reply_that_makes_no_sense_is_not_taken() -> None:
    fit = ClockFit()
    fit.restart(0)

    assert not fit.add(100, 5, 4, 110)
    assert not fit.add(100, 5, 6, 99)
    assert not fit.add(100, 5, 50, 110)


def test_when_a_clock_was_set_anew_all_before_is_forgotten_and_a_burst_follows() -> None:
    fit = ClockFit()
    fit.restart(0)
    while fit.take_probe(NS_PER_S):
        pass
    probe(fit, 0, NS_PER_MS, NS_PER_MS)
    probe(fit, 2 * NS_PER_S, NS_PER_MS, NS_PER_MS, offset_ns=OFFSET_NS + NS_PER_S)

    estimate = fit.estimate(3 * NS_PER_S)

    assert estimate is not None
    assert estimate.offset_ns == OFFSET_NS + NS_PER_S
    assert fit.take_probe(3 * NS_PER_S)


def test_a_burst_and_then_one_every_few_seconds() -> None:
    fit = ClockFit()
    assert not fit.take_probe(0)
    fit.restart(0)

    burst = sum(fit.take_probe(number * BURST_EVERY_NS) for number in range(2 * BURST))
    last_ns = (BURST - 1) * BURST_EVERY_NS

    assert burst == BURST
    assert not fit.take_probe(last_ns + PROBE_EVERY_NS - 1)
    assert fit.take_probe(last_ns + PROBE_EVERY_NS)
    assert not fit.take_probe(last_ns + PROBE_EVERY_NS)


def test_a_burst_does_not_wait_for_slow_ticks() -> None:
    fit = ClockFit()
    fit.restart(0)
    taken = 0
    while fit.take_probe(NS_PER_S):
        taken += 1

    assert taken == BURST
