"""What went over a transport, without what differs from one cloud to the next: for comparing two clouds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from osbench.common.cloud.contract import Exchange, Request, Transport

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
#: Where services are: by port on the real cloud, by the first part of the path on the simulated one.
_PORTS = {5000: "identity", 8774: "compute", 9292: "image", 9696: "network", 8776: "block-storage", 8778: "placement"}
_FOLDERS = {"identity", "compute", "image", "network", "block-storage", "placement"}


@dataclass(slots=True)
class Shape:
    """All answers to one kind of call: the names of their headers, and the paths of the keys of their bodies."""

    headers: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


class RecordingTransport:
    """A transport that keeps the shape of what passes."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        #: By `service METHOD /path?keys status`.
        self.shapes: dict[str, Shape] = {}

    async def exchange(self, request: Request) -> Exchange:
        exchange = await self.inner.exchange(request)
        shape = self.shapes.setdefault(f"{kind_of(request.method, request.url)} {exchange.status}", Shape())
        shape.headers.update(header_names(exchange.head))
        shape.keys.update(key_paths(body_of(exchange.body)))
        return exchange

    async def aclose(self) -> None:
        await self.inner.aclose()


def kind_of(method: str, url: str) -> str:
    """`compute GET /v2.1/servers/{id}?limit`: the service, and the path without ids, with the names in its query."""
    parts = urlsplit(url)
    folder = parts.path.split("/")[1] if parts.path.count("/") > 1 else ""
    service, path = _PORTS.get(parts.port or 0, "?"), parts.path
    if folder in _FOLDERS:
        service, path = folder, parts.path.removeprefix(f"/{folder}")
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return f"{service} {method} {_ID.sub('{id}', path)}" + (f"?{'&'.join(names)}" if names else "")


def header_names(head: bytes) -> set[str]:
    """Names of the headers in lower case."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {line.partition(":")[0].strip().lower() for line in lines if ":" in line}


def body_of(body: bytes) -> Any:
    """The JSON of a body; a text that says what else it is."""
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return "not JSON"


#: Below these stand keys that users chose, of whatever servers are on the cloud at the moment.
USERS_KEYS = frozenset({"metadata"})


def key_paths(value: Any, path: str = "") -> Iterator[str]:
    """Every key with those that lead to it: `servers[].addresses.shared[].addr`; ids in keys as `{id}`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = _ID.sub("{id}", str(key))
            inner_path = f"{path}.{name}" if path else name
            yield inner_path
            if name not in USERS_KEYS:
                yield from key_paths(inner, inner_path)
    elif isinstance(value, list):
        for inner in value:
            yield from key_paths(inner, path + "[]")
