"""Tables of plain characters, as Rally prints them, that fit the width they are given.

Rules: pure, text in and text out. What came from a cloud may hold anything, so `plain` takes out all that a terminal
would obey. A table too wide loses the words in brackets in its titles first, then its least important columns, and only
then is one column cut: the one that says it may be, or the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from unicodedata import category, east_asian_width


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        title: words in brackets at its end may go where there is little room.
        rank: columns of higher rank are left out first; 0 never.
        is_text: aligned to the left.
        is_cut: of this one the ends of texts go, where leaving columns out is not enough. Ids should stay whole: half of
            one is of no use.
    """

    title: str
    rank: int = 0
    is_text: bool = False
    is_cut: bool = False

    @property
    def short(self) -> "Column":
        return replace(self, title=self.title.partition(" (")[0])


def plain(text: str, limit: int = 500) -> str:
    """A text on one line, without control characters, of at most `limit` characters.

    Escape sequences in an error message would else move the cursor or recolour the terminal of whoever reads it.
    """
    clean = "".join(" " if char in "\r\n\t" else char if category(char)[0] != "C" else "\ufffd" for char in text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: East Asian wide characters take two, combining ones none."""
    return sum(0 if category(char) in ("Mn", "Me") else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """A table with its title over it.

    Args:
        rows: as many cells each as there are columns.
        width: of the terminal in cells; None for no bound.
    """
    shown = list(range(len(columns)))
    fitted = list(columns)
    if width is not None and _width(fitted, rows, shown) > width:
        fitted = [column.short for column in columns]
    while width is not None and _width(fitted, rows, shown) > width:
        expendable = [at for at in shown if fitted[at].rank]
        if not expendable:
            break
        shown.remove(max(expendable, key=lambda at: (fitted[at].rank, at)))
    kept = [[row[at] for at in shown] for row in rows]
    fitted = [fitted[at] for at in shown]
    if width is not None and (excess := _width(fitted, kept, range(len(fitted))) - width) > 0:
        at = next((at for at, column in enumerate(fitted) if column.is_cut), 0)
        widest = max((cells(row[at]) for row in kept), default=0)
        kept = [[*row[:at], cut(row[at], max(widest - excess, 12)), *row[at + 1 :]] for row in kept]
    return _drawn(title, fitted, kept)


def cut(text: str, limit: int) -> str:
    """A text of at most `limit` cells."""
    if cells(text) <= limit:
        return text
    while text and cells(text) > limit - 1:
        text = text[:-1]
    return text + "…"


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max([cells(column.title), *(cells(row[at]) for row in rows)]) for at, column in enumerate(columns)]


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], shown: Sequence[int]) -> int:
    widths = _widths(columns, rows)
    return sum(widths[at] + 3 for at in shown) + 1


def _drawn(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    widths = _widths(columns, rows)
    inner = sum(widths) + 3 * len(widths) - 1
    if cells(title) + 2 > inner:
        widths[0] += cells(title) + 2 - inner
        inner = cells(title) + 2
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    left = (inner - cells(title)) // 2
    lines = ["+" + "-" * inner + "+", "|" + " " * left + title + " " * (inner - left - cells(title)) + "|", rule]
    lines.append(_line([column.title for column in columns], columns, widths))
    lines.append(rule)
    lines.extend(_line(row, columns, widths) for row in rows)
    lines.append(rule)
    return "\n".join(lines)


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = []
    for text, column, width in zip(row, columns, widths, strict=True):
        gap = " " * (width - cells(text))
        padded.append(f" {text}{gap} " if column.is_text else f" {gap}{text} ")
    return "|" + "|".join(padded) + "|"
