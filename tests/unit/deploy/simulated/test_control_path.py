"""The control path: closed without its token, and what it tells and changes."""

from typing import Any

import orjson
from cloud_driver import Driver, Headers, Reply, drive, reply_of

from osbench.deploy.simulated.control import Control, Flight
from osbench.deploy.simulated.exchange import Request


def ask(driver: Driver, method: str, path: str, body: Any = None, shown: str = "open", token: str = "open") -> Reply:
    control = Control(driver.cloud, Flight(), token)
    request = Request(
        method=method,
        path=f"/_osbench/{path}",
        query=(),
        headers=Headers({"X-Osbench-Control": shown}),
        body=orjson.dumps(body),
        origin="http://cloud.test",
        request_id="req-1",
    )
    return reply_of(control.handle(request))


def test_it_is_closed_without_a_token_and_to_a_wrong_one() -> None:
    driver = drive()

    assert ask(driver, "GET", "counters", token="").status == 404
    assert ask(driver, "GET", "counters", shown="wrong").status == 403
    assert ask(driver, "GET", "counters").status == 200


def test_it_counts_requests_by_route_and_status() -> None:
    driver = drive()
    driver.call("GET", "/compute/v2.1/servers/x")
    driver.call("GET", "/compute/v2.1/servers/y")
    routes = ask(driver, "GET", "counters").body["routes"]

    assert routes["compute GET /v2.1/servers/{}"] == {"404": 2}
    assert routes["identity POST /v3/auth/tokens"] == {"201": 1}
    assert ask(driver, "DELETE", "counters").status == 204
    assert ask(driver, "GET", "counters").body["requests"] == 0


def test_it_puts_faults_in_force_and_refuses_what_is_none() -> None:
    driver = drive()
    rule = {"name": "down", "service": "compute", "then": {"kind": "status", "status": 503, "retry_after_s": 3}}

    assert ask(driver, "PUT", "faults", [rule]).body == {"faults": {"down": {"matched": 0, "fired": 0}}}
    assert ask(driver, "PUT", "faults", [{"then": {"kind": "status", "status": 1}}]).status == 400
    assert driver.cloud.faults.decide("compute", "GET", "/") is not None
    assert ask(driver, "DELETE", "faults").status == 204
    assert driver.cloud.faults.decide("compute", "GET", "/") is None


def test_it_tells_what_each_project_has() -> None:
    driver = drive()
    driver.boot()
    projects = ask(driver, "GET", "resources").body["projects"]
    admin = projects[driver.cloud.identity.project_id("admin")]

    assert admin["servers"] == {"BUILD": 1}
    assert (admin["images"], admin["network"], admin["subnet"]) == (1, 2, 2)


def test_it_revokes_all_tokens() -> None:
    driver = drive()

    assert ask(driver, "DELETE", "tokens").status == 204
    assert driver.call("GET", "/compute/v2.1/servers").status == 401
