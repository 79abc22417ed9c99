"""Drives a whole simulated cloud in one thread: requests by hand, time by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from osbench.common.clock import NS_PER_S, ManualClock
from osbench.deploy.simulated.cloud import Cloud
from osbench.deploy.simulated.config import make_spec
from osbench.deploy.simulated.exchange import Answer, Request

ORIGIN = "http://cloud.test"


class Headers(dict[str, str]):
    """Header look-up without regard to case, as the HTTP server gives it."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


@dataclass(slots=True)
class Reply:
    """An answer with its body decoded."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Driver:
    """A cloud, its clock, and the token of whoever calls."""

    cloud: Cloud
    clock: ManualClock
    token: str = ""
    version: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request; path with its query."""
        bare, _, query = path.partition("?")
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.version:
            shown.setdefault("OpenStack-API-Version", self.version)
        if self.token:
            shown.setdefault("X-Auth-Token", self.token)
        pairs = tuple((part.partition("=")[0], part.partition("=")[2]) for part in query.split("&") if part)
        request = Request(
            method=method,
            path=bare,
            query=pairs,
            headers=Headers({"Accept": "application/json", **self.extra, **shown}),
            body=b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body),
            origin=ORIGIN,
            request_id="req-1",
        )
        return reply_of(self.cloud.handle(request))

    def sign_in(self, name: str, password: str, project: str) -> Reply:
        """Sign in; later calls are made with the token."""
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        reply = self.call("POST", "/identity/v3/auth/tokens", {"auth": auth}, X_Auth_Token="")
        self.token = reply.headers.get("X-Subject-Token", "")
        return reply

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.advance(int(seconds * NS_PER_S))

    def image(self) -> str:
        """The id of the image that is there."""
        return str(self.call("GET", "/image/v2/images").body["images"][0]["id"])

    def boot(self, name: str = "s", **wanted: Any) -> Reply:
        """Boot a server without networks unless said otherwise."""
        server = {"name": name, "imageRef": self.image(), "flavorRef": "1", "networks": "none", **wanted}
        return self.call("POST", "/compute/v2.1/servers", {"server": server}, OpenStack_API_Version="compute 2.60")

    def server(self, server_id: str) -> Reply:
        """GET one server."""
        return self.call("GET", f"/compute/v2.1/servers/{server_id}")


def reply_of(answer: Answer) -> Reply:
    """The answer with its body decoded, where it is JSON."""
    try:
        body = orjson.loads(answer.body) if answer.body else None
    except orjson.JSONDecodeError:
        body = answer.body.decode()
    return Reply(answer.status, dict(answer.headers), body)


def drive(**config: Any) -> Driver:
    """A new cloud, its admin signed in."""
    clock = ManualClock(current_ns=1_000 * NS_PER_S)
    driver = Driver(Cloud(make_spec(config), clock, Random(7).randbytes), clock)
    assert driver.sign_in("admin", "secret", "admin").status == 201
    return driver


def as_demo(driver: Driver) -> Driver:
    """The same cloud, as its user demo."""
    other = Driver(driver.cloud, driver.clock)
    assert other.sign_in("demo", "secret", "demo").status == 201
    return other
