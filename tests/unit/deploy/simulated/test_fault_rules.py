"""Which requests go wrong: matching, counting, and the order of rules."""

from typing import Any

import pytest

from osbench.common.error import InputError
from osbench.deploy.simulated.config import make_faults
from osbench.deploy.simulated.faults import FaultBook, Status

BROKEN = {"kind": "status", "status": 500}


def book(*rules: dict[str, Any]) -> FaultBook:
    faults = FaultBook(1)
    faults.replace(make_faults([{"then": BROKEN, **rule} for rule in rules]))
    return faults


def fired(faults: FaultBook, count: int, service: str = "compute", method: str = "GET", path: str = "/x") -> list[bool]:
    return [faults.decide(service, method, path) is not None for _ in range(count)]


def test_a_rule_without_a_condition_fires_always() -> None:
    assert fired(book({}), 3) == [True, True, True]


def test_a_rule_matches_by_service_method_and_path() -> None:
    faults = book({"service": "compute", "method": "post", "path": "/servers$"})

    assert fired(faults, 1, "compute", "POST", "/compute/v2.1/servers") == [True]
    assert fired(faults, 1, "compute", "GET", "/compute/v2.1/servers") == [False]
    assert fired(faults, 1, "image", "POST", "/compute/v2.1/servers") == [False]
    assert fired(faults, 1, "compute", "POST", "/compute/v2.1/servers/detail") == [False]


def test_every_third_match_fires() -> None:
    assert fired(book({"every": 3}), 6) == [False, False, True, False, False, True]


def test_only_the_first_two_matches_fire() -> None:
    assert fired(book({"first": 2}), 4) == [True, True, False, False]


def test_a_probability_is_seeded() -> None:
    once, again = fired(book({"probability": 0.3}), 1_000), fired(book({"probability": 0.3}), 1_000)

    assert once == again
    assert sum(once) == pytest.approx(300, rel=0.2)


def test_the_first_rule_that_fires_decides() -> None:
    faults = book({"name": "rare", "every": 2}, {"name": "always", "then": {"kind": "status", "status": 503}})
    found = [faults.decide("compute", "GET", "/x") for _ in range(2)]

    assert [fault.name for fault in found if fault] == ["always", "rare"]
    assert isinstance(found[0].then if found[0] else None, Status)
    assert faults.counts() == {"rare": {"matched": 2, "fired": 1}, "always": {"matched": 1, "fired": 1}}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"service": "nova"}, "one of identity, compute"),
        ({"path": "("}, "no regular expression"),
        ({"probability": 0.1, "every": 2}, "one of them at most"),
        ({"probability": 2}, "0 … 1"),
        ({"every": 0}, "at least 1"),
        ({"then": {"kind": "status", "status": 200}}, "400 … 599"),
        ({"then": {"kind": "hang", "limit_s": 0}}, "above 0"),
        ({"then": {"kind": "explode"}}, "explode"),
        ({"methd": "GET"}, "did you mean method"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_the_cure(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_faults([{"then": BROKEN, **rule}])
