"""Waiting for a state by asking for it again and again.

Rules: polls are load, and what they find is only known between two of them. So the last moment at which the state was not
there is kept with the action, and the pause between polls grows with the time waited: a quarter of it, within bounds, so
that the unknown part is never more than a fifth of the whole beyond the first half second. `rally` polls as Rally does
instead, with its pause before the first poll, which counts as idle time there and here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from osbench.common.clock import NS_PER_S
from osbench.common.outcome import Outcome
from osbench.common.plan import Polling
from osbench.common.scenarios.contract import Action, Iteration
from osbench.common.scenarios.failure import ScenarioFailure

SHORTEST_S, LONGEST_S, SHARE = 0.1, 2.0, 0.25

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class RallyTiming:
    """How Rally waits for an operation, seconds: pause before the first poll, end of patience, pause between polls."""

    prepoll_s: float
    timeout_s: float
    interval_s: float


#: Rally's defaults, by its names of the operations.
RALLY: dict[str, RallyTiming] = {
    "server_boot": RallyTiming(1, 300, 2),
    "server_delete": RallyTiming(0, 300, 2),
    "volume_create": RallyTiming(2, 600, 2),
    "volume_delete": RallyTiming(0, 600, 2),
}


def pause_s(polling: Polling, operation: str, waited_s: float) -> float:
    """How long to wait before the next poll.

    Args:
        polling: the plan's. operation: key of `RALLY`.
        waited_s: since what is waited for was asked for.
    """
    if polling.mode == "rally":
        return RALLY[operation].interval_s
    return min(max(waited_s * SHARE, SHORTEST_S), LONGEST_S)


async def wait_for(
    it: Iteration,
    action: Action,
    operation: str,
    ask: Callable[[], Awaitable[State]],
    is_ready: Callable[[State], bool],
) -> State:
    """Ask until the state is there.

    Args:
        it, action: within which it is waited; the bracket goes to the action.
        operation: key of `RALLY`.
        ask: one poll. is_ready: whether its answer is what is waited for; may raise to give up.

    Returns:
        The answer that was ready.

    Raises:
        ScenarioFailure: it did not come in time; the outcome is unknown.
    """
    timing, polling = RALLY[operation], it.job.plan.polling
    began_ns = it.now_ns()
    if polling.mode == "rally":
        if timing.prepoll_s:
            await it.idle(timing.prepoll_s)
    else:
        await asyncio.sleep(SHORTEST_S)
    while True:
        asked_ns = it.now_ns()
        state = await ask()
        if is_ready(state):
            return state
        # The state was not there when it was asked for; when the answer came it may have been.
        action.waited(asked_ns)
        waited_s = (it.now_ns() - began_ns) / NS_PER_S
        if waited_s >= timing.timeout_s:
            message = f"{operation}: still waiting after {timing.timeout_s:g} s"
            raise ScenarioFailure("wait_timeout", message, Outcome.UNKNOWN)
        await asyncio.sleep(pause_s(polling, operation, waited_s))
