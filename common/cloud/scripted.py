"""The transport of tests: answers are written beforehand, requests are kept, and no socket is opened.

Rules: answers are taken by method and URL path, in the order written; the last of a path is given again and again. A
request nobody wrote an answer for is refused loudly, since a test that is answered by chance proves nothing.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson

from osbench.common.clock import NS_PER_MS, Clock
from osbench.common.cloud.contract import Exchange, Failure, Request


def answer(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Exchange:
    """A full answer; `body` is bytes, or a value that becomes JSON, None for an empty one."""
    content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return Exchange(status, None, "", head, content, 0, 0, 0, 0, 0, 0, 0, False, 1, len(head) + len(content))


def failure(kind: Failure, detail: str = "", *, sent_bytes: int = 0) -> Exchange:
    """No full answer; `sent_bytes` above 0 makes it ambiguous."""
    return Exchange(0, kind, detail, b"", b"", 0, 0, 0, 0, 0, 0, 0, True, sent_bytes, 0)


class ScriptedTransport:
    """`Transport` without a network.

    Attributes:
        requests: all that were made, in order.
    """

    def __init__(self, clock: Clock, duration_ns: int = NS_PER_MS) -> None:
        self.requests: list[Request] = []
        self._now_ns = clock.now_ns
        self._duration_ns = duration_ns
        self._answers: dict[tuple[str, str], list[Exchange]] = {}
        self._is_closed = False

    def on(self, method: str, path: str, *answers: Exchange) -> None:
        """Answer `method` on URLs with this path (a query in the URL must be in the path, too)."""
        self._answers.setdefault((method, path), []).extend(answers)

    async def exchange(self, request: Request) -> Exchange:
        if self._is_closed:
            raise RuntimeError("the transport is closed")
        self.requests.append(request)
        parts = urlsplit(request.url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        waiting = self._answers.get((request.method, path))
        assert waiting, f"no answer was written for {request.method} {path}"
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        started_ns = self._now_ns()
        return msgspec.structs.replace(found, started_ns=started_ns, ended_ns=started_ns + self._duration_ns)

    async def aclose(self) -> None:
        self._is_closed = True
