"""A request as the services see it, their answer, and the refusal that carries an error status.

Rules: no socket here. `Refused` never leaves this package: each service turns it into the body its real counterpart
writes. Header look-ups are case-insensitive because the mapping handed in is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import orjson

Body = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Request:
    """One HTTP request.

    Attributes:
        path: decoded path without the query string, e.g. `/compute/v2.1/servers`.
        query: (name, value) pairs in order; names may repeat.
        headers: case-insensitive look-up.
        origin: scheme and authority as the caller wrote them, e.g. `http://127.0.0.1:5000`.
        request_id: our own id of this request, `req-<uuid4>`.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    origin: str
    request_id: str

    def first(self, name: str, default: str = "") -> str:
        """The first value of the query argument `name`."""
        for key, value in self.query:
            if key == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        """All values of the query argument `name`, in order."""
        return [value for key, value in self.query if key == name]


@dataclass(slots=True, kw_only=True)
class Answer:
    """One HTTP answer; `headers` may repeat a name."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


class Refused(Exception):
    """A service says no: status, message, and the word for it where the real body has one (`NeutronError.type`).

    Raised by stores and handlers, met by the service's dispatch, never seen outside of the package.
    """

    def __init__(self, status: int, message: str, *, kind: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.headers = headers


def json_answer(status: int, body: Any, *headers: tuple[str, str]) -> Answer:
    """An answer with a JSON body and its content type."""
    return Answer(
        status=status,
        body=orjson.dumps(body),
        headers=[("Content-Type", "application/json"), *headers],
    )


_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def title_of(status: int) -> str:
    """The reason phrase of an error status."""
    return _TITLES.get(status, "Error")


def webob_page(request: Request, status: int, message: str) -> Answer:
    """The page webob makes of an HTTP error nobody gave a body: HTML, JSON or text by the Accept header.

    (webob.exc.WSGIHTTPException.generate_response; Glance has no error body of its own, and Nova's and Cinder's
    routing falls back on it too.)
    """
    title, accept = title_of(status), request.headers.get("accept", "*/*")
    if "text/html" in accept or "*/*" in accept:
        page = (
            f"<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n"
            f"  <h1>{status} {title}</h1>\n  {escape(message)}<br /><br />\n\n\n\n </body>\n</html>"
        )
        return Answer(status=status, body=page.encode(), headers=[("Content-Type", "text/html; charset=UTF-8")])
    if "application/json" in accept:
        body = {"message": message + "<br /><br />\n\n\n", "code": f"{status} {title}", "title": title}
        return json_answer(status, body)
    text = f"{status} {title}\n\n{message}\n\n\n   "
    return Answer(status=status, body=text.encode(), headers=[("Content-Type", "text/plain; charset=UTF-8")])


def json_object(request: Request, key: str) -> Body:
    """The object under `key` of a JSON request body.

    Raises:
        Refused: 400 when the body is no JSON object, or has no object under `key`.
    """
    document = json_body(request)
    inner = document.get(key)
    if not isinstance(inner, dict):
        raise Refused(400, f"Invalid input for field/attribute {key}. Value: {inner!r:.100}. An object is needed.")
    return inner


def json_body(request: Request) -> Body:
    """The JSON object of a request body.

    Raises:
        Refused: 400 when it is none.
    """
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"Malformed request body: {error}") from error
    if not isinstance(document, dict):
        raise Refused(400, "Malformed request body: a JSON object is needed")
    return document


def text_of(body: Body, key: str, default: str | None = None, *, max_chars: int = 255) -> str:
    """The text under `key`, bounded.

    Raises:
        Refused: 400 when it is missing without a default, no text, or too long.
    """
    value = body.get(key, default)
    if not isinstance(value, str):
        raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value!r:.100}. Text is needed.")
    if len(value) > max_chars:
        raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value[:40]}…. '…' is too long")
    return value


def integer_of(value: Any, name: str, *, low: int, high: int) -> int:
    """`value` as an integer within bounds; digits in a string are taken, as the real services take them.

    Raises:
        Refused: 400 otherwise.
    """
    number: int | None
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, (bool, float)) or not low <= number <= high:
        raise Refused(
            400,
            f"Invalid input for field/attribute {name}. Value: {value!r:.100}. "
            f"It must be an integer within {low} … {high}",
        )
    return number
