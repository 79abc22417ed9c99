"""The command line with the real cloud as its deployment."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_targets import Target
from local_osbench import Osbench


@pytest.fixture
def osbench(tmp_path: Path, real_cloud: Target) -> Iterator[Osbench]:
    """A home of its own, with the real cloud as its deployment."""
    made = Osbench(tmp_path / "home")
    made.home.mkdir()
    admin = {"username": "admin", "password": real_cloud.admin.password, "project_name": "admin"}
    spec = tmp_path / "real.json"
    spec.write_text(json.dumps({"type": "existing", "auth_url": real_cloud.admin.auth_url, "admin": admin}))

    assert made.finish(made.start("deployment", "create", "real", "--file", str(spec))) == 0, made.output()
    yield made
    made.end_all()
