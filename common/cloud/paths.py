"""Pieces of URLs: path segments and queries, quoted."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode


def segment(text: str) -> str:
    """`text` as one path segment; ids of the usual kind come back as they are, which is all that the hot path sees."""
    if text.isascii() and text.replace("-", "").isalnum():
        return text
    # A lone `.` or `..` would be taken away by whoever tidies the path.
    return quote(text, safe="").replace(".", "%2E")


def query(parameters: Mapping[str, object]) -> str:
    """`?a=b&…` of those that are not None, or nothing; true and false as the services spell them."""
    given = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in parameters.items()
        if value is not None
    }
    return "?" + urlencode(given, doseq=True) if given else ""
