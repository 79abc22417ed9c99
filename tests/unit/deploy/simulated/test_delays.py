"""Delays and chances: distributions, bounds, and streams that do not disturb each other."""

from random import Random
from statistics import mean, median

import pytest

from osbench.common.clock import NS_PER_S
from osbench.deploy.simulated.delays import (
    MAX_DELAY_S,
    Chances,
    Constant,
    Delay,
    Exponential,
    Lognormal,
    Uniform,
    delay_problem,
    draw_ns,
)


def draws(delay: Delay, count: int = 4_000) -> list[float]:
    source = Random(1)
    return [draw_ns(delay, source) / NS_PER_S for _ in range(count)]


def test_a_constant_is_always_the_same() -> None:
    assert set(draws(Constant(seconds=0.25), 10)) == {0.25}


def test_a_uniform_stays_within_its_bounds_and_fills_them() -> None:
    drawn = draws(Uniform(low_s=1, high_s=3))

    assert 1 <= min(drawn) < 1.05
    assert 2.95 < max(drawn) <= 3


def test_an_exponential_has_its_mean_above_its_floor() -> None:
    drawn = draws(Exponential(mean_s=2, floor_s=1))

    assert min(drawn) >= 1
    assert mean(drawn) == pytest.approx(3, rel=0.1)


def test_half_of_a_lognormal_lies_below_its_median() -> None:
    assert median(draws(Lognormal(median_s=0.5, sigma=1))) == pytest.approx(0.5, rel=0.1)


def test_a_long_tail_is_cut_at_a_day() -> None:
    assert max(draws(Lognormal(median_s=80_000, sigma=5), 200)) == MAX_DELAY_S


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (Constant(seconds=-1), "must lie within"),
        (Uniform(low_s=2, high_s=1), "swap them"),
        (Exponential(mean_s=0), "above 0"),
        (Lognormal(median_s=1, sigma=11), "0 … 10"),
        (Constant(seconds=1e9), "must lie within"),
    ],
)
def test_numbers_out_of_bounds_are_told_with_the_bound(delay: Delay, words: str) -> None:
    assert words in (delay_problem(delay) or "")


def test_one_operation_draws_the_same_whatever_another_does() -> None:
    """Otherwise turning one knob of a configuration would change all the rest of the run."""
    delays: dict[str, Delay] = {"server_build": Uniform(low_s=0, high_s=1), "volume_create": Uniform(low_s=0, high_s=1)}
    alone = Chances(seed=3, delays=delays, errors={}, stuck={})
    mixed = Chances(seed=3, delays=delays, errors={"server_build": 0.5}, stuck={})
    expected = [alone.delay_ns("server_build") for _ in range(5)]

    actual = []
    for _ in range(5):
        mixed.delay_ns("volume_create")
        mixed.is_error("server_build")
        actual.append(mixed.delay_ns("server_build"))

    assert expected == actual


def test_errors_come_with_their_probability() -> None:
    chances = Chances(seed=1, delays={}, errors={"server_build": 0.2}, stuck={})

    assert sum(chances.is_error("server_build") for _ in range(5_000)) == pytest.approx(1_000, rel=0.15)
    assert not any(chances.is_error("volume_create") for _ in range(100))
