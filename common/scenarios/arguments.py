"""Whether the arguments a user wrote fit a scenario: pure, before anything on the cloud is touched.

Rules: what is wrong is a value, one per argument, so that the task file's reader can add where in the text it stands.
Whether the cloud has the images and flavors that are named is not known here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osbench.common.error import InputError
from osbench.common.nearest import did_you_mean, nearest
from osbench.common.scenarios.definition import REFERENCES, Parameter, Scenario

#: Keys of a reference: exactly one of the first; the rest are Rally's and say how to look.
REFERENCE_KEYS = ("id", "name", "regex")
REFERENCE_OPTIONS = ("accurate", "list_kwargs")

#: What a value of a type is called in messages, and the classes it may be of. bool is no number, though Python says so.
EXPECTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "bool": ("true or false", (bool,)),
    "str": ("text", (str,)),
    "list": ("a list", (list, tuple)),
    "dict": ("a mapping", (dict,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentProblem:
    """What is wrong with the arguments.

    Attributes:
        path: keys that lead to it from the arguments, e.g. ("image", "regex"); empty for the arguments as a whole.
        message: what was found, what is allowed, and the nearest name.
    """

    path: tuple[str, ...]
    message: str


def argument_problems(scenario: Scenario, arguments: Mapping[str, Any]) -> tuple[ArgumentProblem, ...]:
    """All that is wrong with the arguments, in the order written; empty if the scenario can be called with them.

    Args:
        scenario: the one to be called.
        arguments: as written, references not resolved.
    """
    known = [parameter.name for parameter in scenario.parameters]
    problems: list[ArgumentProblem] = []
    for name, value in arguments.items():
        parameter = scenario.parameter(name)
        if parameter is not None:
            problems.extend(_value_problems(scenario, parameter, value))
        elif not scenario.takes_more:
            allowed = f"it takes {', '.join(known)}" if known else "it takes no arguments"
            message = f"{scenario.name} has no argument {name!r:.80}{did_you_mean(str(name), known) or f'; {allowed}'}"
            problems.append(ArgumentProblem(path=(str(name),), message=message))
    # A misspelt name is complained about above, with a hint at the right one: one mistake is one line.
    misspelt = {nearest(str(name), known) for name in arguments if scenario.parameter(name) is None}
    problems.extend(
        ArgumentProblem(path=(), message=f"{scenario.name} needs the argument {parameter.name!r}")
        for parameter in scenario.parameters
        if parameter.required and parameter.name not in arguments and parameter.name not in misspelt
    )
    if not problems and scenario.check is not None:
        message = scenario.check(with_defaults(scenario, arguments))
        if message:
            problems.append(ArgumentProblem(path=(), message=f"{scenario.name}: {message}"))
    return tuple(problems)


def check_arguments(scenario: Scenario, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments the scenario cannot be called with.

    Raises:
        InputError: naming all that is wrong.
    """
    problems = argument_problems(scenario, arguments)
    if problems:
        raise InputError("; ".join(problem.message for problem in problems))


def with_defaults(scenario: Scenario, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the defaults of those left out."""
    defaults = {parameter.name: parameter.default for parameter in scenario.parameters if not parameter.required}
    return {**defaults, **arguments}


def _value_problems(scenario: Scenario, parameter: Parameter, value: object) -> list[ArgumentProblem]:
    where = f"{scenario.name}: argument {parameter.name!r}"
    if parameter.type == "any" or (value is None and parameter.nullable):
        return []
    if parameter.type in REFERENCES:
        return _reference_problems(where, parameter, value)
    if parameter.type == "size":
        return _size_problems(where, parameter, value)
    expected, classes = EXPECTED[parameter.type]
    is_mistaken_bool = isinstance(value, bool) and parameter.type != "bool"
    if not isinstance(value, classes) or is_mistaken_bool:
        message = f"{where} must be {expected}, not {_described(value)}"
        return [ArgumentProblem(path=(parameter.name,), message=message)]
    outside = _outside(parameter, value)
    return [ArgumentProblem(path=(parameter.name,), message=f"{where} {outside}")] if outside else []


def _size_problems(where: str, parameter: Parameter, value: object) -> list[ArgumentProblem]:
    """What is wrong with a size: a whole number from 1 up, or a mapping {min, max} of two, in order."""
    path: tuple[str, ...] = (parameter.name,)
    if isinstance(value, dict):
        numbers = [value.get("min"), value.get("max")]
        fits = set(value) == {"min", "max"} and all(_is_size(number) for number in numbers)
        if fits and value["min"] <= value["max"]:
            return []
        message = f"{where} must be {{min, max}} with whole numbers, 1 <= min <= max, not {_described(value)}"
        return [ArgumentProblem(path=path, message=message)]
    if _is_size(value):
        return []
    message = f"{where} must be a whole number from 1 up, or {{min, max}} of two, not {_described(value)}"
    return [ArgumentProblem(path=path, message=message)]


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _outside(parameter: Parameter, value: object) -> str:
    """By which bound a number is outside; empty if it is inside, or is no number."""
    if not isinstance(value, int | float):
        return ""
    bounds = parameter.bounds
    if not abs(value) < float("inf"):
        return f"must be finite, not {value}"
    if bounds.at_least is not None and value < bounds.at_least:
        return f"must be at least {bounds.at_least:g}, not {value}"
    if bounds.at_most is not None and value > bounds.at_most:
        return f"must be at most {bounds.at_most:g}, not {value}"
    return ""


def _reference_problems(where: str, parameter: Parameter, value: object) -> list[ArgumentProblem]:
    """What is wrong with a reference: text, or a mapping with exactly one of id, name and regex."""
    path: tuple[str, ...] = (parameter.name,)
    if isinstance(value, str):
        message = "" if value else f"{where} is empty: give the {parameter.type}'s id or name"
        return [ArgumentProblem(path=path, message=message)] if message else []
    allowed = "{id: …}, {name: …} or {regex: …}"
    if not isinstance(value, dict):
        message = f"{where} must be text or {allowed}, not {_described(value)}"
        return [ArgumentProblem(path=path, message=message)]
    known = (*REFERENCE_KEYS, *REFERENCE_OPTIONS)
    for key in value:
        if key not in known:
            message = f"{where} has no key {key!r:.80}{did_you_mean(str(key), known) or f'; it is {allowed}'}"
            return [ArgumentProblem(path=(*path, str(key)), message=message)]
    ways = [key for key in REFERENCE_KEYS if key in value]
    if len(ways) != 1:
        message = f"{where} must be exactly one of {allowed}, not {' and '.join(ways) or 'none of them'}"
        return [ArgumentProblem(path=path, message=message)]
    text = value[ways[0]]
    if not isinstance(text, str) or not text:
        message = f"{where}: {ways[0]} must be text, not {_described(text)}"
        return [ArgumentProblem(path=(*path, ways[0]), message=message)]
    if ways[0] == "regex":
        try:
            re.compile(text)
        except re.error as error:
            message = f"{where}: {text!r:.80} is not a regular expression: {error}"
            return [ArgumentProblem(path=(*path, "regex"), message=message)]
    return []


def _described(value: object) -> str:
    """A value as found, with what it is: `the text '5'`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value!r:.80}" if value else "empty text"
    kinds: dict[type, str] = {int: "the number", float: "the number", list: "the list", dict: "the mapping"}
    return f"{kinds.get(type(value), 'the ' + type(value).__name__)} {value!r:.80}"
