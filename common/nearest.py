"""The known name nearest to a wrong one, for messages that say what was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, letter case apart; None if none is alike.

    Args:
        name: what was written; only its first 200 characters count.
        known: what would have been right.
    """
    by_folded = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name[:200].lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a wrong name: `; did you mean 'X'?`, or nothing if no known name is alike."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found is not None else ""
