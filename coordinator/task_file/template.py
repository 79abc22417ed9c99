"""Renders the template that a task file is, and traces lines of the result back to the file.

Rules: Jinja2 in its sandbox, with the file's folder to include from and Rally's globals. A variable without a value is
an error that names it, unless the file gives it a default. Output and the usual ways to run away are bounded.

Which line of the result stands where in the file is found exactly, not guessed: the template is rendered a second time
with a mark at the end of every line that ends in text, and the marks are read off the result. If the marks change anything
else of the result (a filter over a block, say), there is no trace, and positions are those of the rendered text.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from osbench.coordinator.task_file.document import MAX_CHARACTERS
from osbench.coordinator.task_file.problem import Position, Problem, Problems, quoted, suggestion

#: Rally's own additions to Jinja2's globals.
GLOBALS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "ceil": math.ceil, "round": round}
#: Longest text or list, and largest power, that an expression may make.
MAX_PRODUCT = 2**20
MAX_EXPONENT = 64

#: A mark is a line's number between two characters of Unicode's private area, which no task file needs.
MARK_BEGIN, MARK_END = "\ue0b0", "\ue0b1"
MARK = re.compile(f"{MARK_BEGIN}([0-9]+){MARK_END}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A task file as read.

    Attributes:
        label: how messages call it: its path as the user wrote it. folder: what it may include from.
    """

    label: str
    text: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A template's result.

    Attributes:
        notes: what the user should know though it is no mistake.
    """

    text: str
    notes: tuple[str, ...] = ()


class _Unset(jinja2.Undefined):
    """A variable without a value: may be tested and replaced by a default, but not printed or walked through."""

    __slots__ = ()

    def __str__(self) -> str:
        self._fail_with_undefined_error()

    def __iter__(self) -> Iterator[Any]:
        self._fail_with_undefined_error()

    def __len__(self) -> int:
        self._fail_with_undefined_error()


class _Environment(SandboxedEnvironment):
    """The sandbox, with bounds on what multiplies."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(right, int | float) and abs(right) > MAX_EXPONENT:
            raise SecurityError(f"a power of {right} is above the {MAX_EXPONENT} allowed")
        if operator == "*":
            for sized, factor in ((left, right), (right, left)):
                if (
                    isinstance(sized, str | list | tuple)
                    and isinstance(factor, int)
                    and len(sized) * factor > MAX_PRODUCT
                ):
                    raise SecurityError(
                        f"{len(sized)} × {factor} is above the {MAX_PRODUCT:,} items or letters allowed"
                    )
        return super().call_binop(context, operator, left, right)


def render(source: Source, arguments: Mapping[str, Any], problems: Problems) -> Rendered | None:
    """The text of a task file with its template expanded.

    Args:
        arguments: values of template variables.

    Returns:
        The result; None if there is none, and then `problems` says why, at positions of the file itself.
    """
    environment = _environment(source.folder)
    try:
        tree = environment.parse(source.text)
        undeclared = meta.find_undeclared_variables(tree)  # Compiles it: unknown filters and tests show here.
    except jinja2.TemplateSyntaxError as error:
        problems.add(Position(error.lineno, 1), f"wrong template syntax: {error.message}")
        return None
    except RecursionError:
        problems.add(Position(1, 1), "wrong template: an expression is nested too deep")
        return None
    missing = _missing(tree, undeclared, set(arguments) | set(environment.globals))
    for name in missing:
        cure = f'--task-args "{name}=…" or, in the file, {{% set {name} = {name} or "…" %}}'
        hint = suggestion(name, arguments)
        problems.add(_place_of(name, tree, source.text), f"template variable {name!r} has no value; give {cure}{hint}")
    if missing:
        return None
    text = _expand(environment, source, source.text, arguments, problems)
    return None if text is None else Rendered(text=text, notes=_unused(tree, arguments, source))


def _environment(folder: Path) -> _Environment:
    environment = _Environment(loader=jinja2.FileSystemLoader(str(folder)), undefined=_Unset)
    environment.globals.update(GLOBALS)
    return environment


def _expand(
    environment: _Environment, source: Source, text: str, arguments: Mapping[str, Any], problems: Problems
) -> str | None:
    """Render `text`, which is the source's or that with marks."""
    parts: list[str] = []
    length = 0
    try:
        for part in environment.from_string(text).generate(**arguments):
            parts.append(part)
            length += len(part)
            if length > 2 * MAX_CHARACTERS:
                problems.add(Position(1, 1), f"the rendered text is above the {MAX_CHARACTERS:,} characters allowed")
                return None
    except Exception as error:  # noqa: BLE001 - an expression of the user's may raise anything.
        line, where = _failing_line(error)
        problems.add(Position(line, 1), f"the template fails{where}: {type(error).__name__}: {error}")
        return None
    return "".join(parts)


