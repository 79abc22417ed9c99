"""How long things take in the simulated cloud, and how often they fail: distributions drawn from a seeded source.

Rules: values are frozen and validated when made; a draw is the only effect, on the `random.Random` handed in. Each
operation has a random stream of its own, so that turning one knob does not shift what another operation draws.
"""

import math
import random
from collections.abc import Mapping

import msgspec

from osbench.common.clock import NS_PER_S

#: No single step of the simulated cloud may take longer than this, s: a lognormal tail is cut here.
MAX_DELAY_S = 86_400.0


class Constant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="constant"):
    """Always the same delay.

    Attributes:
        seconds: 0 … 86,400 s.
    """

    seconds: float

    def draw_s(self, source: random.Random) -> float:
        return self.seconds


class Uniform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="uniform"):
    """Evenly spread between two bounds, s."""

    low_s: float
    high_s: float

    def draw_s(self, source: random.Random) -> float:
        return source.uniform(self.low_s, self.high_s)


class Exponential(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="exponential"
):
    """A floor plus an exponential tail.

    Attributes:
        mean_s: mean of the tail, s, > 0.
        floor_s: least delay, s.
    """

    mean_s: float
    floor_s: float = 0.0

    def draw_s(self, source: random.Random) -> float:
        return self.floor_s + source.expovariate(1.0 / self.mean_s)


class Lognormal(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="lognormal"
):
    """Half of the draws below the median, with a long tail.

    Attributes:
        median_s: exp(mu), s, > 0.
        sigma: standard deviation of the logarithm, 0 … 10.
    """

    median_s: float
    sigma: float

    def draw_s(self, source: random.Random) -> float:
        return source.lognormvariate(math.log(self.median_s), self.sigma)


Delay = Constant | Uniform | Exponential | Lognormal


def delay_problem(delay: Delay) -> str | None:
    """What is wrong with the numbers of `delay`, in words with the bound; None when it is sound."""
    match delay:
        case Constant(seconds=seconds):
            bounds = {"seconds": seconds}
        case Uniform(low_s=low_s, high_s=high_s):
            if low_s > high_s:
                return f"low_s {low_s} is above high_s {high_s}: swap them"
            bounds = {"low_s": low_s, "high_s": high_s}
        case Exponential(mean_s=mean_s, floor_s=floor_s):
            if mean_s <= 0:
                return f"mean_s is {mean_s}: it must be above 0 (use a constant of 0 for no delay)"
            bounds = {"mean_s": mean_s, "floor_s": floor_s}
        case Lognormal(median_s=median_s, sigma=sigma):
            if median_s <= 0:
                return f"median_s is {median_s}: it must be above 0"
            if not 0 <= sigma <= 10:
                return f"sigma is {sigma}: it must lie within 0 … 10"
            bounds = {"median_s": median_s}
    for name, value in bounds.items():
        if not 0 <= value <= MAX_DELAY_S:
            return f"{name} is {value}: it must lie within 0 … {MAX_DELAY_S:.0f} s"
    return None


def draw_ns(delay: Delay, source: random.Random) -> int:
    """One delay in whole nanoseconds, never below 0 nor above a day."""
    return int(min(max(delay.draw_s(source), 0.0), MAX_DELAY_S) * NS_PER_S)


class Chances:
    """The drawn delays and failures of every named operation, each from a stream of its own."""

    def __init__(
        self, *, seed: int, delays: Mapping[str, Delay], errors: Mapping[str, float], stuck: Mapping[str, float]
    ) -> None:
        self._seed = seed
        self._delays = dict(delays)
        self._errors = dict(errors)
        self._stuck = dict(stuck)
        self._streams: dict[str, random.Random] = {}

    def _stream(self, name: str) -> random.Random:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = random.Random(f"{self._seed}/{name}")
        return stream

    def delay_ns(self, operation: str) -> int:
        """How long this instance of `operation` takes, ns; 0 for an operation nothing is said about."""
        delay = self._delays.get(operation)
        return 0 if delay is None else draw_ns(delay, self._stream(f"delay/{operation}"))

    def is_error(self, operation: str) -> bool:
        """Whether this instance of `operation` ends in an error."""
        return self._happens(self._errors.get(operation, 0.0), f"error/{operation}")

    def is_stuck(self, operation: str) -> bool:
        """Whether this instance of `operation` never ends."""
        return self._happens(self._stuck.get(operation, 0.0), f"stuck/{operation}")

    def _happens(self, probability: float, stream: str) -> bool:
        return probability > 0 and self._stream(stream).random() < probability
