"""Whatever is asked, the API takes it or refuses it, and never falls over: no answer is a 500."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_bench import ACCESS, SOURCE, SharedClient, open_bench

from osbench.coordinator.agent_line import AgentLine, Standing
from osbench.coordinator.api.app import build_app
from osbench.coordinator.api.office import Office
from osbench.coordinator.api.operations import OPERATIONS
from osbench.coordinator.known import known_catalog
from osbench.coordinator.service.local import LocalService

pytestmark = pytest.mark.slow

#: Names that are there, which most random ones are not.
NAMES = ("d1", "load-1")
WORDS = st.one_of(st.sampled_from(NAMES), st.text(max_size=12), st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)
GOOD: dict[str, Any] = {
    "title": "t",
    "source": SOURCE,
    "deployment": "d1",
    "tags": ["a"],
    "options": {"agents": 2},
    "name": "d2",
    "engine": "nowhere",
    "spec": {},
    "soft": True,
    "undo": True,
    "files": {},
}
#: Bodies that are nearly right: some of the right fields, some of them replaced.
NEARLY = st.builds(
    lambda kept, more: {**{key: GOOD[key] for key in kept}, **more},
    st.sets(st.sampled_from(sorted(GOOD))),
    st.dictionaries(st.sampled_from(sorted(GOOD)) | WORDS, VALUES, max_size=2),
)
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    VALUES.map(lambda value: json.dumps(value).encode()),
    NEARLY.map(lambda value: json.dumps(value).encode()),
)
QUERIES = st.dictionaries(st.sampled_from(["status", "tag", "deployment", "force"]) | WORDS, WORDS, max_size=3)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with open_bench("local", tmp_path_factory.mktemp("any")) as bench:
        bench.service.deployment_create(name="d1", engine="nowhere", spec={})
        bench.desk.known["load-1"] = AgentLine(name="load-1", standing=Standing.CONNECTED)
        assert isinstance(bench.service, LocalService)
        office = Office(desk=bench.desk, service=bench.service, catalog=known_catalog())
        app = build_app(office, token=ACCESS.token, hosts=[], version="1")
        with SharedClient(app, base_url=ACCESS.url, raise_server_exceptions=True) as http:
            http.headers["authorization"] = f"Bearer {ACCESS.token}"
            yield http
        office.close()


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(
    operation=st.sampled_from([one for one in OPERATIONS if one.name not in ("checkDeployment", "destroyDeployment")]),
    name=WORDS,
    query=QUERIES,
    body=BODIES,
    event=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
)
def test_no_request_is_too_much(
    client: httpx2.Client, operation: Any, name: str, query: dict[str, str], body: bytes | None, event: str
) -> None:
    path = re.sub(r"\{\w+\}", lambda _: quote(name, safe="") or "%20", operation.path)
    headers = {"content-type": "application/json", "last-event-id": event}
    with client.stream(
        operation.method, path, params=query, content=body if operation.method == "POST" else None, headers=headers
    ) as answer:
        data = answer.read()

    assert answer.status_code < 500, data
    if answer.status_code >= 400:
        assert set(json.loads(data)["error"]) == {"kind", "message", "exit_code"}