def _failing_line(error: Exception) -> tuple[int, str]:
    """Line of the template that raised, and in which included file if it was one of those."""
    if isinstance(error, jinja2.TemplateSyntaxError):  # Of an included file: it has no frame of its own.
        return 1, f" in line {error.lineno} of {error.name or 'an included file'}"
    line, where = 1, ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name == "<template>":
            line, where = trace.tb_lineno, ""
        elif "__jinja_template__" in trace.tb_frame.f_globals:
            where = f" in line {trace.tb_lineno} of {Path(name).name}"
        trace = trace.tb_next
    return line, where


def _missing(tree: nodes.Template, undeclared: set[str], known: set[str]) -> list[str]:
    """Variables that are used, unknown, and nowhere given a default; in alphabetical order.

    Args:
        undeclared: all that the template uses and does not set before. known: those with a value.
    """
    given = set(known)
    for assignment in tree.find_all(nodes.Assign):
        targets = [assignment.target, *assignment.target.find_all(nodes.Name)]
        given |= {target.name for target in targets if isinstance(target, nodes.Name)}
    guarded: list[nodes.Node] = []
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name in ("default", "d") and filtered.node is not None:
            guarded.append(filtered.node)
    for test in tree.find_all(nodes.Test):
        if test.name in ("defined", "undefined"):
            guarded.append(test.node)
    guarded.extend(either.left for either in tree.find_all(nodes.Or))
    given |= {node.name for node in guarded if isinstance(node, nodes.Name)}
    return sorted(undeclared - given)


def _place_of(name: str, tree: nodes.Template, text: str) -> Position:
    """Where a variable is first used."""
    lines = [node.lineno for node in tree.find_all(nodes.Name) if node.name == name]
    line = min(lines, default=1)
    written = text.split("\n")[line - 1 : line]
    match = re.search(rf"\b{re.escape(name)}\b", written[0]) if written else None
    return Position(line, match.start() + 1 if match else 1)


def _unused(tree: nodes.Template, arguments: Iterable[str], source: Source) -> tuple[str, ...]:
    """A note on each argument the file does not use; none if it includes others, which may use it."""
    if any(True for _ in meta.find_referenced_templates(tree)):
        return ()
    used = {node.name for node in tree.find_all(nodes.Name)}
    return tuple(
        f"{source.label} does not use the task argument {quoted(name)}{suggestion(name, used)}"
        for name in arguments
        if name not in used
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """Which line of the rendered text came from which line of the file.

    Attributes:
        source_lines, rendered_lines: both texts, split.
        origins: for each rendered line the number, from 1, of the line of the file that it ends; None if not known.
    """

    source_lines: tuple[str, ...]
    rendered_lines: tuple[str, ...]
    origins: tuple[int | None, ...]

    def describe(self, label: str, problem: Problem) -> str:
        """One line `FILE:LINE:COLUMN: message`, in the file's own lines where the template left the line as it was."""
        position, message = problem.position, problem.message
        index = position.line - 1
        if index >= len(self.rendered_lines):
            return f"{label}:{position.line}:{position.column}: {message} (at the end of the rendered text)"
        line, origin = self.rendered_lines[index], self.origins[index]
        if origin is not None and self.source_lines[origin - 1] == line:
            return f"{label}:{origin}:{position.column}: {message}"
        came_from = f", made of line {origin} of the file" if origin is not None else ""
        shown = quoted(line.strip())
        return f"{label}:{position.line}:{position.column}: {message} (in the rendered text{came_from}: {shown})"


def map_lines(source: Source, rendered: Rendered, arguments: Mapping[str, Any]) -> SourceMap:
    """Trace the lines of a result back to its file."""
    source_lines = tuple(source.text.split("\n"))
    rendered_lines = tuple(rendered.text.split("\n"))
    origins: tuple[int | None, ...] = (None,) * len(rendered_lines)
    if source.text.rstrip("\n") == rendered.text.rstrip("\n"):
        origins = tuple(range(1, len(rendered_lines) + 1))
    elif MARK_BEGIN not in source.text and not set("\r\x85\u2028\u2029") & set(source.text):
        environment = _environment(source.folder)
        marked = _expand(environment, source, _marked(environment, source.text), arguments, Problems())
        if marked is not None and MARK.sub("", marked) == rendered.text:
            origins = tuple(_mark_of(line) for line in marked.split("\n"))
    return SourceMap(source_lines=source_lines, rendered_lines=rendered_lines, origins=origins)


def _mark_of(line: str) -> int | None:
    marks = MARK.findall(line)
    return int(marks[-1]) if marks else None


def _marked(environment: _Environment, text: str) -> str:
    """The template with its marks: at the end of each line that ends in text or in a printed expression.

    After a tag or on a blank line a mark would change what the tag's white space control eats, or be carried by it
    to the end of another line.
    """
    last: dict[int, tuple[str, str]] = {}
    for number, kind, value in environment.lex(text):
        for offset, piece in enumerate(value.split("\n")):
            if piece.strip():
                last[number + offset] = (kind, piece)
    lines = text.split("\n")
    for number, (kind, piece) in last.items():
        if kind == "data" or (kind == "variable_end" and not piece.startswith("-")):
            lines[number - 1] += f"{MARK_BEGIN}{number}{MARK_END}"
    return "\n".join(lines)
