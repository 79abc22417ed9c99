"""What is wrong with a task file, and where: collected while it is read, shown one line each.

Rules: a problem never stops the reading, so that all mistakes of a file are shown at once, up to a bound. A position
is that of the rendered text; `template.SourceMap` turns it into one of the file where it can.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from osbench.common.nearest import nearest

#: Problems shown of one file; the rest are counted.
MAX_SHOWN = 20
#: Names listed in a message before "and so on".
MAX_NAMES = 14
#: Characters shown of a value or a line of the user's.
MAX_QUOTED = 100


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text: line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: its place in the rendered text, and one line that says what was found and what is allowed."""

    position: Position
    message: str


@dataclass(slots=True)
class Problems:
    """The mistakes found so far."""

    found: list[Problem] = field(default_factory=list)

    def add(self, position: Position, message: str) -> None:
        """Record a mistake; line breaks in `message` become spaces."""
        self.found.append(Problem(position, " ".join(message.split())))


def quoted(value: object) -> str:
    """A value of the user's for a message: its repr, cut to a bound."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def listed(names: Iterable[str]) -> str:
    """Names for a message, in their order, cut to a bound."""
    every = list(names)
    if not every:
        return "none"
    more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
    return ", ".join(every[:MAX_NAMES]) + more


def suggestion(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the one probably meant, or nothing.

    A name without its class (`boot_server` for `NovaServers.boot_server`) finds the full one too.
    """
    known = list(names)
    by_tail = {candidate.rpartition(".")[2]: candidate for candidate in known}
    meant = nearest(name, known) or by_tail.get(nearest(name.rpartition(".")[2], by_tail) or "")
    return f"; did you mean {meant!r}?" if meant else ""
