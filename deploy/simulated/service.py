"""What a service of the simulated cloud does with a request, before and after its handlers.

Rules: token first, then route, then policy, as the real pipelines have it. What differs between services is named by
the methods each overrides: its error bodies, its version header, its standard headers.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from osbench.deploy.simulated.exchange import Answer, Refused, Request, json_answer
from osbench.deploy.simulated.identity.tokens import UNSCOPED, Token, TokenBook
from osbench.deploy.simulated.routing import Handler, Route, Router
from osbench.deploy.simulated.world import World

NO_TOKEN = Token(
    secret="",
    user_id="",
    scope=UNSCOPED,
    project_id="",
    roles=(),
    is_admin=False,
    methods=(),
    audit_ids=(),
    issued_ns=0,
    expires_ns=0,
)


class Stage(Enum):
    """How far into a service a request came; each layer of the real pipelines adds headers of its own."""

    #: The list of versions, before any pipeline.
    DOCUMENT = "document"
    #: Turned away by the token check.
    TURNED_AWAY = "turned away"
    #: Past the token check, but no such path.
    UNKNOWN = "unknown"
    #: By a handler, refusals included.
    HANDLED = "handled"


@dataclass(slots=True, kw_only=True)
class Call:
    """A request that passed the token check, as handlers get it.

    Attributes:
        params: the path segments the route's braces took.
        token: the caller's; NO_TOKEN on open routes.
        minor: the microversion's second number, 0 where the service has none.
        base: the service's own URL without a trailing slash.
    """

    request: Request
    params: tuple[str, ...]
    token: Token
    minor: int
    base: str


class Service(ABC):
    """One service: a router and the habits of its real counterpart.

    Args:
        name: first path segment and log name, e.g. `compute`.
    """

    def __init__(self, name: str, world: World, tokens: TokenBook) -> None:
        self.name = name
        self.world = world
        self.tokens = tokens
        self.router = Router()

    def route(
        self,
        method: str,
        pattern: str,
        handler: Handler,
        *,
        rule: str = "",
        is_open: bool = False,
        is_admin: bool = False,
        since: int = 0,
        until: int = 0,
    ) -> None:
        """Let `method pattern` of this service lead to `handler`."""
        shown = "/".join("{}" if part.startswith("{") else part for part in pattern.split("/"))
        self.router.add(
            method,
            pattern,
            Route(
                name=f"{self.name} {method} {shown}",
                handler=handler,
                rule=rule,
                is_open=is_open,
                is_admin=is_admin,
                since=since,
                until=until,
            ),
        )

    def answer(self, request: Request, path: str) -> tuple[str, Answer]:
        """The name of the route that took the request, and the answer.

        Args:
            path: the request's path below the service's name, e.g. `/v2.1/servers`.
        """
        name = f"{self.name} {request.method} (unknown)"
        minor = 0
        token = NO_TOKEN
        stage = Stage.TURNED_AWAY
        try:
            route, params, methods = self.router.find(request.method, path)
            if route is None or not route.is_open:
                token = self.authenticate(request)
            stage = Stage.UNKNOWN
            if route is None:
                raise self.unknown_path(request, methods)
            stage = Stage.DOCUMENT if path == "/" else Stage.HANDLED
            minor = self.negotiate(request)
            name = route.name
            self.admit(request, token)
            if minor < route.since or (route.until and minor > route.until):
                raise Refused(404, "The resource could not be found.")
            call = Call(
                request=request,
                params=params,
                token=token,
                minor=minor,
                base=f"{request.origin}/{self.name}",
            )
            if route.is_admin and not token.is_admin:
                raise self.forbidden(route.rule)
            answer = self._handled(route, call)
        except Refused as refused:
            answer = self.refusal(request, refused)
        self.dress(answer, request, minor, stage)
        return name, answer

    def _handled(self, route: Route, call: Call) -> Answer:
        """The handler's answer; a body of the wrong types is a 400.

        A body is plain data of the caller's making, and each handler looks only at what it needs: what trips over a list
        where a text should be is met here, once, where the real services have a schema for each body.
        """
        try:
            return route.handler(call)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if not call.request.body:
                raise
            raise Refused(400, f"Invalid input: the body does not fit: {error!s:.200}") from error

    def authenticate(self, request: Request) -> Token:
        """The caller's token.

        Raises:
            Refused: 401 when there is none that lives.
        """
        token = self.tokens.find(request.headers.get("x-auth-token", ""), self.world.now_ns())
        if token is None:
            raise Refused(401, "The request you have made requires authentication.")
        return token

    def admit(self, request: Request, token: Token) -> None:  # noqa: B027 - most services ask no more
        """Whether this caller may ask under this path at all; a service that cares raises Refused."""

    def negotiate(self, request: Request) -> int:
        """The microversion asked for; 0 in services without."""
        return 0

    def unknown_path(self, request: Request, methods: frozenset[str]) -> Refused:
        """The refusal of a path nobody takes (`methods` empty) or a method the path does not know."""
        if methods:
            return Refused(405, "The method is not allowed for the requested URL.")
        return Refused(404, "The resource could not be found.")

    def forbidden(self, rule: str) -> Refused:
        """The 403 of a caller without the admin role."""
        return Refused(403, f"Policy doesn't allow {rule} to be performed.")

    def refusal(self, request: Request, refused: Refused) -> Answer:
        """The error answer; 401 is the same everywhere, the services' own bodies come from `error_body`.

        The 401 is what keystonemiddleware writes (auth_token: `_default_unauthorized` body and header).
        """
        if refused.status == 401:
            return json_answer(
                401,
                {
                    "error": {
                        "message": "The request you have made requires authentication.",
                        "code": 401,
                        "title": "Unauthorized",
                    }
                },
                ("WWW-Authenticate", www_authenticate(request)),
            )
        answer = self.error_answer(request, refused)
        answer.headers.extend(refused.headers)
        return answer

    @abstractmethod
    def error_answer(self, request: Request, refused: Refused) -> Answer:
        """The service's own error body."""

    @abstractmethod
    def dress(self, answer: Answer, request: Request, minor: int, stage: Stage) -> None:
        """Add the headers the service puts on an answer of this stage."""


def www_authenticate(request: Request) -> str:
    """The header of a 401 that says where to sign in (keystonemiddleware's `www_authenticate_uri`)."""
    return f'Keystone uri="{request.origin}/identity/v3"'
