"""Which requests go wrong, and how: rules tried in order, the first that fires decides.

Rules: pure and seeded; deciding is here, doing (waiting, cutting, resetting) is in server.py. Each rule counts the
requests that matched it and how often it fired, so that a test can ask.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from osbench.deploy.simulated.delays import Delay, delay_problem, draw_ns

#: A hung request is let go after this at the latest, s: the server's own memory is bounded too.
MAX_HANG_S = 3_600.0
SERVICES = ("identity", "compute", "image", "network", "block-storage")


class _Then(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What a fault does."""


class Status(_Then, frozen=True, kw_only=True, tag="status"):
    """Answer with a status and do nothing else: the request has no effect.

    Attributes:
        status: 400 … 599.
        body: the body's text; None gives the service's own error body.
        retry_after_s: adds a Retry-After header, s.
    """

    status: int
    body: str | None = None
    retry_after_s: int | None = None


class Latency(_Then, frozen=True, kw_only=True, tag="latency"):
    """Do what was asked, but answer later."""

    delay: Delay


class Hang(_Then, frozen=True, kw_only=True, tag="hang"):
    """Do nothing and never answer; the connection is closed after `limit_s` at the latest."""

    limit_s: float = 300.0


class Cut(_Then, frozen=True, kw_only=True, tag="cut"):
    """Do what was asked, promise the whole body, and close after its first `after_bytes` bytes."""

    after_bytes: int = 10


class Reset(_Then, frozen=True, kw_only=True, tag="reset"):
    """Reset the connection (RST) after the request was read.

    Attributes:
        is_done: whether what was asked is done before; a POST then leaves a resource nobody was told of.
    """

    is_done: bool = True


class ExpireToken(_Then, frozen=True, kw_only=True, tag="expire_token"):
    """Revoke the caller's token, so that this request and all others with it meet a 401."""


Then = Status | Latency | Hang | Cut | Reset | ExpireToken


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When something goes wrong, and what.

    Attributes:
        probability, every, first: at most one is given. None of them: each match fires.
    """

    then: Then
    name: str = ""
    service: str = ""
    method: str = ""
    path: str = ""
    probability: float | None = None
    every: int | None = None
    first: int | None = None


def fault_problem(rule: FaultRule) -> str | None:
    """What is wrong with a rule, in words with the bound; None when it is sound."""
    if rule.service and rule.service not in SERVICES:
        return f"service is {rule.service!r}: one of {', '.join(SERVICES)}"
    try:
        re.compile(rule.path)
    except re.error as error:
        return f"path {rule.path!r} is no regular expression: {error}"
    given = [name for name in ("probability", "every", "first") if getattr(rule, name) is not None]
    if len(given) > 1:
        return f"{' and '.join(given)} are given: one of them at most"
    if rule.probability is not None and not 0 <= rule.probability <= 1:
        return f"probability is {rule.probability}: it must lie within 0 … 1"
    for name in ("every", "first"):
        number = getattr(rule, name)
        if number is not None and number < 1:
            return f"{name} is {number}: it must be at least 1"
    return _then_problem(rule.then)


def _then_problem(then: Then) -> str | None:
    match then:
        case Status(status=status) if not 400 <= status <= 599:
            return f"status is {status}: it must lie within 400 … 599"
        case Latency(delay=delay):
            return delay_problem(delay)
        case Hang(limit_s=limit_s) if not 0 < limit_s <= MAX_HANG_S:
            return f"limit_s is {limit_s}: it must be above 0 and at most {MAX_HANG_S:.0f} s"
        case Cut(after_bytes=after_bytes) if after_bytes < 0:
            return f"after_bytes is {after_bytes}: it must not be negative"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One firing: the rule's name, what to do, and the drawn wait where it is a latency."""

    name: str
    then: Then
    wait_ns: int = 0


@dataclass(slots=True, kw_only=True)
class _Armed:
    name: str
    rule: FaultRule
    path: re.Pattern[str]
    source: random.Random
    matched: int = 0
    fired: int = 0

    def matches(self, service: str, method: str, path: str) -> bool:
        rule = self.rule
        return (
            (not rule.service or rule.service == service)
            and (not rule.method or rule.method.upper() == method)
            and self.path.search(path) is not None
        )

    def fires(self) -> bool:
        """Count the match and say whether the rule fires on it."""
        self.matched += 1
        rule = self.rule
        if rule.probability is not None:
            return self.source.random() < rule.probability
        if rule.every is not None:
            return self.matched % rule.every == 0
        if rule.first is not None:
            return self.matched <= rule.first
        return True


@dataclass(slots=True)
class FaultBook:
    """The rules in force with their counts.

    Attributes:
        seed: of the rules' random streams, one each, by name.
    """

    seed: int
    _armed: list[_Armed] = field(default_factory=list)

    def replace(self, rules: Iterable[FaultRule]) -> None:
        """Put other rules in force; all counts begin at nothing."""
        self._armed = [
            _Armed(
                name=rule.name or f"fault-{number}",
                rule=rule,
                path=re.compile(rule.path),
                source=random.Random(f"{self.seed}/fault/{rule.name or number}"),
            )
            for number, rule in enumerate(rules)
        ]

    def decide(self, service: str, method: str, path: str) -> Fault | None:
        """What goes wrong with this request; None: nothing."""
        for armed in self._armed:
            if armed.matches(service, method, path) and armed.fires():
                armed.fired += 1
                then = armed.rule.then
                wait_ns = draw_ns(then.delay, armed.source) if isinstance(then, Latency) else 0
                return Fault(name=armed.name, then=then, wait_ns=wait_ns)
        return None

    def counts(self) -> dict[str, dict[str, int]]:
        """By rule name: requests matched and fired on."""
        return {armed.name: {"matched": armed.matched, "fired": armed.fired} for armed in self._armed}
