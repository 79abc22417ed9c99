"""Configurations declared as structs are read like every other part of a task file."""

from typing import Annotated, Literal

import msgspec
import pytest

from osbench.coordinator.task_file.document import read_document
from osbench.coordinator.task_file.problem import Problems
from osbench.coordinator.task_file.struct_schema import from_struct


class Router(msgspec.Struct, forbid_unknown_fields=True):
    external: bool = True


class Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1, le=9)]
    rate: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=8)] | None = None
    choice: Literal["random", "round_robin"] = "random"
    names: list[str] = []
    extra: dict[str, int] = {}
    router: Router | None = None


def told(text: str) -> list[str]:
    problems = Problems()
    node = read_document(text, problems)
    assert node is not None
    from_struct(Config).read(node, "context c", problems)
    return [problem.message for problem in problems.found]


ROWS = [
    ("{size: 1, rate: 2, password: null, choice: random, names: [a], extra: {a: 1}, router: {external: false}}", None),
    ("{}", "context c lacks the key 'size'; allowed: a whole number, from 1 to 9"),
    ("{size: 10}", "context c: size is 10; allowed: a whole number, from 1 to 9"),
    ("{size: 1, rate: 0}", "context c: rate is 0; allowed: a number, above 0"),
    (
        "{size: 1, password: ''}",
        "context c: password has 0 characters; allowed: text of 1 or more characters and at most 8 characters",
    ),
    ("{size: 1, choice: rand}",
     "context c: choice is the text 'rand'; allowed: random, round_robin; did you mean 'random'?"),
    ("{size: 1, names: [1]}", "context c: names[0] is 1; allowed: text; put it in quotes"),
    ("{size: 1, extra: {a: b}}", "context c: extra: a is the text 'b'; allowed: a whole number"),
    (
        "{size: 1, router: {extrnal: true}}",
        "context c: router has the unknown key 'extrnal'; allowed: external; did you mean 'external'?",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_a_field_that_does_not_fit_is_told(text: str, expected: str | None) -> None:
    assert told(text) == ([expected] if expected else [])


def test_a_type_without_a_schema_is_our_error_and_not_the_users() -> None:
    class Odd(msgspec.Struct):
        when: bytes

    with pytest.raises(TypeError, match="BytesType"):
        from_struct(Odd)
