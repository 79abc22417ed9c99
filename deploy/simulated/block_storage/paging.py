"""Which items of a list Cinder shows: whose, filtered, sorted, and cut into pages."""

from typing import Any
from urllib.parse import urlencode

from osbench.deploy.simulated.block_storage.store import Item, Volume
from osbench.deploy.simulated.exchange import Body, Refused, Request, integer_of
from osbench.deploy.simulated.service import Call

#: Cinder's `osapi_max_limit`.
MAX_PAGE = 1_000


def page_of(call: Call, items: list[Any]) -> tuple[list[Any], list[Body]]:
    """The items of the page asked for, and the link to the next."""
    request = call.request
    is_all = request.first("all_tenants", "0").lower() in ("1", "true", "yes")
    if not (is_all and call.token.is_admin):
        items = [item for item in items if item.project_id == call.token.project_id]
    elif wanted := request.first("project_id"):
        items = [item for item in items if item.project_id == wanted]
    items = [item for item in reversed(items) if _fits(request, item)]
    items = _sorted(request, items)
    marker = request.first("marker")
    if marker:
        places = [index for index, item in enumerate(items) if item.id == marker]
        if not places:
            raise Refused(404, f"Marker {marker} could not be found.")
        items = items[places[0] + 1 :]
    offset = integer_of(request.first("offset", "0"), "offset", low=0, high=2**31)
    items = items[offset:]
    text = request.first("limit")
    limit = min(integer_of(text, "limit", low=0, high=2**31), MAX_PAGE) if text else MAX_PAGE
    if len(items) <= limit and not (text and len(items) == limit and items):
        return items, []
    items = items[:limit]
    if not items:
        return items, []
    kept = [(name, value) for name, value in request.query if name not in ("marker", "offset")]
    path = call.request.path.removeprefix("/block-storage")
    href = f"{call.base}{path}?" + urlencode([*kept, ("marker", items[-1].id)])
    return items, [{"rel": "next", "href": href}]


def _fits(request: Request, item: Item) -> bool:
    for name, value in request.query:
        match name:
            case "name" | "status":
                if value != getattr(item, name):
                    return False
            case "name~":
                if value not in (item.name or ""):
                    return False
            case "volume_id":
                if value != getattr(item, "volume_id", value):
                    return False
            case "bootable" if isinstance(item, Volume):
                if (value.lower() == "true") != item.is_bootable:
                    return False
            case _:
                pass
    return True


def _sorted(request: Request, items: list[Any]) -> list[Any]:
    attributes = {"name": "name", "size": "size_gb", "status": "status", "id": "id", "created_at": "created_at"}
    for part in reversed([part for part in request.first("sort").split(",") if part]):
        key, _, direction = part.partition(":")
        if key in attributes:
            items = sorted(items, key=lambda item: getattr(item, attributes[key]) or "", reverse=direction != "asc")
    return items
