"""What a place of a document may hold: small values that read a node and complain exactly.

Rules: a schema is plain data. `read` returns the plain value, defaults filled in; after a complaint it returns what it
could, which nobody uses, since a file with problems makes no task. `where` names the place for people.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from osbench.common.nearest import nearest
from osbench.coordinator.task_file.document import Entry, Items, Node, Scalar, Table, plain
from osbench.coordinator.task_file.problem import Position, Problems, listed, quoted, suggestion

REQUIRED = object()


class Schema(Protocol):
    """What may stand somewhere."""

    def allowed(self) -> str:
        """In words, for a message: `a whole number, 1 or more`."""
        ...

    def fits(self, node: Node) -> bool:
        """Whether the node is of the right kind, whatever its value: chooses among alternatives."""
        ...

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        """The plain value of `node`; complaints go to `problems`."""
        ...


def found(node: Node) -> str:
    """What stands at a node, for a message."""
    match node:
        case Items():
            return "a list" if node.items else "an empty list"
        case Table():
            return "a mapping" if node.entries else "an empty mapping"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool() as flag):
            return "true" if flag else "false"
        case Scalar(value=str() as text):
            return f"the text {quoted(text)}"
        case Scalar():
            return str(node.value)


def refuse(node: Node, where: str, allowed: str, problems: Problems) -> None:
    """Complain that `node` is not what is allowed there."""
    cure = ""
    if isinstance(node, Scalar) and isinstance(node.value, str) and "number" in allowed and "text" not in allowed:
        cure = _number_cure(node.value)
    problems.add(node.position, f"{where} is {found(node)}; allowed: {allowed}{cure}")


def _number_cure(text: str) -> str:
    """YAML 1.1 takes 1e3 for text: say how to write it."""
    try:
        number = float(text)
    except ValueError:
        return ""
    return f"; write it as {number:g} without quotes" if math.isfinite(number) and abs(number) < 1e6 else ""


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value."""

    def allowed(self) -> str:
        return "anything"

    def fits(self, node: Node) -> bool:
        return True

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        return plain(node)


