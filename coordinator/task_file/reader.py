"""A task file's text to a task, or to one line for each mistake in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from osbench.common.error import InputError
from osbench.common.task import TaskSpec
from osbench.coordinator.task_file.catalog import Catalog
from osbench.coordinator.task_file.document import MAX_CHARACTERS, Scalar, Table, read_document
from osbench.coordinator.task_file.format_v1 import read_format_v1
from osbench.coordinator.task_file.format_v2 import read_format_v2
from osbench.coordinator.task_file.problem import MAX_SHOWN, Problem, Problems
from osbench.coordinator.task_file.schema import found
from osbench.coordinator.task_file.template import Source, map_lines, render
from osbench.coordinator.task_file.workload import Reading

SHAPES = "a mapping: `version: 2` with title and subtasks, or scenario names with lists of workloads"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTask:
    """A task file that is fit to run.

    Attributes:
        rendered: its text with the template expanded.
        notes: what the user should know though it is no mistake, one line each.
    """

    spec: TaskSpec
    rendered: str
    notes: tuple[str, ...] = ()


def read_source(path: Path, label: str | None = None) -> Source:
    """Read a task file from disk.

    Raises:
        InputError: it cannot be read, is too large, or is no text.
    """
    name = label or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    return source_of(data, name, path.parent)


def source_of(data: bytes, label: str, folder: Path) -> Source:
    """A task file from its bytes.

    Raises:
        InputError: too large, or not UTF-8.
    """
    if len(data) > 4 * MAX_CHARACTERS:
        raise InputError(f"{label}: the file is larger than the {4 * MAX_CHARACTERS:,} bytes allowed")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{label}:{line}:1: found the byte 0x{data[error.start]:02x}; a task file is UTF-8") from error
    # Jinja2 makes all line ends alike; so do we, for the lines of both texts to be comparable.
    return Source(label=label, text=text.replace("\r\n", "\n").replace("\r", "\n"), folder=folder)


def load_task(source: Source, arguments: Mapping[str, Any], catalog: Catalog) -> LoadedTask:
    """Read a task.

    Args:
        arguments: values of template variables. catalog: what the file may name.

    Raises:
        InputError: the file has mistakes: one line each, `FILE:LINE:COLUMN: found, allowed, nearest`.
    """
    problems = Problems()
    rendered = render(source, arguments, problems)
    if rendered is None:
        raise InputError(_lines(problems.found, partial(_in_source, source.label)))
    reading = Reading(catalog=catalog, problems=problems, notes=list(rendered.notes))
    spec = _read(rendered.text, Path(source.label).stem, reading)
    if problems.found or spec is None:
        lines = map_lines(source, rendered, arguments)
        raise InputError(_lines(problems.found, partial(lines.describe, source.label)))
    return LoadedTask(spec=spec, rendered=rendered.text, notes=tuple(reading.notes))


def load_rendered(text: str, *, title: str, catalog: Catalog) -> LoadedTask:
    """Read a task whose template was expanded elsewhere: nothing in the text is expanded, no file is opened.

    Args:
        title: of a task of format 1, which has none of its own.

    Raises:
        InputError: it has mistakes: one line each, at positions of this text.
    """
    reading = Reading(catalog=catalog, problems=Problems(), notes=[])
    spec = _read(text, title, reading)
    if reading.problems.found or spec is None:
        raise InputError(_lines(reading.problems.found, partial(_in_source, "task")))
    return LoadedTask(spec=spec, rendered=text, notes=tuple(reading.notes))


def _read(text: str, title: str, reading: Reading) -> TaskSpec | None:
    root = read_document(text, reading.problems)
    if root is None:
        return None
    if isinstance(root, Scalar) and root.value is None:
        reading.problems.add(root.position, f"the task is empty; allowed: {SHAPES}")
        return None
    if not isinstance(root, Table) or not root.entries:
        reading.problems.add(root.position, f"the task is {found(root)}; allowed: {SHAPES}")
        return None
    if root.entry("version") is not None:
        return read_format_v2(root, reading)
    if root.entry("subtasks") is not None:
        reading.problems.add(root.position, "task lacks the key 'version'; allowed: 2, where there are subtasks")
        return None
    return read_format_v1(root, title, reading)


def _in_source(label: str, problem: Problem) -> str:
    return f"{label}:{problem.position.line}:{problem.position.column}: {problem.message}"


def _lines(problems: list[Problem], describe: Callable[[Problem], str]) -> str:
    """Problems in the order of the text, one line each, the first of each line of it first; then how many more."""
    ordered = sorted(set(problems), key=lambda problem: problem.position)
    lines = [describe(problem) for problem in ordered[:MAX_SHOWN]]
    if len(ordered) > MAX_SHOWN:
        lines.append(f"… and {len(ordered) - MAX_SHOWN} more mistakes")
    return "\n".join(lines)
