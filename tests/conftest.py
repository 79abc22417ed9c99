"""Clouds to test against: simulated ones of a test's own, and the real one that stands beside the checkout."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import pytest
from cloud_targets import Book, Target
from hypothesis import HealthCheck, settings

from osbench.common.cloud.credentials import CloudCredentials

# How long an example takes says more about the machine than about us. The suite tries the same examples each time;
# `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=1_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


#: What measures times or fills all cores runs after the rest of the slow suite, one test at a time.
ALONE = tuple(
    Path(__file__).parent / "integration" / name
    for name in ("local_run/test_exact_load.py", "local_run/test_faults.py", "daemon/test_moving_load.py", "hosts")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the machine for itself."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in ALONE):
            item.add_marker(pytest.mark.alone)


def admin_of(auth_url: str) -> CloudCredentials:
    """The administrator that both kinds of cloud have."""
    return CloudCredentials(
        auth_url=auth_url,
        username="admin",
        password="secret",
        user_domain_name="Default",
        project_name="admin",
        project_domain_name="Default",
        region="RegionOne",
    )


@pytest.fixture
def real_cloud() -> Target:
    """The real cloud; OSBENCH_REAL_CLOUD says where Keystone is. The test is skipped where nobody listens there."""
    auth_url = os.environ.get("OSBENCH_REAL_CLOUD", "http://127.0.0.1:5000/v3")
    place = urlsplit(auth_url)
    try:
        socket.create_connection((place.hostname or "", place.port or 80), timeout=2).close()
    except OSError as error:
        pytest.skip(f"no real cloud at {auth_url}: {error}")
    return Target(admin=admin_of(auth_url))


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Target]]:
    """Starts simulated clouds with the configuration that is given as keywords; they end with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(**config: Any) -> Target:
        number = len(processes)
        config_file, ready = tmp_path / f"cloud{number}.json", tmp_path / f"ready{number}.json"
        config_file.write_text(json.dumps(config))
        arguments = ["--config", str(config_file), "--ready-file", str(ready), "--lifetime", "300"]
        process = subprocess.Popen([sys.executable, "-m", "osbench.deploy.simulated", *arguments])
        processes.append(process)
        while not ready.exists():
            assert process.poll() is None, f"the simulated cloud ended with {process.returncode}"
            sleep(0.02)
        return Target(admin=admin_of(json.loads(ready.read_text())["auth_url"]))

    yield start
    for process in processes:
        process.terminate()
        process.wait(timeout=20)