@dataclass(frozen=True, slots=True)
class Empty:
    """Null."""

    def allowed(self) -> str:
        return "empty"

    def fits(self, node: Node) -> bool:
        return isinstance(node, Scalar) and node.value is None

    def read(self, node: Node, where: str, problems: Problems) -> None:
        if not self.fits(node):
            refuse(node, where, self.allowed(), problems)


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def allowed(self) -> str:
        return "true or false"

    def fits(self, node: Node) -> bool:
        return isinstance(node, Scalar) and isinstance(node.value, bool)

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        if not self.fits(node):
            refuse(node, where, self.allowed(), problems)
        return plain(node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number within bounds.

    Attributes:
        whole: integers only. minimum, maximum: inclusive. above: exclusive lower bound.
    """

    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None

    def allowed(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        bounds = []
        if self.above is not None:
            bounds.append(f"above {_figure(self.above)}")
        if self.minimum is not None and self.maximum is not None:
            bounds.append(f"from {_figure(self.minimum)} to {_figure(self.maximum)}")
        elif self.minimum is not None:
            bounds.append(f"{_figure(self.minimum)} or more")
        elif self.maximum is not None:
            bounds.append(f"at most {_figure(self.maximum)}")
        return ", ".join([kind, *bounds])

    def fits(self, node: Node) -> bool:
        if not isinstance(node, Scalar) or isinstance(node.value, bool):
            return False
        return isinstance(node.value, int) or (not self.whole and isinstance(node.value, float))

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        if self.fits(node) and self._is_within(plain(node)):
            return plain(node)
        refuse(node, where, self.allowed(), problems)
        return plain(node)

    def _is_within(self, value: float) -> bool:
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )


def _figure(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else str(bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text, of a bounded length or one of a few words."""

    min_length: int = 0
    max_length: int = 65_536
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        if self.choices:
            return listed(self.choices)
        least = f"{self.min_length} or more characters" if self.min_length else ""
        most = f"at most {self.max_length} characters" if self.max_length < 65_536 else ""
        return " of ".join(["text", *filter(None, [" and ".join(filter(None, [least, most]))])])

    def fits(self, node: Node) -> bool:
        return isinstance(node, Scalar) and isinstance(node.value, str)

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        value = plain(node)
        if not isinstance(value, str):
            cure = "; put it in quotes" if isinstance(node, Scalar) and value is not None else ""
            refuse(node, where, self.allowed() + cure, problems)
        elif self.choices and value not in self.choices:
            refuse(node, where, self.allowed() + suggestion(value, self.choices), problems)
        elif not self.min_length <= len(value) <= self.max_length:
            problems.add(node.position, f"{where} has {len(value)} characters; allowed: {self.allowed()}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list of like items."""

    item: Schema = field(default_factory=Anything)
    min_items: int = 0
    max_items: int = 10_000

    def allowed(self) -> str:
        return f"a list, each item {self.item.allowed()}"

    def fits(self, node: Node) -> bool:
        return isinstance(node, Items)

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        if not isinstance(node, Items):
            refuse(node, where, self.allowed(), problems)
            return []
        if not self.min_items <= len(node.items) <= self.max_items:
            wanted = f"{self.min_items} to {self.max_items:,} items"
            problems.add(node.position, f"{where} has {len(node.items):,} items; allowed: {wanted}")
        return [self.item.read(item, f"{where}[{number}]", problems) for number, item in enumerate(node.items)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a mapping: what it may hold, and its default.

    Attributes:
        default: REQUIRED where it must be written; ABSENT where nothing takes its place.
    """

    schema: Schema
    default: Any = REQUIRED


ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A mapping with known keys, and maybe others.

    Attributes:
        others: what unknown keys may hold; None if there may be none.
        null_is_empty: a null stands for a mapping without keys.
        min_keys: fewest keys that must be written.
    """

    keys: Mapping[str, Key] = field(default_factory=dict)
    others: Schema | None = None
    null_is_empty: bool = False
    min_keys: int = 0

    def allowed(self) -> str:
        if self.keys:
            return f"a mapping with the keys {listed(self.keys)}"
        return "a mapping" if self.others else "a mapping without keys"

    def fits(self, node: Node) -> bool:
        return isinstance(node, Table) or (self.null_is_empty and Empty().fits(node))

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        """A dict in the order of the schema's keys, then of the others."""
        if not self.fits(node):
            refuse(node, where, self.allowed(), problems)
            return {}
        entries = node.entries if isinstance(node, Table) else ()
        return self.read_entries(entries, node.position, where, problems)

    def read_entries(self, entries: Iterable[Entry], at: Position, where: str, problems: Problems) -> dict[str, Any]:
        """As `read`, of entries already at hand; `at` is where a missing key is complained about."""
        written = {entry.key: entry for entry in entries}
        if len(written) < self.min_keys:
            problems.add(at, f"{where} has {len(written)} keys; allowed: {self.min_keys} or more, of {self.allowed()}")
        values: dict[str, Any] = {}
        for name, key in self.keys.items():
            entry = written.pop(name, None)
            if entry is not None:
                values[name] = key.schema.read(entry.value, f"{where}: {name}", problems)
            elif key.default is REQUIRED and not (self.others is None and is_misspelt(name, written, self.keys)):
                problems.add(at, f"{where} lacks the key {name!r}; allowed: {key.schema.allowed()}")
            elif key.default is not REQUIRED and key.default is not ABSENT:
                values[name] = key.default
        for name, entry in written.items():
            if self.others is None:
                unknown_key(entry, where, self.keys, problems)
            else:
                values[name] = self.others.read(entry.value, f"{where}: {name}", problems)
        return values


def is_misspelt(name: str, written: Iterable[str], known: Iterable[str]) -> bool:
    """Whether a missing key was written wrong: the complaint about that hints at it, and one mistake is one line."""
    names = list(known)
    return any(key not in names and nearest(key, names) == name for key in written)


def unknown_key(entry: Entry, where: str, known: Iterable[str], problems: Problems) -> None:
    """Complain about a key that may not stand there."""
    names = list(known)
    hint = suggestion(entry.key, names)
    problems.add(entry.position, f"{where} has the unknown key {quoted(entry.key)}; allowed: {listed(names)}{hint}")


@dataclass(frozen=True, slots=True)
class Either:
    """One of several."""

    alternatives: tuple[Schema, ...]

    def allowed(self) -> str:
        return ", or ".join(alternative.allowed() for alternative in self.alternatives)

    def fits(self, node: Node) -> bool:
        return any(alternative.fits(node) for alternative in self.alternatives)

    def read(self, node: Node, where: str, problems: Problems) -> Any:
        """By the first alternative without complaint among those of the right kind."""
        fitting = [alternative for alternative in self.alternatives if alternative.fits(node)]
        if not fitting:
            refuse(node, where, self.allowed(), problems)
            return plain(node)
        for alternative in fitting:
            attempt = Problems()
            value = alternative.read(node, where, attempt)
            if not attempt.found:
                return value
        return fitting[0].read(node, where, problems)
