"""YAML text to a tree of plain values that know where they stand.

Rules: only what JSON can say comes through (null, booleans, finite numbers, text, lists, mappings with text keys),
read as YAML 1.1 like Rally does. Size, depth and the growth by aliases are bounded before a tree is built. The first
mistake of syntax ends the reading; doubled keys and odd values are collected.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from osbench.coordinator.task_file.problem import Position, Problems, quoted

#: Bounds of a rendered task file.
MAX_CHARACTERS = 2**20
MAX_DEPTH = 40
MAX_NODES = 100_000


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value."""

    position: Position
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    position: Position
    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, where it stands, and its value."""

    key: str
    position: Position
    value: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; no key stands in it twice."""

    position: Position
    entries: tuple[Entry, ...]

    def entry(self, key: str) -> Entry | None:
        """The entry of a key, or None."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node = Scalar | Items | Table


def plain(node: Node) -> Any:
    """The value without positions: None, bool, int, float, str, list, dict."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain(item) for item in node.items]
        case Table():
            return {entry.key: plain(entry.value) for entry in node.entries}


def read_document(text: str, problems: Problems) -> Node | None:
    """The one YAML document in `text`.

    Returns:
        Its tree; None if it is not well-formed, and then `problems` says where and why. An empty text is a null.
    """
    start = Position(1, 1)
    if len(text) > MAX_CHARACTERS:
        problems.add(start, f"the rendered text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are allowed")
        return None
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        before = text[: unprintable.start()].split("\n")
        problems.add(
            Position(len(before), len(before[-1]) + 1),
            f"found the character {unprintable.group()!r}; YAML allows printable ones only",
        )
        return None
    try:
        if not _is_within_bounds(text, problems):
            return None
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        problems.add(_error_position(error), _error_message(error))
        return None
    except ValueError as error:  # PyYAML lets this through for escapes such as "\UFFFFFFFF".
        problems.add(start, f"not YAML: {error}")
        return None
    if root is None:
        return Scalar(start, None)
    return _Reader(problems).read_root(root)


