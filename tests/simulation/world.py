"""Virtual time, chance, and a network that loses, doubles, delays and reorders what is sent."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from osbench.common.clock import NS_PER_MS, NS_PER_S


class World:
    """Time passes from event to event; everything random comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now_ns = 0
        self.trace: deque[str] = deque(maxlen=400)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, moment_ns: int, action: Callable[[], None]) -> None:
        """Do something at a time, or now if that is past."""
        heapq.heappush(self._queue, (max(moment_ns, self.now_ns), next(self._order), action))

    def after(self, pause_ns: int, action: Callable[[], None]) -> None:
        """Do something in a while."""
        self.at(self.now_ns + pause_ns, action)

    def between_ms(self, low: int, high: int) -> int:
        """A random duration in nanoseconds."""
        return self.random.randrange(low * NS_PER_MS, high * NS_PER_MS + 1)

    def note(self, text: str) -> None:
        """Keep a line for whoever has to find out what went wrong."""
        self.trace.append(f"{self.now_ns / NS_PER_S:9.4f} {text}")

    def run(self, until: Callable[[], bool], limit_ns: int) -> bool:
        """Let time pass until something holds; whether it did before the limit."""
        while self._queue and self.now_ns <= limit_ns:
            if until():
                return True
            moment_ns, _, action = heapq.heappop(self._queue)
            self.now_ns = moment_ns
            action()
        return until()


@dataclass(slots=True)
class HostClock:
    """A machine's monotonic clock: its own zero and its own speed."""

    world: World
    offset_ns: int
    drift_ppm: int

    def now_ns(self) -> int:
        return self.at_world(self.world.now_ns)

    def at_world(self, world_ns: int) -> int:
        """What this clock shows at a moment of the world."""
        return world_ns + world_ns * self.drift_ppm // 1_000_000 + self.offset_ns

    def world_ns(self, local_ns: int) -> int:
        """The first moment of the world at which this clock shows at least that."""
        moment = (local_ns - self.offset_ns) * 1_000_000 // (1_000_000 + self.drift_ppm) - 2
        while self.at_world(moment) < local_ns:
            moment += 1
        return moment


@dataclass(slots=True)
class Network:
    """Between each agent and the coordinator."""

    world: World
    #: Shares of messages that are lost, doubled, and held up for long.
    loss: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_ms: int = 4_000
    #: Directions that are cut: (agent, "up" or "down").
    cut: set[tuple[str, str]] = field(default_factory=set)

    def send(self, agent: str, direction: str, message: Any, deliver: Callable[[Any], None]) -> None:
        """Send, up to the coordinator or down to an agent."""
        chance = self.world.random
        if (agent, direction) in self.cut or chance.random() < self.loss:
            return
        for _ in range(2 if chance.random() < self.doubled else 1):
            held_up = chance.random() < self.late
            delay_ns = self.world.between_ms(1, self.late_ms if held_up else 15)
            self.world.after(delay_ns, lambda: self._arrive(agent, direction, message, deliver))

    def _arrive(self, agent: str, direction: str, message: Any, deliver: Callable[[Any], None]) -> None:
        if (agent, direction) not in self.cut:
            deliver(message)
