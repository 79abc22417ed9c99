from typing import Annotated, Any, TypedDict, Unpack

import pytest

from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import Bounds, Flavor, Image, Parameter, scenario


class Extra(TypedDict, total=False):
    """More.

    Attributes:
        nics: what it is plugged into.
        tags: words.
    """

    nics: list[dict[str, str]]
    tags: list[str]


@scenario("Things.make", services=("nova",), needs_users=True, cleanup=("servers",))
async def make(
    it: Iteration,
    *,
    image: Image,
    flavor: Flavor | None = None,
    count: Annotated[int, Bounds(1, 5)] = 2,
    **extra: Unpack[Extra],
) -> None:
    """Make things.

    Much more is to be said
    about it.

    Args:
        image: what it is
            made of.
        count: how many.

    Raises:
        Nothing: at all.
    """


def test_parameters_come_from_signature_docstring_and_typed_dictionary() -> None:
    assert make.parameters == (
        Parameter(name="image", type="image", required=True, doc="what it is made of."),
        Parameter(name="flavor", type="flavor", required=False, nullable=True),
        Parameter(name="count", type="int", required=False, default=2, bounds=Bounds(1, 5), doc="how many."),
        Parameter(name="nics", type="list", required=False, doc="what it is plugged into."),
        Parameter(name="tags", type="list", required=False, doc="words."),
    )
    assert not make.takes_more


def test_title_and_description_come_from_the_docstring() -> None:
    assert (make.title, make.description) == ("Make things.", "Much more is to be said about it.")


def test_what_a_scenario_needs_is_kept_as_declared() -> None:
    assert (make.name, make.services, make.needs_users, make.needs_admin, make.cleanup) == (
        "Things.make",
        ("nova",),
        True,
        False,
        ("servers",),
    )


def test_open_keyword_arguments_are_taken() -> None:
    @scenario("Things.open")
    async def open_(it: Iteration, **more: Any) -> None:
        """Take anything."""

    assert open_.takes_more
    assert open_.parameters == ()


def test_a_name_without_a_class_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'boot' is not of the form Class\.method"):
        scenario("boot")


def test_a_plain_function_is_refused() -> None:
    def plain(it: Iteration) -> None:
        """Not async."""

    with pytest.raises(TypeError, match=r"Things\.plain: a scenario is an async function"):
        scenario("Things.plain")(plain)  # type: ignore[arg-type]


def test_a_parameter_of_an_unknown_type_is_refused() -> None:
    async def odd(it: Iteration, *, when: bytes) -> None:
        """Odd."""

    with pytest.raises(TypeError, match=r"Things\.odd: parameter when: cannot be annotated with"):
        scenario("Things.odd")(odd)


def test_a_positional_parameter_is_refused() -> None:
    async def positional(it: Iteration, when: int) -> None:
        """Positional."""

    with pytest.raises(TypeError, match="parameter when is not keyword-only"):
        scenario("Things.positional")(positional)
