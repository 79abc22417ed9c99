"""What every service of the simulated cloud shares: time, due events, ids, chances.

Rules: the only source of ids, stamps and randomness; all of it is handed in, so that a unit test drives a cloud with a
ManualClock and gets the same one every time.
"""

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from osbench.common.clock import NS_PER_S, NS_PER_US, Clock
from osbench.deploy.simulated.agenda import Agenda
from osbench.deploy.simulated.config import SimulationSpec
from osbench.deploy.simulated.delays import Chances


class World:
    """Time, ids and chances of one simulated cloud.

    Args:
        spec: what the cloud is made of.
        clock: its time.
        entropy: gives n unguessable bytes, for tokens and secrets.
    """

    def __init__(self, spec: SimulationSpec, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self.spec = spec
        self.clock = clock
        self.entropy = entropy
        self.agenda = Agenda()
        self.chances = Chances(seed=spec.seed, delays=spec.delays, errors=spec.errors, stuck=spec.stuck)
        self._ids = random.Random(f"{spec.seed}/ids")

    def now_ns(self) -> int:
        """The clock's time, ns; while what came due is run, the time it was due."""
        running_ns = self.agenda.running_ns
        return self.clock.now_ns() if running_ns is None else running_ns

    def uuid(self) -> str:
        """A new id with dashes, as compute, image, network and block storage give."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def hex_id(self) -> str:
        """A new id of 32 hex digits, as identity gives."""
        return uuid.UUID(int=self._ids.getrandbits(128), version=4).hex

    def number(self, limit: int) -> int:
        """A seeded number within 0 … limit - 1."""
        return self._ids.randrange(limit)

    def moment(self, at_ns: int | None = None) -> datetime:
        """Wall time at `at_ns` of the clock's axis (now, when None); naive UTC, as the services write it."""
        wall_ns = self.clock.wall_ns()
        if at_ns is None:
            at_ns = self.agenda.running_ns
        if at_ns is not None:
            wall_ns -= self.clock.now_ns() - at_ns
        whole = datetime.fromtimestamp(wall_ns // NS_PER_S, tz=UTC).replace(tzinfo=None)
        return whole.replace(microsecond=wall_ns % NS_PER_S // NS_PER_US)

    def stamp(self, at_ns: int | None = None) -> str:
        """`2026-01-31T12:00:00Z`."""
        return self.moment(at_ns).strftime("%Y-%m-%dT%H:%M:%SZ")

    def fine_stamp(self, at_ns: int | None = None) -> str:
        """`2026-01-31T12:00:00.000000`."""
        return self.moment(at_ns).strftime("%Y-%m-%dT%H:%M:%S.%f")
