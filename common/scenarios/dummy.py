"""Dummy: scenarios that ask nothing of any cloud, to try the load generator itself.

Rules: names, arguments and atomic actions are Rally's. Their sleeps are the work they stand for, so they count as
duration; only `Iteration.idle` does not.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import Bounds, scenario
from osbench.common.scenarios.failure import ScenarioFailure

Seconds = Annotated[float, Bounds(0)]
Probability = Annotated[float, Bounds(0, 1)]
KIND = "dummy_failure"


def _sleep_order(arguments: Mapping[str, Any]) -> str:
    low, high = arguments["sleep_min"], arguments["sleep_max"]
    return f"sleep_min {low} is greater than sleep_max {high}" if low > high else ""


@scenario("Dummy.dummy")
async def dummy(it: Iteration, *, sleep: Seconds = 0, **more: Any) -> None:
    """Do nothing and sleep.

    Args:
        sleep: seconds.
    """
    with it.action("foo"), it.action("bar"):
        await _sleep(sleep)


@scenario("Dummy.dummy_exception")
async def dummy_exception(
    it: Iteration, *, size_of_message: Annotated[int, Bounds(1, 4096)] = 1, sleep: Seconds = 1, message: str = ""
) -> None:
    """Sleep, then fail.

    Args:
        size_of_message: length of the error's message, if none is given.
        sleep: seconds.
        message: the error's message.
    """
    await _sleep(sleep)
    raise ScenarioFailure(KIND, message or "M" * size_of_message)


@scenario("Dummy.dummy_exception_probability")
async def dummy_exception_probability(it: Iteration, *, exception_probability: Probability = 0.5) -> None:
    """Fail with a given probability.

    Args:
        exception_probability: 0 never, 1 always.
    """
    _play(it, exception_probability)


@scenario("Dummy.failure")
async def failure(
    it: Iteration,
    *,
    sleep: Seconds = 0.1,
    from_iteration: Annotated[int, Bounds(0)] = 0,
    to_iteration: Annotated[int, Bounds(0)] = 0,
    each: Annotated[int, Bounds(0)] = 1,
) -> None:
    """Sleep, and fail in some iterations.

    Args:
        sleep: seconds.
        from_iteration: first of the iterations that may fail; they are numbered from 1.
        to_iteration: last of them.
        each: of those, the ones whose number it divides fail; 0 for none.
    """
    await _sleep(sleep)
    number = it.index + 1
    if from_iteration <= number <= to_iteration and each and number % each == 0:
        raise ScenarioFailure(KIND, f"iteration {number} was asked to fail")


@scenario("Dummy.dummy_random_fail_in_atomic")
async def dummy_random_fail_in_atomic(it: Iteration, *, exception_probability: Probability = 0.5) -> None:
    """Fail in one of four nested actions.

    Args:
        exception_probability: of which each action gets a quarter, as in Rally; 1 fails in the first.
    """
    share = exception_probability if exception_probability == 1 else exception_probability / 4
    for _ in range(2):
        with it.action("dummy_fail_test"):
            _play(it, share)
            with it.action("dummy_fail_inner_test"):
                _play(it, share)


@scenario("Dummy.dummy_random_action", check=_sleep_order)
async def dummy_random_action(
    it: Iteration, *, actions_num: Annotated[int, Bounds(0, 1000)] = 5, sleep_min: Seconds = 0, sleep_max: Seconds = 0
) -> None:
    """Sleep a random time in each of several actions.

    Args:
        actions_num: how many actions.
        sleep_min: shortest sleep, seconds.
        sleep_max: longest sleep, seconds.
    """
    for number in range(actions_num):
        seconds = it.random.uniform(sleep_min, sleep_max)
        with it.action(f"action_{number}"):
            await _sleep(seconds)


@scenario("Dummy.dummy_timed_atomic_actions")
async def dummy_timed_atomic_actions(
    it: Iteration, *, number_of_actions: Annotated[int, Bounds(0, 1000)] = 5, sleep_factor: Seconds = 1
) -> None:
    """Sleep in each of several actions, longer in each.

    Args:
        number_of_actions: how many actions.
        sleep_factor: seconds by which each sleeps longer than the one before; the first does not sleep.
    """
    for number in range(number_of_actions):
        with it.action(f"action_{number}"):
            await _sleep(number * sleep_factor)


async def _sleep(seconds: float) -> None:
    # Sleeping for 0 would cost a turn of the loop, which is not the load asked for.
    if seconds > 0:
        await asyncio.sleep(seconds)


def _play(it: Iteration, probability: float) -> None:
    if it.random.random() < probability:
        raise ScenarioFailure(KIND, f"chosen to fail with probability {probability:g}")
