import asyncio
from typing import cast

import pytest

from osbench.common.clock import NS_PER_S
from osbench.common.outcome import Outcome
from osbench.common.plan import Polling
from osbench.common.scenarios.contract import Action, Iteration
from osbench.common.scenarios.failure import ScenarioFailure
from osbench.common.scenarios.polling import RALLY, pause_s, wait_for

FAST, AS_RALLY = Polling(), Polling(mode="rally")


@pytest.mark.parametrize(
    ("waited_s", "pause"), [(0.0, 0.1), (0.4, 0.1), (1.0, 0.25), (4.0, 1.0), (8.0, 2.0), (1000.0, 2.0)]
)
def test_the_pause_is_a_quarter_of_the_time_waited_within_bounds(waited_s: float, pause: float) -> None:
    assert pause_s(FAST, "server_boot", waited_s) == pytest.approx(pause)


def test_as_rally_the_pause_is_always_the_same() -> None:
    assert {pause_s(AS_RALLY, "server_boot", waited_s) for waited_s in (0.0, 1.0, 100.0)} == {2}


class Waiting:
    """An iteration and its action, whose clock goes one second with every look at it."""

    def __init__(self, mode: str = "fast") -> None:
        self.current_ns = 0
        self.brackets: list[int] = []
        self.idle_s: list[float] = []
        self.polling = Polling(mode=mode)

    @property
    def job(self) -> "Waiting":
        return self

    @property
    def plan(self) -> "Waiting":
        return self

    def now_ns(self) -> int:
        self.current_ns += NS_PER_S
        return self.current_ns

    def waited(self, not_ready_ns: int) -> None:
        self.brackets.append(not_ready_ns)

    async def idle(self, seconds: float) -> None:
        self.idle_s.append(seconds)


def wait(waiting: Waiting, answers: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    async def ask() -> str:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def no_sleep(seconds: float) -> None:
        assert seconds > 0

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    return asyncio.run(
        wait_for(cast(Iteration, waiting), cast(Action, waiting), "server_boot", ask, lambda answer: answer == "ACTIVE")
    )


def test_the_bracket_is_the_last_time_it_was_asked_and_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()

    assert wait(waiting, ["BUILD", "BUILD", "ACTIVE"], monkeypatch) == "ACTIVE"
    assert waiting.brackets == [2 * NS_PER_S, 4 * NS_PER_S]


def test_a_state_that_is_there_at_once_has_no_bracket(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()
    wait(waiting, ["ACTIVE"], monkeypatch)

    assert waiting.brackets == []


def test_as_rally_the_pause_before_the_first_poll_is_idle_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting("rally")
    wait(waiting, ["ACTIVE"], monkeypatch)

    assert waiting.idle_s == [RALLY["server_boot"].prepoll_s]


def test_a_state_that_never_comes_is_given_up_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioFailure, match="server_boot: still waiting after 300 s") as caught:
        wait(Waiting(), ["BUILD"], monkeypatch)

    assert caught.value.outcome is Outcome.UNKNOWN
