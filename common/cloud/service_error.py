"""A service's own words about a refused call, out of its error body.

Rules: bounded, one line, without markup. What differs from call to call (ids) is replaced, so that a thousand failures
of one kind are one error in the report, and the number of distinct texts stays small.
"""

import re
from typing import Any

import orjson

from osbench.common.cloud.contract import DETAIL_LIMIT_CHARS

#: An error body larger than this is not looked into.
_BODY_LIMIT_BYTES = 65_536
_ID = re.compile(
    r"\b(?:req-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b", re.IGNORECASE
)
_OUR_NAME = re.compile(r"\b[sc]_osb_[0-9a-z_]+")
_MARKUP = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]{0,200}>", re.DOTALL | re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def generalised(text: str) -> str:
    """`text` in one bounded line, ids replaced by `<id>` and our resource names by `<name>`."""
    line = _SPACE.sub(" ", text[: 4 * DETAIL_LIMIT_CHARS]).strip()
    return _OUR_NAME.sub("<name>", _ID.sub("<id>", line))[:DETAIL_LIMIT_CHARS]


def service_message(body: bytes) -> str:
    """What the service said, generalised; empty if it said nothing.

    The services differ: Nova and Cinder `{"conflictingRequest": {"code", "message"}}`, Keystone `{"error": {"message"}}`,
    Neutron `{"NeutronError": {"type", "message", "detail"}}`, Placement `{"errors": [{"detail"}]}`, Glance HTML, and
    whatever a proxy in between sends.
    """
    if not body or len(body) > _BODY_LIMIT_BYTES:
        return ""
    try:
        found = _message_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        found = _MARKUP.sub(" ", body.decode("utf-8", "replace"))
    return generalised(found) if found else ""


def _message_in(value: Any) -> str:
    """The first text under a key that holds messages, not deeper than three levels."""
    level = [value]
    for _ in range(3):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                return item
            if isinstance(item, dict):
                for key in ("message", "detail", "title", "faultstring"):
                    if isinstance(item.get(key), str) and item[key]:
                        return str(item[key])
                deeper.extend(part for part in item.values() if isinstance(part, dict | list))
            elif isinstance(item, list):
                deeper.extend(item[:10])
        level = deeper
    return ""
