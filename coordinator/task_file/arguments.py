"""Values of template variables, from `--task-args` and `--task-args-file`.

Rules: both hold a YAML or JSON mapping; `--task-args` may also be `name=value,name=value`, and overrides the file.
"""

import re
from typing import Any

from osbench.common.error import InputError
from osbench.coordinator.task_file.document import Scalar, Table, plain, read_document
from osbench.coordinator.task_file.problem import Problem, Problems, quoted
from osbench.coordinator.task_file.schema import found

PAIRS = re.compile(r"\s*[A-Za-z_]\w*\s*=")
#: A comma that begins another pair; others belong to the value before them.
BETWEEN = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")
FORMS = "a YAML or JSON mapping, or name=value,name=value"


def parse_task_arguments(text: str, label: str) -> dict[str, Any]:
    """The variables in `text`.

    Args:
        label: where it came from, for messages: `--task-args`, or the file's path.

    Raises:
        InputError: one line with the place and what is allowed.
    """
    if PAIRS.match(text):
        return {name.strip(): _value(value, name, label) for name, _, value in map(_pair, BETWEEN.split(text))}
    problems = Problems()
    node = read_document(text, problems)
    if problems.found or node is None:
        raise InputError(_line(label, problems.found[0]))
    if isinstance(node, Scalar) and node.value is None:
        return {}
    if not isinstance(node, Table):
        raise InputError(f"{label}:1:1: found {found(node)}; allowed: {FORMS}")
    return dict(plain(node))


def _pair(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _value(text: str, name: str, label: str) -> Any:
    """A value as YAML reads it, so that numbers and lists are what they look like; other text stays text."""
    problems = Problems()
    node = read_document(text, problems)
    if node is None and ":" not in text and "{" not in text and "[" not in text:
        raise InputError(f"{label}: {name.strip()}={quoted(text)}: {problems.found[0].message}; allowed: {FORMS}")
    return text.strip() if node is None else plain(node)


def _line(label: str, problem: Problem) -> str:
    return f"{label}:{problem.position.line}:{problem.position.column}: {problem.message}; allowed: {FORMS}"
