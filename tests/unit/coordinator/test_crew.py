"""Which agents take part: counts, labels, drained ones, and what is said when too few are there."""

import asyncio
from collections.abc import Callable

import pytest

from osbench.common.clock import NS_PER_S, ManualClock
from osbench.common.error import AgentError
from osbench.common.messages import Hello
from osbench.coordinator.crew import FixedCrew, RosterCrew, Wishes
from osbench.coordinator.roster import AgentStanding, RosterEntry
from osbench.coordinator.run_events import RunSettings


def hello(name: str, *labels: str) -> Hello:
    return Hello(
        agent=name, life=1, protocol=1, version="1", workers=2, cores=2, memory_bytes=1, nofile=1, labels=labels
    )


class House:
    """A roster that stands still unless a test moves it while the crew sleeps."""

    def __init__(self, *agents: Hello, enrolled: str = "") -> None:
        self.entries: dict[str, RosterEntry] = {}
        self.drained: set[str] = set()
        self.enrolled = set(enrolled) | {agent.agent for agent in agents}
        self.clock = ManualClock()
        self.in_sleep: Callable[[], None] = lambda: None
        for agent in agents:
            self.connect(agent)

    def connect(self, agent: Hello) -> None:
        self.entries[agent.agent] = RosterEntry(life=1, heard_ns=0, standing=AgentStanding.CONNECTED, hello=agent)

    def crew(self, wishes: Wishes, *, settled_s: float = 0) -> RosterCrew:
        async def sleep(seconds: float) -> None:
            self.clock.advance(round(seconds * NS_PER_S))
            self.in_sleep()

        return RosterCrew(
            wishes,
            entries=lambda: self.entries,
            drained=lambda: self.drained,
            enrolled=lambda: self.enrolled,
            settings=RunSettings(expected=()),
            clock=self.clock,
            wait_s=60,
            settled_ns=round(settled_s * NS_PER_S),
            sleep=sleep,
        )


def gathered(crew: RosterCrew) -> tuple[tuple[str, ...], int]:
    settings = asyncio.run(crew.gather())
    return settings.expected, settings.needed


def test_without_a_count_all_that_are_there_take_part() -> None:
    assert gathered(House(hello("b"), hello("a")).crew(Wishes())) == (("a", "b"), 2)


def test_with_a_count_exactly_so_many_take_part() -> None:
    assert gathered(House(hello("a"), hello("b"), hello("c")).crew(Wishes(agents=2))) == (("a", "b"), 2)


def test_agents_without_the_labels_and_drained_ones_are_left_out() -> None:
    house = House(hello("a", "fast", "rack1"), hello("b", "rack1"), hello("c", "fast"))
    house.drained.add("c")

    assert gathered(house.crew(Wishes(labels=frozenset({"fast"})))) == (("a",), 1)


def test_missing_agents_are_waited_for() -> None:
    house = House(hello("a"), enrolled="ab")
    house.in_sleep = lambda: house.connect(hello("b"))

    assert gathered(house.crew(Wishes(agents=2))) == (("a", "b"), 2)


def test_the_least_number_will_do_when_the_others_do_not_come() -> None:
    house = House(hello("a"), hello("b"))

    assert gathered(house.crew(Wishes(agents=4, min_agents=2))) == (("a", "b"), 2)
    assert house.clock.now_ns() >= 60 * NS_PER_S


def test_after_a_restart_enrolled_agents_are_given_time_to_come_back() -> None:
    house = House(hello("a"), enrolled="ab")
    house.in_sleep = lambda: house.connect(hello("b"))

    assert gathered(house.crew(Wishes(), settled_s=6)) == (("a", "b"), 2)


def test_but_not_for_ever() -> None:
    house = House(hello("a"), enrolled="ab")

    assert gathered(house.crew(Wishes(), settled_s=6)) == (("a",), 1)
    assert 6 * NS_PER_S <= house.clock.now_ns() < 7 * NS_PER_S


def test_a_shortage_names_who_is_there_and_why_the_others_are_not() -> None:
    house = House(hello("a", "fast"), hello("b"), hello("c", "fast"), enrolled="d")
    house.entries["c"].standing = AgentStanding.LOST

    with pytest.raises(AgentError) as caught:
        asyncio.run(house.crew(Wishes(agents=3, labels=frozenset({"fast"}))).gather())

    assert str(caught.value) == (
        "3 agents with the labels fast asked, 1 there (a) after 60 s; "
        "not to be had: b (labels: none), c (lost), d (not connected)"
    )


def test_a_coordinator_without_agents_says_how_to_get_one() -> None:
    with pytest.raises(AgentError, match="osbench-coordinator invite NAME"):
        asyncio.run(House().crew(Wishes()).gather())


def test_a_late_agent_is_admitted_up_to_the_count_and_by_its_labels() -> None:
    house = House(hello("a", "fast"))
    house.drained.add("z")
    crew = house.crew(Wishes(agents=2, labels=frozenset({"fast"})))

    assert crew.admits(hello("b", "fast"), {"a"})
    assert not crew.admits(hello("b", "fast"), {"a", "c"})
    assert not crew.admits(hello("b"), {"a"})
    assert not crew.admits(hello("z", "fast"), {"a"})


def test_a_run_that_is_taken_up_again_keeps_its_agents() -> None:
    settings = House().crew(Wishes(agents=2, min_agents=2)).resumed(["a", "b", "c"])

    assert (settings.expected, settings.needed) == (("a", "b", "c"), 2)
    fixed = FixedCrew(settings=RunSettings(expected=("a",))).resumed(["a", "b"])
    assert fixed.expected == ("a", "b")
