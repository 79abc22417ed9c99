from collections.abc import Mapping
from typing import Annotated, Any

import pytest

from osbench.common.error import InputError
from osbench.common.scenarios.arguments import argument_problems, check_arguments, with_defaults
from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import Bounds, Flavor, Image, scenario


def _order(arguments: Mapping[str, Any]) -> str:
    return "low is greater than high" if arguments["low"] > arguments["high"] else ""


@scenario("Things.make", check=_order)
async def make(
    it: Iteration,
    *,
    image: Image,
    flavor: Flavor | None = None,
    low: Annotated[float, Bounds(0, 10)] = 0,
    high: float = 0,
    count: int = 1,
    detailed: bool = True,
    title: str = "",
    nics: list[str] | None = None,
    meta: dict[str, str] | None = None,
) -> None:
    """Make things."""


def problems(**arguments: object) -> list[tuple[tuple[str, ...], str]]:
    return [(problem.path, problem.message) for problem in argument_problems(make, arguments)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"image": "cirros"},
        {"image": {"id": "a"}, "flavor": {"name": "m1.tiny"}},
        {"image": {"regex": "^cirros.*-disk$", "accurate": True, "list_kwargs": {}}, "flavor": None},
        {"image": "a", "low": 1, "high": 1.5, "count": 0, "detailed": False, "title": ""},
        {"image": "a", "nics": [], "meta": {"a": "b"}},
        {"image": "a", "nics": None, "meta": None},
    ],
)
def test_arguments_that_fit_have_no_problems(arguments: dict[str, Any]) -> None:
    assert argument_problems(make, arguments) == ()


@pytest.mark.parametrize(
    ("arguments", "path", "message"),
    [
        ({"image": "a", "flavour": "b"}, ("flavour",), "Things.make has no argument 'flavour'; did you mean 'flavor'?"),
        (
            {"image": "a", "zzz": 1},
            ("zzz",),
            "Things.make has no argument 'zzz'; it takes image, flavor, low, high, count, detailed, title, nics, meta",
        ),
        ({}, (), "Things.make needs the argument 'image'"),
        (
            {"image": "a", "count": "5"},
            ("count",),
            "Things.make: argument 'count' must be a whole number, not the text '5'",
        ),
        ({"image": "a", "count": True}, ("count",), "Things.make: argument 'count' must be a whole number, not true"),
        (
            {"image": "a", "detailed": 1},
            ("detailed",),
            "Things.make: argument 'detailed' must be true or false, not the number 1",
        ),
        ({"image": "a", "low": -1}, ("low",), "Things.make: argument 'low' must be at least 0, not -1"),
        ({"image": "a", "low": 11}, ("low",), "Things.make: argument 'low' must be at most 10, not 11"),
        (
            {"image": "a", "high": float("nan")},
            ("high",),
            "Things.make: argument 'high' must be finite, not nan",
        ),
        ({"image": "a", "title": None}, ("title",), "Things.make: argument 'title' must be text, not nothing"),
        ({"image": "a", "nics": {}}, ("nics",), "Things.make: argument 'nics' must be a list, not the mapping {}"),
        ({"image": ""}, ("image",), "Things.make: argument 'image' is empty: give the image's id or name"),
        (
            {"image": 5},
            ("image",),
            "Things.make: argument 'image' must be text or {id: …}, {name: …} or {regex: …}, not the number 5",
        ),
        (
            {"image": {}},
            ("image",),
            "Things.make: argument 'image' must be exactly one of {id: …}, {name: …} or {regex: …}, not none of them",
        ),
        (
            {"image": {"id": "a", "name": "b"}},
            ("image",),
            "Things.make: argument 'image' must be exactly one of {id: …}, {name: …} or {regex: …}, not id and name",
        ),
        (
            {"image": {"nmae": "a"}},
            ("image", "nmae"),
            "Things.make: argument 'image' has no key 'nmae'; did you mean 'name'?",
        ),
        (
            {"image": {"name": 7}},
            ("image", "name"),
            "Things.make: argument 'image': name must be text, not the number 7",
        ),
        ({"image": "a", "low": 2, "high": 1}, (), "Things.make: low is greater than high"),
    ],
)
def test_each_wrong_argument_is_named_with_what_is_allowed(
    arguments: dict[str, Any], path: tuple[str, ...], message: str
) -> None:
    assert problems(**arguments) == [(path, message)]


def test_a_bad_regular_expression_is_refused_before_the_load() -> None:
    [(path, message)] = problems(image={"regex": "("})

    assert path == ("image", "regex")
    assert message.startswith("Things.make: argument 'image': '(' is not a regular expression: ")


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InputError, match=r"no argument 'colour'.*; .*'count' must be.*; .*needs the argument 'image'"):
        check_arguments(make, {"colour": "a", "count": []})


def test_a_misspelt_required_argument_is_one_problem() -> None:
    """Told as unknown and as missing too, it would look like two things to mend."""
    assert problems(imag="a") == [(("imag",), "Things.make has no argument 'imag'; did you mean 'image'?")]


def test_defaults_fill_what_was_left_out() -> None:
    assert with_defaults(make, {"image": "a", "count": 3}) == {
        "image": "a",
        "flavor": None,
        "low": 0,
        "high": 0,
        "count": 3,
        "detailed": True,
        "title": "",
        "nics": None,
        "meta": None,
    }
