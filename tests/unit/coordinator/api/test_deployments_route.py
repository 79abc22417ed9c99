"""Deployments and agents over the API, and that no secret ever comes back."""

import logging
from typing import Any

import httpx2
import pytest

from osbench.common.error import CloudError, InputError
from osbench.coordinator.agent_line import AgentLine, Standing
from osbench.coordinator.api.office import Office
from osbench.coordinator.api.rehearsal import RehearsedDesk
from osbench.coordinator.cli.rehearsal import RehearsedEngine
from osbench.coordinator.deployment_service import secrets_of

SECRET = "swordfish"


def test_a_deployment_never_shows_its_secrets(
    client: httpx2.Client, office: Office, deployment: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [
            client.get("/v1/deployments"),
            client.get("/v1/deployments/d1"),
            client.get("/v1/deployments/d1/config"),
            client.post("/v1/deployments/d1/check"),
            client.post("/v1/deployments", json={"name": "d1", "engine": "nowhere", "spec": {"password": SECRET}}),
            client.delete("/v1/deployments/d1"),
        ]

    assert office.service.store.deployment_list() == []
    assert [answer.status_code for answer in answers] == [200, 200, 200, 502, 400, 200]
    assert not [answer.text for answer in answers if SECRET in answer.text or "hush" in answer.text]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("kind", [InputError, CloudError])
def test_what_an_engine_complains_of_is_told_without_the_secrets_of_the_spec(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def complain(_self: RehearsedEngine, spec: Any, _folder: Any) -> Any:
        raise kind(f"cannot sign in with {spec['users'][0]['password']} and {spec['auth']['token']['id']}")

    monkeypatch.setattr(RehearsedEngine, "deploy", complain)
    spec = {"users": [{"password": SECRET}], "auth": {"token": {"id": "swordfish-2"}}}
    answer = client.post("/v1/deployments", json={"name": "d", "engine": "nowhere", "spec": spec})

    assert answer.json()["error"]["message"] == "cannot sign in with *** and ***"
    assert SECRET not in client.get("/v1/deployments/d").text


def test_secrets_are_what_stands_below_a_secrets_name() -> None:
    spec = {"name": "open", "admin": {"password": "four"}, "tokens": ["five", {"x": "seven"}, "no"], "key_name": "open"}

    assert list(secrets_of(spec)) == ["four", "five", "seven"]


def test_a_deployment_with_tasks_is_not_destroyed(client: httpx2.Client, deployment: str) -> None:
    source = "version: 2\ntitle: A task\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {}}}\n"
    client.post("/v1/tasks", json={"title": "t", "source": source, "deployment": deployment})
    answer = client.delete("/v1/deployments/d1")

    assert answer.status_code == 409
    assert "still has 1 task" in answer.json()["error"]["message"]


@pytest.fixture
def agent(desk: RehearsedDesk) -> AgentLine:
    line = AgentLine(name="load-1", standing=Standing.NEVER_SEEN, labels=("rack-1",))
    desk.known["load-1"] = line
    return line


def test_agents_are_shown_as_the_desk_tells(client: httpx2.Client, agent: AgentLine) -> None:
    (listed,) = client.get("/v1/agents").json()["agents"]

    assert listed == client.get("/v1/agents/load-1").json()
    assert (listed["standing"], listed["labels"], listed["heard_ago_s"]) == ("never seen", ["rack-1"], None)
    assert client.get("/v1/agents/load-2").status_code == 404


def test_an_agent_is_drained_and_taken_in_again(client: httpx2.Client, agent: AgentLine) -> None:
    assert client.post("/v1/agents/load-1/drain").json() == {"message": "Agent load-1 gets no new work."}
    assert client.post("/v1/agents/load-1/drain", json={"undo": True}).json()["message"].endswith("gets work again.")
    assert client.post("/v1/agents/load-1/drain", json={"undo": 1}).status_code == 400
    assert client.post("/v1/agents/load-2/drain").status_code == 404


def test_the_status_is_the_desks(client: httpx2.Client, agent: AgentLine) -> None:
    assert client.get("/v1/status").json()["agents"] == {"connected": 1}