def _is_within_bounds(text: str, problems: Problems) -> bool:
    """Whether nesting and the number of nodes are bounded: judged on events, which need no recursion."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if not isinstance(event, yaml.NodeEvent):
            continue
        nodes += 1
        depth += isinstance(event, yaml.CollectionStartEvent)
        if depth > MAX_DEPTH:
            problems.add(_position(event.start_mark), f"nested deeper than the {MAX_DEPTH} levels allowed")
            return False
        if nodes > MAX_NODES:
            problems.add(_position(event.start_mark), f"more than the {MAX_NODES:,} values allowed")
            return False
    return True


class _Reader:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._constructor = yaml.constructor.SafeConstructor()
        #: Nodes made so far, repeated ones counted each time: aliases multiply them.
        self._made = 0
        #: Ids of the collections being read: one that contains itself is met here again.
        self._open: set[int] = set()

    def read_root(self, root: yaml.Node) -> Node | None:
        before = len(self._problems.found)
        try:
            node = self._read(root)
        except _UnboundedError as error:
            self._problems.add(error.position, str(error))
            return None
        return node if len(self._problems.found) == before else None

    def _read(self, node: yaml.Node) -> Node:
        position = _position(node.start_mark)
        self._made += 1
        if self._made > MAX_NODES:
            raise _UnboundedError(position, f"aliases make more than the {MAX_NODES:,} values allowed")
        if id(node) in self._open:
            raise _UnboundedError(position, "this value contains itself by an alias, which is not allowed")
        if isinstance(node, yaml.ScalarNode):
            return Scalar(position, self._scalar(node, position))
        if len(self._open) >= MAX_DEPTH:
            raise _UnboundedError(position, f"aliases nest deeper than the {MAX_DEPTH} levels allowed")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self._expect_tag(node, "tag:yaml.org,2002:seq", position)
                return Items(position, tuple(self._read(item) for item in node.value))
            assert isinstance(node, yaml.MappingNode)
            self._expect_tag(node, "tag:yaml.org,2002:map", position)
            return Table(position, tuple(self._entries(node)))
        finally:
            self._open.discard(id(node))

    def _expect_tag(self, node: yaml.Node, tag: str, position: Position) -> None:
        if node.tag != tag:
            self._problems.add(position, f"found the YAML tag {quoted(node.tag)}; no tags are allowed")

    def _entries(self, node: yaml.MappingNode) -> Iterator[Entry]:
        """Entries in order; those merged in by `<<` come where no own key overrides them."""
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            position = _position(key_node.start_mark)
            if key_node.tag == "tag:yaml.org,2002:merge":
                for entry in self._merged(value_node):
                    merged.setdefault(entry.key, entry)
                continue
            key = self._key(key_node, position)
            value = self._read(value_node)
            if key in own:
                first = own[key].position.line
                self._problems.add(position, f"the key {key!r} stands here twice; first in line {first} of the text")
            elif key is not None:
                own[key] = Entry(key, position, value)
        yield from own.values()
        yield from (entry for key, entry in merged.items() if key not in own)

    def _merged(self, node: yaml.Node) -> Iterator[Entry]:
        """Entries of the mapping, or of the list of mappings, that `<<` names; the first one of a key counts."""
        value = self._read(node)
        tables = value.items if isinstance(value, Items) else (value,)
        for table in tables:
            if isinstance(table, Table):
                yield from table.entries
            else:
                self._problems.add(value.position, "'<<' merges a mapping or a list of mappings, nothing else")

    def _key(self, node: yaml.Node, position: Position) -> str | None:
        """The text of a key; None after a complaint."""
        if not isinstance(node, yaml.ScalarNode):
            self._problems.add(position, "found a list or a mapping as a key; a key must be text")
            return None
        value = self._scalar(node, position)
        if isinstance(value, str):
            return value
        self._problems.add(position, f"the key {node.value} is not text to YAML; put it in quotes")
        return None

    def _scalar(self, node: yaml.ScalarNode, position: Position) -> bool | int | float | str | None:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text = str(node.value)
        try:
            match kind:
                case "str" | "timestamp" | "value":  # A date stays the text it is, as in JSON.
                    return text
                case "null":
                    return None
                case "bool":
                    return bool(self._constructor.construct_yaml_bool(node))
                case "int":
                    return int(self._constructor.construct_yaml_int(node))
                case "float":
                    number = float(self._constructor.construct_yaml_float(node))
                    if not math.isfinite(number):
                        self._problems.add(position, f"found {text}; a number must be finite")
                    return number
        except (ValueError, KeyError, IndexError):
            self._problems.add(position, f"found {quoted(text)}, which cannot be read as {kind}")
            return None
        self._problems.add(position, f"found the YAML tag {quoted(node.tag)}; no tags are allowed")
        return None


class _UnboundedError(Exception):
    """The tree would grow beyond its bounds; ends the reading. Never leaves this module."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position = position


class _Mark(Protocol):
    """Where PyYAML says something stands, from 0; its marks come in two classes."""

    line: int
    column: int


def _position(mark: _Mark | None) -> Position:
    if mark is None:
        return Position(1, 1)
    return Position(mark.line + 1, mark.column + 1)


def _error_position(error: yaml.MarkedYAMLError) -> Position:
    return _position(error.problem_mark or error.context_mark)


def _error_message(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's words in one line, with a cure where its words hide the usual cause."""
    said = error.problem or "it cannot be read"
    context = ""
    if error.context and error.context_mark and error.problem_mark is not error.context_mark:
        context = f" ({error.context} that begins in line {error.context_mark.line + 1} of the text)"
    cure = ""
    if "'\\t'" in said:
        cure = "; indent with spaces, not with tabs"
    elif "mapping values are not allowed" in said:
        cure = "; look at the indentation, and put a value with ': ' in quotes"
    elif "expected a single document" in (error.context or "") or "but found another document" in said:
        cure = "; a task file holds one document, with '---' at its beginning only"
    return f"not YAML: {said}{context}{cure}"
