"""What a scenario is: a name, an async function and its parameters, derived from signature and docstring.

    @scenario("NovaServers.list_servers", services=("nova",), needs_users=True)
    async def list_servers(it: Iteration, *, detailed: bool = True) -> None:
        ...

Rules: a parameter is keyword-only and annotated with one of `TYPES`, such a type or None, or `Annotated` with
`Bounds`. `Image` and `Flavor` mark references, which are ids by the time the function is called; of a `Size` the
function asks `size_of`. Further arguments come
as `**more: Unpack[SomeTypedDict]`, whose keys become optional parameters, or as `**more: Any`, which takes anything.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import NoneType, UnionType
from typing import Annotated, Any, NewType, Union, Unpack, cast, get_args, get_origin, get_type_hints

#: Id of an image or a flavor; in a task file an id, a name, or {id | name | regex: text}, resolved before the load.
Image = NewType("Image", str)
Flavor = NewType("Flavor", str)
#: A whole number, or {min, max} for a random one in each iteration, ends included.
Size = NewType("Size", object)

#: What a parameter may be annotated with, and its name in messages and listings.
TYPES: dict[object, str] = {
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
    list: "list",
    dict: "dict",
    Any: "any",
    Image: "image",
    Flavor: "flavor",
    Size: "size",
}
REFERENCES = frozenset({"image", "flavor"})

NAME = re.compile(r"[A-Z][A-Za-z0-9]*\.[a-z][a-z0-9_]*")


def size_of(size: Size, random: Random) -> int:
    """The number an iteration takes of a size, from 1 up.

    Args:
        size: checked. random: the iteration's own.
    """
    if isinstance(size, int):
        return size
    asked = cast(Mapping[str, int], size)
    return random.randint(asked["min"], asked["max"])


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be, ends included: `Annotated[float, Bounds(0, 1)]`; None for no bound."""

    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument a scenario takes.

    Attributes:
        type: one of the values of `TYPES`. nullable: None is a value too.
        default: of a parameter that is not required; None where leaving it out and giving None are the same.
        doc: from the docstring, without its name.
    """

    name: str
    type: str
    required: bool
    nullable: bool = False
    default: object = None
    bounds: Bounds = Bounds()
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A named thing to do once an iteration.

    Attributes:
        name: as in task files, `Class.method`. title: one sentence. description: the rest of the docstring.
        function: async, called with the iteration and the arguments by name.
        parameters: in order of the signature. takes_more: whether arguments of other names are taken too.
        services: what the cloud must have, e.g. `nova`.
        needs_users: users of a context or of the deployment; needs_admin: the deployment's administrator.
        cleanup: kinds of resources it may leave behind, of coordinator/cleanup, e.g. `server`.
        check: says what is wrong with arguments that each fit alone but not together, or nothing.
    """

    name: str
    title: str
    description: str
    function: Callable[..., Awaitable[None]]
    parameters: tuple[Parameter, ...]
    takes_more: bool
    services: tuple[str, ...]
    needs_users: bool
    needs_admin: bool
    cleanup: tuple[str, ...]
    check: Callable[[Mapping[str, Any]], str] | None

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that name."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def scenario(
    name: str,
    *,
    services: tuple[str, ...] = (),
    needs_users: bool = False,
    needs_admin: bool = False,
    cleanup: tuple[str, ...] = (),
    check: Callable[[Mapping[str, Any]], str] | None = None,
) -> Callable[[Callable[..., Awaitable[None]]], Scenario]:
    """Make a scenario of an async function; the attributes are those of `Scenario`.

    Raises:
        TypeError: the function cannot be a scenario; found at import, so it never reaches a user.
    """
    if not NAME.fullmatch(name):
        raise TypeError(f"scenario name {name!r} is not of the form Class.method")

    def define(function: Callable[..., Awaitable[None]]) -> Scenario:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{name}: a scenario is an async function")
        title, description, docs = _docstring(function)
        parameters, takes_more = _parameters(name, function, docs)
        return Scenario(
            name=name,
            title=title,
            description=description,
            function=function,
            parameters=parameters,
            takes_more=takes_more,
            services=services,
            needs_users=needs_users,
            needs_admin=needs_admin,
            cleanup=cleanup,
            check=check,
        )

    return define


def _docstring(documented: object) -> tuple[str, str, dict[str, str]]:
    """Title, description and the texts of the section `Args:` or `Attributes:` by name."""
    text = inspect.getdoc(documented) or ""
    title, _, rest = text.partition("\n")
    parts = re.split(r"^(?:Args|Attributes):\n", rest, maxsplit=1, flags=re.MULTILINE)
    docs: dict[str, str] = {}
    current = ""
    for line in parts[1].splitlines() if len(parts) > 1 else ():
        if line and not line.startswith(" "):
            break
        if start := re.match(r" {4}(\w+): (.*)", line):
            current = start[1]
            docs[current] = start[2]
        elif current and line.strip():
            docs[current] += " " + line.strip()
    return title.strip(), " ".join(parts[0].split()), docs


def _parameters(
    name: str, function: Callable[..., Awaitable[None]], docs: dict[str, str]
) -> tuple[tuple[Parameter, ...], bool]:
    """The parameters of a scenario's function, and whether it takes more than those."""
    hints = get_type_hints(function, include_extras=True)
    _iteration, *others = inspect.signature(function).parameters.values()
    parameters: list[Parameter] = []
    takes_more = False
    for other in others:
        where = f"{name}: parameter {other.name}"
        hint = hints.get(other.name, Any)
        if other.kind is inspect.Parameter.VAR_KEYWORD:
            if get_origin(hint) is Unpack:
                parameters.extend(_keys(name, get_args(hint)[0]))
            else:
                takes_more = True
            continue
        if other.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"{where} is not keyword-only")
        required = other.default is inspect.Parameter.empty
        default = None if required else other.default
        parameters.append(_parameter(where, other.name, hint, required, default, docs.get(other.name, "")))
    return tuple(parameters), takes_more


def _keys(name: str, keys: type) -> list[Parameter]:
    """The optional parameters that a typed dictionary of further arguments stands for."""
    _, _, docs = _docstring(keys)
    hints = get_type_hints(keys, include_extras=True)
    return [
        _parameter(f"{name}: key {key} of {keys.__name__}", key, hint, False, None, docs.get(key, ""))
        for key, hint in hints.items()
    ]


def _parameter(where: str, name: str, hint: Any, required: bool, default: object, doc: str) -> Parameter:
    bounds = Bounds()
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        bounds = next((mark for mark in marks if isinstance(mark, Bounds)), bounds)
    nullable = False
    if get_origin(hint) in (Union, UnionType):
        alternatives = [alternative for alternative in get_args(hint) if alternative is not NoneType]
        nullable = len(alternatives) < len(get_args(hint))
        if len(alternatives) != 1:
            raise TypeError(f"{where}: at most one type beside None, not {hint}")
        hint = alternatives[0]
    type_name = TYPES.get(get_origin(hint) or hint)
    if type_name is None:
        raise TypeError(f"{where}: cannot be annotated with {hint}")
    return Parameter(
        name=name, type=type_name, required=required, nullable=nullable, default=default, bounds=bounds, doc=doc
    )
