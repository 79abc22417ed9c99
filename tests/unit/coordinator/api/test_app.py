"""What every route keeps: bounds, faults, and that the loop is never waited on."""

import json
import logging
import threading
from typing import Any

import httpx2
import pytest

from osbench.common.error import AgentError, OsbenchError, StoreError
from osbench.coordinator.api.fault import ERROR_OF_KIND, Fault, FaultBody, error_of
from osbench.coordinator.api.office import Office
from osbench.coordinator.api.rehearsal import RehearsedDesk


def subclasses(kind: type[OsbenchError]) -> set[type[OsbenchError]]:
    return {one for direct in kind.__subclasses__() for one in (direct, *subclasses(direct))}


def test_every_error_of_ours_comes_through_as_itself() -> None:
    """Else the command line ends with another exit code over the API than without it."""
    ours = {one for one in subclasses(OsbenchError) if one.__module__ == "osbench.common.error"}

    assert set(ERROR_OF_KIND.values()) == ours
    for kind in ours:
        error = error_of(Fault(kind=kind.__name__, message="m", exit_code=kind.exit_code))
        assert (type(error), str(error), error.exit_code) == (kind, "m", kind.exit_code)


BODIES = [
    (b"{", 400, "InputError"),
    (b"[" * 100_000, 400, "InputError"),
    (b'{"spec":' * 100_000, 400, "InputError"),
    (b'{"name": "\\ud800", "engine": "nowhere"}', 400, "InputError"),
    (b'{"name": "a\\u0000b", "engine": "nowhere"}', 400, "InputError"),
    (b'\xff\xfe{"name": "d"}', 400, "InputError"),
    (b"", 400, "InputError"),
    (b" " * (2**20 + 1), 413, "TooLarge"),
    (b'{"name": "d", "engine": "nowhere", "spec": {"a": [' + b"1," * 100_001 + b"1]}}", 413, "TooLarge"),
    (json.dumps({"name": "d", "engine": "nowhere", "spec": {"a": "\x00"}}).encode(), 201, ""),
]


@pytest.mark.parametrize(("body", "status", "kind"), BODIES, ids=range(len(BODIES)))
def test_a_body_is_taken_or_refused_and_nothing_falls_over(
    client: httpx2.Client, body: bytes, status: int, kind: str
) -> None:
    answer = client.post("/v1/deployments", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == status, answer.text
    if kind:
        assert answer.json()["error"]["kind"] == kind


def test_a_deep_spec_is_refused(client: httpx2.Client) -> None:
    spec: dict[str, Any] = {}
    for _ in range(40):
        spec = {"inner": spec}
    answer = client.post("/v1/deployments", json={"name": "d", "engine": "nowhere", "spec": spec})

    assert answer.status_code == 400
    assert "nested deeper than the 32 levels" in answer.json()["error"]["message"]


def test_a_body_that_is_not_called_json_is_refused(client: httpx2.Client) -> None:
    """A form of another site's page can send text, and never JSON without asking first."""
    answer = client.post("/v1/deployments", content=b'{"name": "d"}', headers={"content-type": "text/plain"})

    assert answer.status_code == 415


def test_a_body_where_none_belongs_is_refused(client: httpx2.Client) -> None:
    assert client.request("DELETE", "/v1/tasks/a", content=b"{}").status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/tasks", 404),
        ("GET", "/v1/tasks/", 404),
        ("PUT", "/v1/tasks", 405),
        ("HEAD", "/v1/tasks", 405),
        ("POST", "/v1/openapi.json", 405),
    ],
)
def test_what_is_not_served_is_said_as_json(client: httpx2.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)

    assert answer.status_code == status
    assert status != 405 or answer.headers["allow"]
    assert method == "HEAD" or answer.json()["error"]["kind"].startswith("NoSuch")


def test_an_error_that_nobody_foresaw_is_logged_and_not_told(
    client: httpx2.Client, desk: RehearsedDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_self: RehearsedDesk) -> None:
        raise ZeroDivisionError("of swordfish")

    monkeypatch.setattr(RehearsedDesk, "agents", fail)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/v1/agents")

    assert answer.status_code == 500
    assert "swordfish" not in answer.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("error", "status"), [(StoreError("gone"), 503), (AgentError("gone"), 503)])
def test_what_is_away_is_said_to_be_away(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, error: OsbenchError, status: int
) -> None:
    def fail(_self: RehearsedDesk) -> None:
        raise error

    monkeypatch.setattr(RehearsedDesk, "agents", fail)
    answer = client.get("/v1/agents")

    assert (answer.status_code, answer.json()["error"]["message"]) == (status, "gone")


def test_the_store_is_never_asked_on_the_loop(
    client: httpx2.Client, office: Office, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clock probes are answered on that loop; a commit that waits for the disk would bias every agent's clock."""
    asked: dict[str, str] = {}
    store = type(office.service.store)
    for verb in (
        "task_list",
        "task_get",
        "deployment_list",
        "deployment_get",
        "deployment_secrets",
        "deployment_delete",
    ):
        before = getattr(store, verb)

        def noted(self: Any, *args: Any, _verb: str = verb, _before: Any = before, **more: Any) -> Any:
            asked[_verb] = threading.current_thread().name
            return _before(self, *args, **more)

        monkeypatch.setattr(store, verb, noted)
    for path in ("tasks", "tasks/x", "deployments", "deployments/d1", "deployments/d1/config"):
        client.get(f"/v1/{path}")
    client.delete("/v1/deployments/d1")

    assert len(asked) == 6
    assert {name.rpartition("_")[0] for name in asked.values()} <= {"api-store", "api-cloud"}


def test_a_fault_has_one_shape(client: httpx2.Client) -> None:
    answer = client.get("/v1/tasks/x")

    assert list(answer.json()) == list(FaultBody.__struct_fields__)
    assert answer.json()["error"] == {
        "kind": "NotFoundError",
        "message": answer.json()["error"]["message"],
        "exit_code": 1,
    }
