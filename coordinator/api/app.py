"""The ASGI application: the table of operations as routes, behind the guard.

Rules: a request is taken apart completely (names, query, body) before its handler sees it; a body is read no further than
its bound. Every error becomes a `FaultBody`; one that nobody foresaw is logged with its trace and told without.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from osbench.common.error import InputError, NotFoundError, OsbenchError
from osbench.coordinator.api import openapi
from osbench.coordinator.api.bodies import NAME_PATTERN
from osbench.coordinator.api.fault import (
    NO_SUCH_METHOD,
    NO_SUCH_ROUTE,
    NOT_JSON,
    STATUS_OF,
    TOO_LARGE,
    UNEXPECTED,
    RefusedError,
    fault_body,
    status_of,
)
from osbench.coordinator.api.guard import Guard
from osbench.coordinator.api.office import Ask, Office
from osbench.coordinator.api.operations import JSON, OPERATIONS, Operation

log = logging.getLogger(__name__)

NAME = re.compile(NAME_PATTERN)
#: Seconds within which a body must have come.
BODY_S = 30.0
#: Commas of a body, in texts too, and so its values: decoding holds the loop, 0.1 s for so many.
MAX_COMMAS = 100_000


def build_app(office: Office, *, token: str, hosts: Iterable[str], version: str) -> ASGIApp:
    """The application.

    Args:
        hosts: names by which it may be called, besides addresses. version: release.
    """
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes = [_route(path, _Endpoint(office, operations)) for path, operations in by_path.items()]
    routes.append(_route(openapi.PATH, _Description(msgspec.json.encode(openapi.document(version)))))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_refusal})
    app.router.redirect_slashes = False
    return Guard(app, token=token, hosts=hosts, version=version)


def _route(path: str, endpoint: "_Endpoint | _Description") -> Route:
    route = Route(path, endpoint.answer, methods=list(endpoint.methods))
    # Starlette adds HEAD to GET; here a GET may open a stream, which nobody would read.
    route.methods = set(endpoint.methods)
    return route


async def _http_refusal(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    assert isinstance(error, HTTPException), f"registered for HTTPException, got {type(error)}"
    kind = NO_SUCH_METHOD if error.status_code == 405 else NO_SUCH_ROUTE
    words = f"{request.method} {request.url.path[:200]}: {error.detail}; {openapi.PATH} tells what there is"
    return _fault(error.status_code, kind, words, headers=error.headers)


class _Description:
    """Answers the document."""

    methods = ("GET",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def answer(self, request: Request) -> Response:
        return Response(self._data, media_type=JSON)


class _Endpoint:
    """All operations of one path."""

    def __init__(self, office: Office, operations: Mapping[str, Operation]) -> None:
        self.methods = tuple(operations)
        self._office = office
        self._operations = operations

    async def answer(self, request: Request) -> Response:
        operation = self._operations[request.method]
        refusal = STATUS_OF[InputError]
        try:
            ask = await _ask(operation, request)
            refusal = operation.refusal
            result = await operation.handle(self._office, ask)
        except RefusedError as error:
            # What is left of the body may have no end: it is not waited for.
            return _fault(error.status, error.kind, str(error), headers={"connection": "close"})
        except OsbenchError as error:
            status = refusal if isinstance(error, InputError) else status_of(error)
            return _fault(status, type(error).__name__, str(error), error.exit_code)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("%s %s failed", operation.method, operation.path)
            return _fault(
                500, UNEXPECTED, "something went wrong that nobody foresaw; the coordinator's log has its trace"
            )
        if isinstance(result, Response):
            return result
        if operation.status == 204:
            return Response(status_code=204)
        return Response(msgspec.json.encode(result), status_code=operation.status, media_type=JSON)


def _fault(
    status: int, kind: str, message: str, exit_code: int = 1, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(fault_body(kind, message, exit_code), status_code=status, media_type=JSON, headers=headers)


async def _ask(operation: Operation, request: Request) -> Ask:
    """A request, taken apart.

    Raises:
        NotFoundError: a name in its path is none. InputError: query or body do not fit. RefusedError: no JSON; too large.
    """
    for what, name in request.path_params.items():
        if not NAME.fullmatch(name):
            raise NotFoundError(f"there is no {what} {name!r:.150}")
    return Ask(
        path=request.path_params,
        query=_query(operation, request),
        body=await _body(operation, request),
        last_event_id=_last_event_id(request.headers.get("last-event-id", "")),
    )


def _last_event_id(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _query(operation: Operation, request: Request) -> Any:
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs):
        raise InputError("the query says something twice")
    try:
        return msgspec.convert(values, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"query: {error}") from error


async def _body(operation: Operation, request: Request) -> Any:
    data = await _read(request, operation.max_bytes if operation.body is not None else 0)
    if operation.body is None:
        return None
    if not data:
        if operation.is_body_needed:
            raise InputError("a body is needed: JSON, as the description of the API says")
        return operation.body()
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != JSON:
        raise RefusedError(415, NOT_JSON, f"the body is called {media!r:.100}; {JSON} is needed")
    if data.count(b",") > MAX_COMMAS:
        raise RefusedError(413, TOO_LARGE, f"the body has more than the {MAX_COMMAS:,} values, or commas, allowed")
    try:
        return msgspec.json.decode(data, type=operation.body)
    except RecursionError:
        raise InputError("body: nested too deep") from None
    except msgspec.DecodeError as error:
        raise InputError(f"body: {error}") from error


async def _read(request: Request, max_bytes: int) -> bytes:
    """The body, no more of it than its bound."""
    too_large = RefusedError(413, TOO_LARGE, f"the body is larger than the {max_bytes:,} bytes allowed here")
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > max_bytes:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise RefusedError(408, "TooSlow", f"the body did not come within {BODY_S:g} s") from None
    return b"".join(parts)
