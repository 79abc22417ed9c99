"""From method and path to a handler.

Rules: patterns are slash-separated; a segment in braces takes any one segment. Literal segments win over braces. A
route has a name for the counters, e.g. `GET /v2.1/servers/{}`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osbench.deploy.simulated.exchange import Answer

if TYPE_CHECKING:
    from osbench.deploy.simulated.service import Call

Handler = Callable[["Call"], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One handler with what it asks of its caller.

    Attributes:
        rule: the policy rule named in a 403, e.g. `identity:list_users`.
        is_open: needs no token.
        is_admin: needs the admin role.
        since: least microversion (the number after the dot), 0 when it was always there.
        until: greatest microversion, 0 when it is still there.
    """

    name: str
    handler: Handler
    rule: str = ""
    is_open: bool = False
    is_admin: bool = False
    since: int = 0
    until: int = 0


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    wild: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """A trie of path segments."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, method: str, pattern: str, route: Route) -> None:
        """Let `method pattern` lead to `route`; each pair is given once."""
        node = self._root
        for segment in _segments(pattern):
            if segment.startswith("{"):
                if node.wild is None:
                    node.wild = _Node()
                node = node.wild
            else:
                node = node.literal.setdefault(segment, _Node())
        assert method not in node.routes, f"two routes for {method} {pattern}"
        node.routes[method] = route

    def find(self, method: str, path: str) -> tuple[Route | None, tuple[str, ...], frozenset[str]]:
        """The route, the segments its braces took, and the methods the path knows (empty: no such path)."""
        node = self._root
        taken: list[str] = []
        for segment in _segments(path):
            following = node.literal.get(segment)
            if following is None:
                following = node.wild
                if following is None:
                    return None, (), frozenset()
                taken.append(segment)
            node = following
        route = node.routes.get(method)
        if route is None:
            return None, (), frozenset(node.routes)
        return route, tuple(taken), frozenset()


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
