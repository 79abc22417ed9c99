"""Which agents take part in a task's runs: those of this machine, or those of the roster that meet what was asked.

Rules: who is asked for is settled before anything is set up on the cloud, so that a task nobody can run touches nothing.
Whoever comes later may join a run under way where it meets the same wishes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Protocol

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import AgentError
from osbench.common.messages import Hello
from osbench.coordinator.roster import AgentStanding, RosterEntry
from osbench.coordinator.run_events import RunSettings

#: How often it is looked whether the agents that are waited for are there.
LOOK_S = 0.2


class Crew(Protocol):
    """Chooses agents for one task."""

    async def gather(self) -> RunSettings:
        """How the next run is conducted, with its agents named; waits for them for a bounded time.

        Raises:
            AgentError: fewer are there than the task needs; the message names who is there and who is not.
        """
        ...

    def resumed(self, agents: Iterable[str]) -> RunSettings:
        """The same for a run that is taken up again: these had part in it."""
        ...

    def admits(self, hello: Hello, taking: Collection[str]) -> bool:
        """Whether this agent may join a run in which these take part."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCrew:
    """The agents that a local run starts itself."""

    settings: RunSettings

    async def gather(self) -> RunSettings:
        return self.settings

    def resumed(self, agents: Iterable[str]) -> RunSettings:
        known = (*self.settings.expected, *agents)
        return replace(self.settings, expected=tuple(dict.fromkeys(known)))

    def admits(self, hello: Hello, taking: Collection[str]) -> bool:
        return hello.agent in self.settings.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a task asks of its agents.

    Attributes:
        agents: how many; None for all that are there. min_agents: with how many it goes on if the others are not there
            in time; None for all of them.
        labels: an agent has all of these.
    """

    agents: int | None = None
    min_agents: int | None = None
    labels: Set[str] = frozenset()

    def fits(self, hello: Hello) -> bool:
        """Whether an agent meets them."""
        return self.labels <= set(hello.labels)

    @property
    def words(self) -> str:
        """What is asked, for a message."""
        count = "any number of agents" if self.agents is None else f"{self.agents} agents"
        least = "" if self.min_agents is None else f", at least {self.min_agents},"
        labels = f" with the labels {', '.join(sorted(self.labels))}" if self.labels else ""
        return f"{count}{least}{labels}"


class RosterCrew:
    """Agents that have joined this coordinator.

    Args:
        wishes: of the task. entries: the roster's. drained: names that take no new work. enrolled: all names with a key.
        settings: how runs are conducted, without agents. clock: the coordinator's. wait_s: how long missing agents are
            waited for. settled_ns: before this time agents may still be on their way back to a coordinator that began
            anew. sleep: for tests.
    """

    def __init__(
        self,
        wishes: Wishes,
        *,
        entries: Callable[[], Mapping[str, RosterEntry]],
        drained: Callable[[], Set[str]],
        enrolled: Callable[[], Set[str]],
        settings: RunSettings,
        clock: Clock,
        wait_s: float,
        settled_ns: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._wishes = wishes
        self._entries = entries
        self._drained = drained
        self._enrolled = enrolled
        self._settings = settings
        self._clock = clock
        self._wait_s = wait_s
        self._settled_ns = settled_ns
        self._sleep = sleep

    async def gather(self) -> RunSettings:
        deadline_ns = self._clock.now_ns() + round(self._wait_s * NS_PER_S)
        while True:
            able = self._able()
            wanted = self._wishes.agents
            if wanted is not None and len(able) >= wanted:
                return self._chosen(able[:wanted], needed=self._wishes.min_agents or wanted)
            least = self._wishes.min_agents or (wanted if wanted is not None else 1)
            if wanted is None and len(able) >= least and self._has_settled(able):
                return self._chosen(able, needed=self._wishes.min_agents or len(able))
            if self._clock.now_ns() >= deadline_ns:
                if len(able) >= least:
                    return self._chosen(able, needed=least)
                raise AgentError(self._shortage(able))
            await self._sleep(LOOK_S)

    def resumed(self, agents: Iterable[str]) -> RunSettings:
        names = tuple(agents)
        return replace(
            self._settings, expected=names, min_agents=min(self._wishes.min_agents or len(names), len(names))
        )

    def admits(self, hello: Hello, taking: Collection[str]) -> bool:
        if hello.agent in self._drained() or not self._wishes.fits(hello):
            return False
        return self._wishes.agents is None or len(taking) < self._wishes.agents

    def _able(self) -> list[str]:
        """Names of agents that could begin now."""
        drained = self._drained()
        return sorted(
            name
            for name, entry in self._entries().items()
            if entry.standing is AgentStanding.CONNECTED
            and entry.hello is not None
            and name not in drained
            and self._wishes.fits(entry.hello)
        )

    def _has_settled(self, able: Collection[str]) -> bool:
        """Whether nobody else is likely to come back this very moment."""
        return self._clock.now_ns() >= self._settled_ns or self._enrolled() <= set(able) | self._drained()

    def _chosen(self, names: Iterable[str], *, needed: int) -> RunSettings:
        return replace(self._settings, expected=tuple(names), min_agents=needed)

    def _shortage(self, able: Collection[str]) -> str:
        entries, drained = self._entries(), self._drained()
        others = []
        for name in sorted(self._enrolled() - set(able)):
            entry = entries.get(name)
            if name in drained:
                why = "drained"
            elif entry is None or entry.hello is None:
                why = "not connected"
            elif entry.standing is not AgentStanding.CONNECTED:
                why = entry.standing.value
            else:
                why = "labels: " + (", ".join(entry.hello.labels) or "none")
            others.append(f"{name} ({why})")
        if not self._enrolled():
            return (
                "no agent has joined this coordinator: `osbench-coordinator invite NAME` here, and "
                "`osbench-agent join` on the load host with the line it prints"
            )
        there = f"{len(able)} there" + (f" ({', '.join(able)})" if able else "")
        missing = f"; not to be had: {', '.join(others)}" if others else ""
        return f"{self._wishes.words} asked, {there} after {self._wait_s:g} s{missing}"
