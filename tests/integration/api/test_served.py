"""The API on a real socket inside a loop that is somebody else's."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from osbench.common.clock import SystemClock
from osbench.common.error import InputError
from osbench.coordinator.api import server
from osbench.coordinator.api.rehearsal import RehearsedDesk
from osbench.coordinator.api.server import serve_api
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.progress import Phase, ProgressUpdate
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store

TOKEN = "a-token-of-the-tests"
SOURCE = "version: 2\ntitle: A task\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {sleep: 1}}}\n"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(str(tmp_path / "home"), {})


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with closing(open_store(home.database, clock=SystemClock(), key_file=home.key_file)) as opened:
        yield opened


def test_it_is_served_on_a_free_port_and_says_where(home: Home, store: Store) -> None:
    async def check() -> None:
        desk = RehearsedDesk(store=store)
        async with (
            serve_api(desk, store, home, host="127.0.0.1", port=0, token=TOKEN) as url,
            httpx2.AsyncClient(base_url=url, headers=HEADERS) as client,
        ):
            assert (await client.get("/v1/status")).status_code == 200
            assert (await client.get("/v1/status", headers={"authorization": "Bearer x"})).status_code == 401
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(url)

    asyncio.run(check())


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_nothing_but_loopback_is_bound_unless_it_is_allowed(home: Home, store: Store, host: str) -> None:
    async def check(*, allow_remote: bool) -> str:
        desk = RehearsedDesk(store=store)
        serving = serve_api(desk, store, home, host=host, port=0, token=TOKEN, allow_remote=allow_remote)
        async with serving as url:
            return url

    with pytest.raises(InputError, match="only if that is allowed explicitly"):
        asyncio.run(check(allow_remote=False))
    assert asyncio.run(check(allow_remote=True)).startswith(("http://127.0.0.1:", "http://[::1]:"))


def test_a_port_that_is_taken_is_said(home: Home, store: Store) -> None:
    async def check(port: int) -> None:
        async with serve_api(RehearsedDesk(store=store), store, home, host="127.0.0.1", port=port, token=TOKEN):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="choose another port"):
        asyncio.run(check(taken.getsockname()[1]))


def test_signals_stay_the_daemons(home: Home, store: Store) -> None:
    """uvicorn takes SIGINT and SIGTERM for itself, and the daemon would never hear that it is to end."""

    async def check() -> int:
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.set)
        async with serve_api(RehearsedDesk(store=store), store, home, host="127.0.0.1", port=0, token=TOKEN) as url:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(heard.wait(), 10)
            async with httpx2.AsyncClient(base_url=url, headers=HEADERS) as client:
                return (await client.get("/v1/status")).status_code

    assert asyncio.run(check()) == 200


def test_a_stream_ends_when_the_api_does_and_the_task_does_not(home: Home, store: Store) -> None:
    async def check() -> list[str]:
        desk = RehearsedDesk(store=store)
        lines: list[str] = []

        async def watch(url: str, task: str, begun: asyncio.Event) -> None:
            async with (
                httpx2.AsyncClient(base_url=url, headers=HEADERS) as client,
                client.stream("GET", f"/v1/tasks/{task}/events") as response,
            ):
                async for line in response.aiter_lines():
                    lines.append(line)
                    begun.set()

        async with serve_api(desk, store, home, host="127.0.0.1", port=0, token=TOKEN) as url:
            async with httpx2.AsyncClient(base_url=url, headers=HEADERS) as client:
                draft = {"name": "d1", "engine": "simulated", "spec": {}}
                assert (await client.post("/v1/deployments", json=draft | {"engine": "nothing"})).status_code == 400
            deployment = await asyncio.to_thread(ready_deployment, store)
            async with httpx2.AsyncClient(base_url=url, headers=HEADERS) as client:
                bundle = {"title": "t", "source": SOURCE, "deployment": deployment}
                task = (await client.post("/v1/tasks", json=bundle)).json()["id"]
            desk.held = [
                ProgressUpdate(task=task, workload=1, workloads=1, scenario="Dummy.dummy", phase=Phase.RUNNING)
            ]
            begun = asyncio.Event()
            watching = asyncio.create_task(watch(url, task, begun))
            await asyncio.wait_for(begun.wait(), 10)
        await asyncio.wait_for(watching, 10)
        assert store.task_get(task).status == "init"
        return lines

    assert asyncio.run(check())[:2] == ["id: 1", "event: progress"]


def ready_deployment(store: Store) -> str:
    from osbench.coordinator.deployment_state import DeploymentStatus

    made = store.deployment_create(name="d1", engine="nowhere", spec={})
    for status in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
        store.deployment_update_status(made.id, status)
    return made.id


def test_whoever_connects_and_says_nothing_is_dropped(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else anybody on the machine could use up the daemon's files without a token."""
    monkeypatch.setattr(server, "HEAD_S", 0.1)

    async def check() -> bytes:
        desk = RehearsedDesk(store=store)
        async with serve_api(desk, store, home, host="127.0.0.1", port=0, token=TOKEN) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"GET /v1/status HTTP/1.1\r\nHost: local")
            try:
                return await asyncio.wait_for(reader.read(), 10)
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

    assert asyncio.run(check()) == b""


def test_a_body_without_an_end_is_cut_at_its_bound(home: Home, store: Store) -> None:
    """Chunked, so no Content-Length tells before; the connection ends, or it would be read for ever."""

    async def send_until_cut(port: int, token: str) -> int:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/deployments HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        try:
            while sent < 2**28:
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                sent += 65_536
                await writer.drain()
        except (ConnectionResetError, BrokenPipeError):
            pass
        finally:
            writer.close()
        return sent

    async def check(token: str) -> int:
        desk = RehearsedDesk(store=store)
        async with serve_api(desk, store, home, host="127.0.0.1", port=0, token=TOKEN) as url:
            return await asyncio.wait_for(send_until_cut(int(url.rpartition(":")[2]), token), 30)

    assert asyncio.run(check(TOKEN)) < 2**25
    assert asyncio.run(check("wrong")) < 2**25
