"""The process of a simulated cloud: faults as a client sees them, and how it begins and ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from osbench.common.error import CloudError, InputError
from osbench.common.known_process import know
from osbench.deploy.simulated.engine import PROCESS, SimulatedEngine

pytestmark = pytest.mark.slow

CONTROL = "let me in"
LIMIT_S = 20.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[str, int]]]:
    """Starts simulated clouds of a configuration; host and port."""
    engine = SimulatedEngine()
    folders: list[Path] = []

    def begin(**config: Any) -> tuple[str, int]:
        folder = tmp_path / f"cloud{len(folders)}"
        folder.mkdir()
        folders.append(folder)
        spec = {"control_token": CONTROL, "lifetime_s": 120, "access_log": True, **config}
        host, _, port = engine.deploy(spec, folder).admin.auth_url.split("/")[2].partition(":")
        return host, int(port)

    yield begin
    for folder in folders:
        engine.destroy({}, folder)


def get(
    address: tuple[str, int], path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*address, timeout=LIMIT_S)
    try:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), shown)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def sign_in(address: tuple[str, int]) -> str:
    user = {"name": "admin", "domain": {"id": "default"}, "password": "secret"}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
    return get(address, "/identity/v3/auth/tokens", "POST", {"auth": auth})[1]["X-Subject-Token"]


def fault(then: dict[str, Any], **condition: Any) -> dict[str, Any]:
    return {"service": "compute", "then": then, **condition}


def test_a_status_fault_answers_in_the_services_own_words(start: Callable[..., tuple[str, int]]) -> None:
    rules = [
        fault({"kind": "status", "status": 429, "retry_after_s": 3}, first=1),
        fault({"kind": "status", "status": 503, "body": "down"}, first=1),
    ]
    address = start(faults=rules)
    busy, down = get(address, "/compute/v2.1/servers"), get(address, "/compute/v2.1/servers")

    assert (busy[0], busy[1]["Retry-After"]) == (429, "3")
    assert json.loads(busy[2])["overLimit"]["retryAfter"] == "3"
    assert (down[0], down[2]) == (503, b"down")
    assert get(address, "/compute/v2.1/servers")[0] == 401


def test_a_cut_body_is_promised_whole_and_ends_early(start: Callable[..., tuple[str, int]]) -> None:
    address = start(faults=[fault({"kind": "cut", "after_bytes": 5}, first=1)])

    with pytest.raises(http.client.IncompleteRead) as caught:
        get(address, "/compute/v2.1/servers")
    assert len(caught.value.partial) == 5
    assert caught.value.expected


def test_a_reset_comes_after_the_request_was_done(start: Callable[..., tuple[str, int]]) -> None:
    """The create nobody was told of: the client cannot know, the server must be there."""
    rule = fault({"kind": "reset"}, method="POST", path="os-server-groups", first=1)
    address = start(faults=[rule])
    token = sign_in(address)
    body = {"server_group": {"name": "g", "policies": ["affinity"]}}

    with pytest.raises(ConnectionResetError):
        get(address, "/compute/v2.1/os-server-groups", "POST", body, X_Auth_Token=token)
    groups = json.loads(get(address, "/compute/v2.1/os-server-groups", X_Auth_Token=token)[2])["server_groups"]

    assert [group["name"] for group in groups] == ["g"]


def test_a_hang_never_answers_and_is_let_go_at_its_limit(start: Callable[..., tuple[str, int]]) -> None:
    address = start(faults=[fault({"kind": "hang", "limit_s": 0.3}, first=1)])
    with socket.create_connection(address, timeout=LIMIT_S) as caller:
        caller.sendall(b"GET /compute/v2.1/servers HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        try:
            received = caller.recv(100)
        except ConnectionResetError:
            pass

    assert received == b""


def test_latency_is_added_to_an_answer_that_is_right(start: Callable[..., tuple[str, int]]) -> None:
    delay = {"kind": "constant", "seconds": 0.4}
    address = start(faults=[fault({"kind": "latency", "delay": delay}, path="/servers")])
    token = sign_in(address)
    began = time.monotonic()
    status, _, body = get(address, "/compute/v2.1/servers", X_Auth_Token=token)

    assert (status, json.loads(body)) == (200, {"servers": []})
    assert time.monotonic() - began >= 0.4


def test_an_expired_token_is_refused_from_then_on(start: Callable[..., tuple[str, int]]) -> None:
    address = start(faults=[fault({"kind": "expire_token"}, path="/flavors", first=1)])
    token = sign_in(address)
    statuses = [
        get(address, path, X_Auth_Token=token)[0]
        for path in ("/compute/v2.1/servers", "/compute/v2.1/flavors", "/compute/v2.1/servers")
    ]

    assert statuses == [200, 401, 401]
    assert get(address, "/compute/v2.1/flavors", X_Auth_Token=sign_in(address))[0] == 200


def test_faults_and_counters_are_reached_at_run_time(start: Callable[..., tuple[str, int]]) -> None:
    address = start()
    rules = [fault({"kind": "status", "status": 500}, name="down")]
    refused = get(address, "/_osbench/faults", "PUT", rules)
    put = get(address, "/_osbench/faults", "PUT", rules, X_Osbench_Control=CONTROL)
    get(address, "/compute/v2.1/servers")
    counters = json.loads(get(address, "/_osbench/counters", X_Osbench_Control=CONTROL)[2])
    counts = json.loads(get(address, "/_osbench/faults", X_Osbench_Control=CONTROL)[2])

    assert (refused[0], put[0]) == (403, 200)
    assert counters["routes"] == {"compute GET (fault)": {"500": 1}}
    assert counters["peak_in_flight"] == 1
    assert counts == {"faults": {"down": {"matched": 1, "fired": 1}}}


def test_the_callers_request_id_is_in_the_access_log(start: Callable[..., tuple[str, int]], tmp_path: Path) -> None:
    address = start()
    get(address, "/compute/v2.1/servers", X_OpenStack_Request_ID="req-mine")
    log, deadline = tmp_path / "cloud0" / "access.log", time.monotonic() + LIMIT_S
    while "req-mine" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    line = next(line for line in log.read_text().splitlines() if line.endswith("req-mine"))

    assert line.split()[1:4] == ["GET", "/compute/v2.1/servers", "401"]


def test_the_engine_ends_exactly_what_it_started_and_may_be_asked_twice(tmp_path: Path) -> None:
    engine = SimulatedEngine()
    engine.deploy({"lifetime_s": 60}, tmp_path)
    pid = json.loads((tmp_path / PROCESS).read_text())["pid"]
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="runs there already"):
        engine.deploy({}, tmp_path)
    engine.destroy({}, tmp_path)
    engine.destroy({}, tmp_path)

    assert modes == {0o600}
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert list(tmp_path.iterdir()) == []


def test_a_recycled_process_id_is_left_alone(tmp_path: Path) -> None:
    """A record of yesterday must not end whatever has that id today."""
    me = psutil.Process()
    known = know(me)
    replace(known, started_s=known.started_s - 3_600).save(tmp_path / PROCESS)
    SimulatedEngine().destroy({}, tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert known.alive() == me


def test_a_cloud_started_without_a_record_is_found_by_its_configuration(tmp_path: Path) -> None:
    """A kill between the start and its record must not leave a process nobody knows of."""
    engine = SimulatedEngine()
    engine.deploy({"lifetime_s": 60}, tmp_path)
    pid = json.loads((tmp_path / PROCESS).read_text())["pid"]
    (tmp_path / PROCESS).unlink()
    engine.destroy({}, tmp_path)

    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=f"127.0.0.1:{port}.*in use"):
            SimulatedEngine().deploy({"listen": f"127.0.0.1:{port}"}, tmp_path)


@pytest.mark.parametrize("way", ["signal", "parent", "lifetime"])
def test_it_ends_by_itself(way: str, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    ready = tmp_path / "ready.json"
    arguments = ["--ready-file", str(ready), "--lifetime", "1" if way == "lifetime" else "60"]
    if way == "parent":
        arguments += ["--parent-pid", str(parent.pid)]
    cloud = subprocess.Popen([sys.executable, "-m", "osbench.deploy.simulated", *arguments], stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            assert cloud.poll() is None
            time.sleep(0.02)
        if way == "signal":
            os.kill(cloud.pid, signal.SIGTERM)
        if way == "parent":
            parent.kill()
            parent.wait(LIMIT_S)

        assert cloud.wait(LIMIT_S) == 0
    finally:
        for process in (parent, cloud):
            process.kill()
            process.wait(LIMIT_S)


def test_a_cloud_on_an_ipv6_address_says_so_in_its_urls(tmp_path: Path) -> None:
    engine = SimulatedEngine()
    made = engine.deploy({"listen": "[::1]:0", "lifetime_s": 60}, tmp_path)
    try:
        host, port = made.admin.auth_url.removeprefix("http://[").removesuffix("/identity/v3").split("]:")
        status, _, body = get((host, int(port)), "/identity/v3")
    finally:
        engine.destroy({}, tmp_path)

    assert status == 200
    assert json.loads(body)["version"]["links"][0]["href"].startswith(f"http://[::1]:{port}/")
