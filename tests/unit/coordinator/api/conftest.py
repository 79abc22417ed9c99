"""The API over a store of the test's own, a desk that runs nothing, and a client without a socket."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from osbench.common.clock import ManualClock
from osbench.coordinator.api.app import build_app
from osbench.coordinator.api.office import Office
from osbench.coordinator.api.rehearsal import RehearsedDesk
from osbench.coordinator.cli.rehearsal import RehearsedEngine
from osbench.coordinator.home import open_home
from osbench.coordinator.known import known_catalog
from osbench.coordinator.service.local import LocalService
from osbench.coordinator.store.sql import open_store

TOKEN = "a-token-of-the-tests"
URL = "http://127.0.0.1:7760"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    home = open_home(str(tmp_path / "home"), {})
    with closing(open_store(home.database, clock=ManualClock(), key_file=home.key_file)) as store:
        engines = {"nowhere": RehearsedEngine(), "existing": RehearsedEngine()}
        made = Office(
            desk=RehearsedDesk(store=store),
            service=LocalService(store=store, home=home, engines=engines),
            catalog=known_catalog(),
        )
        yield made
        made.close()


@pytest.fixture
def desk(office: Office) -> RehearsedDesk:
    assert isinstance(office.desk, RehearsedDesk)
    return office.desk


@pytest.fixture
def stranger(office: Office) -> Iterator[httpx2.Client]:
    """A client without a token."""
    app = build_app(office, token=TOKEN, hosts=["load.example"], version="1.2.3")
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger: httpx2.Client) -> httpx2.Client:
    """A client that may."""
    stranger.headers["authorization"] = f"Bearer {TOKEN}"
    return stranger


@pytest.fixture
def deployment(client: httpx2.Client) -> str:
    """The name of a deployment that is there."""
    draft = {"name": "d1", "engine": "nowhere", "spec": {"admin": {"password": "swordfish"}}}
    assert client.post("/v1/deployments", json=draft).status_code == 201
    return "d1"
