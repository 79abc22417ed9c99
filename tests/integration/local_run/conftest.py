"""A whole local OSBench per test: a home of its own, the real command line, real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_osbench import Osbench

from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import open_home


@pytest.fixture
def osbench(tmp_path: Path) -> Iterator[Osbench]:
    """A fresh home with one deployment that needs no cloud: the scenarios here ask nothing of any."""
    home = tmp_path / "home"
    made = Osbench(home)
    opened = open_home(str(home), {})
    store = made.store()
    deployment = store.deployment_create(name="nowhere", engine="existing", spec={})
    for status in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
        store.deployment_update_status(deployment.id, status)
    store.close()
    opened.choose(deployment=deployment.id)
    yield made
    made.end_all()
