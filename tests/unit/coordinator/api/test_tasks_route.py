"""Tasks over the API."""

import base64
import hashlib
from typing import Any

import httpx2
import pytest

from osbench.coordinator.api.events import EventReader, ToldEvent
from osbench.coordinator.api.fault import FaultBody
from osbench.coordinator.api.rehearsal import RehearsedDesk
from osbench.coordinator.progress import Phase, ProgressUpdate, TaskOutcome
from osbench.coordinator.report.json import read_json
from osbench.coordinator.task_line import QueuePlace
from osbench.coordinator.task_state import TaskOptions, TaskStatus

SOURCE = "version: 2\ntitle: A task\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {sleep: 1}}}\n"


def bundle(**more: Any) -> dict[str, Any]:
    return {"title": "t", "source": SOURCE, "deployment": "d1", **more}


@pytest.fixture
def task(client: httpx2.Client, deployment: str) -> str:
    """A task that waits in the queue."""
    answer = client.post("/v1/tasks", json=bundle(tags=["nightly"]))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def finish(desk: RehearsedDesk, task: str) -> None:
    """As the daemon would have run it."""
    desk.queue.remove(task)
    for status in (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING, TaskStatus.FINISHED):
        desk.store.task_update_status(task, status)


def events(client: httpx2.Client, task: str, headers: dict[str, str] | None = None) -> list[ToldEvent]:
    reader = EventReader()
    answer = client.get(f"/v1/tasks/{task}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [event for line in answer.text.split("\n") if (event := reader.feed(line)) is not None]


def test_a_submitted_task_waits_in_the_queue(client: httpx2.Client, desk: RehearsedDesk, task: str) -> None:
    shown = client.get(f"/v1/tasks/{task}").json()["line"]

    assert (shown["title"], shown["deployment"], shown["tags"], shown["position"]) == ("A task", "d1", ["nightly"], 1)
    assert desk.options[task] == TaskOptions(runner="daemon")


def test_options_reach_the_desk_and_the_runner_is_not_the_clients_to_choose(
    client: httpx2.Client, desk: RehearsedDesk, deployment: str
) -> None:
    options = {"agents": 4, "min_agents": 2, "labels": ["rack-1"], "abort_on_sla_failure": True}
    task = client.post("/v1/tasks", json=bundle(options=options)).json()["id"]

    assert desk.options[task] == TaskOptions(
        runner="daemon", agents=4, min_agents=2, labels=("rack-1",), abort_on_sla_failure=True
    )
    assert client.post("/v1/tasks", json=bundle(options={"runner": "local"})).status_code == 400


WRONG = [
    (bundle(source="version: 2\ntitle: {{ title }}\nsubtasks: []"), "task:2:"),
    (bundle(source="Dummy.nothing: [{}]"), "task:1:1: unknown scenario"),
    (bundle(source="a" * 2**20 + "b"), "$.source"),
    (bundle(deployment="nobody"), "nobody"),
    (bundle(deployment="a\x00b"), "$.deployment"),
    (bundle(title=""), "$.title"),
    (bundle(tags=["a\nb"]), "$.tags"),
    (bundle(tags=["a"] * 65), "$.tags"),
    (bundle(options={"agents": 0}), "$.options.agents"),
    (bundle(options={"agents": 2, "min_agents": 3}), "min_agents 3 is above the 2"),
    (bundle(options={"agnts": 2}), "agnts"),
    (bundle(task_args={"a": 1}), "task_args"),
    ({"title": "t"}, "source"),
]


@pytest.mark.parametrize(("sent", "said"), WRONG)
def test_a_bundle_that_does_not_fit_makes_no_task(
    client: httpx2.Client, deployment: str, sent: dict[str, Any], said: str
) -> None:
    answer = client.post("/v1/tasks", json=sent)

    assert answer.status_code in (400, 404)
    assert said in answer.json()["error"]["message"]
    assert client.get("/v1/tasks").json() == {"tasks": []}


def test_nothing_in_a_source_is_expanded_and_no_file_is_opened(client: httpx2.Client, deployment: str) -> None:
    """The text came over the network: Jinja2's includes would read the coordinator's files for whoever sends it."""
    hostile = (
        "version: 2\ntitle: '{% include \"/etc/passwd\" %}'\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {}}}\n"
    )
    answer = client.post("/v1/tasks", json=bundle(source=hostile))

    assert answer.status_code == 201
    assert answer.json()["title"] == '{% include "/etc/passwd" %}'


def test_a_task_of_format_1_has_the_bundles_title(client: httpx2.Client, deployment: str) -> None:
    answer = client.post("/v1/tasks", json=bundle(title="my.boots", source="Dummy.dummy: [{}]"))

    assert answer.json()["title"] == "my.boots"


def test_files_that_nothing_refers_to_are_refused(client: httpx2.Client, deployment: str) -> None:
    data = b"a file"
    files = {hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode()}
    answer = client.post("/v1/tasks", json=bundle(files=files))

    assert answer.status_code == 400
    assert "no scenario of this release takes local files" in answer.json()["error"]["message"]


def test_a_file_that_is_not_what_its_digest_says_is_refused(client: httpx2.Client, deployment: str) -> None:
    answer = client.post("/v1/tasks", json=bundle(files={"0" * 64: base64.b64encode(b"x").decode()}))

    assert "it was damaged on its way" in answer.json()["error"]["message"]


def test_tasks_are_listed_by_what_is_asked(client: httpx2.Client, task: str) -> None:
    def ids(query: str) -> list[str]:
        return [line["id"] for line in client.get(f"/v1/tasks{query}").json()["tasks"]]

    assert ids("") == ids("?tag=nightly&deployment=d1&status=init") == [task]
    assert ids("?tag=other") == ids("?tag=null") == ids("?status=finished") == []


@pytest.mark.parametrize(
    "query", ["?status=finishd", "?status=null", "?stats=init", "?tag=a&tag=b", "?tag=", "?deployment=%00"]
)
def test_a_query_that_does_not_fit_is_refused(client: httpx2.Client, query: str) -> None:
    answer = client.get(f"/v1/tasks{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["kind"] == "InputError"


@pytest.mark.parametrize("name", ["00000000-0000-4000-8000-000000000000", "a b", "%2e%2e", "%00", "a%2fb", "é" * 200])
@pytest.mark.parametrize("rest", ["", "/events", "/results", "/report", "/sla-check"])
def test_a_task_that_is_not_there_is_not_found(client: httpx2.Client, name: str, rest: str) -> None:
    assert client.get(f"/v1/tasks/{name}{rest}").status_code == 404


def test_a_queued_task_is_ended_and_cannot_be_deleted_before(client: httpx2.Client, task: str) -> None:
    refused = client.delete(f"/v1/tasks/{task}")

    assert refused.status_code == 409
    assert "waits in the queue, place 1" in refused.json()["error"]["message"]
    assert client.post(f"/v1/tasks/{task}/abort", json={"soft": True}).status_code == 200
    assert client.post(f"/v1/tasks/{task}/abort").status_code == 409
    assert client.delete(f"/v1/tasks/{task}?force=false").status_code == 204
    assert client.get(f"/v1/tasks/{task}").status_code == 404


def test_results_are_what_the_command_line_reads(client: httpx2.Client, desk: RehearsedDesk, task: str) -> None:
    finish(desk, task)
    result = read_json(client.get(f"/v1/tasks/{task}/results").content)
    report = client.get(f"/v1/tasks/{task}/report")

    assert (result.task, result.title, result.status) == (task, "A task", "finished")
    assert report.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert "A task" in report.text
    assert client.get(f"/v1/tasks/{task}/sla-check").status_code == 409


def test_a_task_is_told_of_until_its_outcome(client: httpx2.Client, desk: RehearsedDesk, task: str) -> None:
    update = ProgressUpdate(task=task, workload=1, workloads=1, scenario="Dummy.dummy", phase=Phase.RUNNING, ended=7)
    outcome = TaskOutcome(task=task, failure="the cloud went away")
    desk.told[task] = [update, outcome]

    assert events(client, task) == [update, outcome]


def test_a_task_at_rest_gives_its_outcome_at_once(client: httpx2.Client, desk: RehearsedDesk, task: str) -> None:
    finish(desk, task)

    assert events(client, task) == [TaskOutcome(task=task)]


def test_ids_of_events_go_on_where_the_reader_was(client: httpx2.Client, desk: RehearsedDesk, task: str) -> None:
    desk.told[task] = [TaskOutcome(task=task)]
    again = client.get(f"/v1/tasks/{task}/events", headers={"last-event-id": "41"})
    odd = client.get(f"/v1/tasks/{task}/events", headers={"last-event-id": "a\tb"})

    assert again.text.startswith("id: 42\nevent: outcome\n")
    assert odd.text.startswith("id: 1\n")


def test_a_line_of_an_unknown_kind_is_left_out() -> None:
    reader = EventReader()
    lines = [
        "event: weather",
        "data: {}",
        "",
        ": still here",
        "",
        "event: queued",
        'data: {"task":"t","position":2}',
        "",
    ]

    assert [event for line in lines if (event := reader.feed(line))] == [QueuePlace(task="t", position=2)]


def test_a_fault_ends_the_stream(client: httpx2.Client, desk: RehearsedDesk, task: str) -> None:
    desk.store.task_delete(task, force=True)
    answer = client.get(f"/v1/tasks/{task}/events")

    assert answer.status_code == 404
    assert FaultBody.__name__ == "FaultBody"
