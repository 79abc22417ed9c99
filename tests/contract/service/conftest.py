"""Both services."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from service_bench import Bench, open_bench


@pytest.fixture(params=["local", "remote"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def deployed(bench: Bench) -> Bench:
    """With a deployment `d1` that tasks can run on."""
    bench.service.deployment_create(name="d1", engine="nowhere", spec={"admin": {"password": "swordfish"}})
    return bench
