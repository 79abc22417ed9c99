"""Where secrets may be: encrypted in the database, in the key beside it, and in the 0600 files that need them. Nowhere
else on the disk, in no command line, in nothing that is printed."""

import gzip
import json
import sqlite3
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from local_osbench import Osbench, wait_for

from osbench.coordinator.home import open_home
from osbench.deploy.simulated.engine import CONFIG, SimulatedEngine

pytestmark = pytest.mark.slow

PASSWORD = "Hy4c1nth-of-the-admin"
TASK = {
    "version": 2,
    "title": "secrets",
    "subtasks": [
        {
            "title": "a",
            "scenario": {
                "NovaServers.boot_and_delete_server": {
                    "flavor": {"name": "m1.tiny"},
                    "image": {"name": "^cirros.*-disk$"},
                }
            },
            "runner": {"constant_for_duration": {"duration": 4, "concurrency": 4}},
            "contexts": {"users": {"tenants": 1, "users_per_tenant": 2}},
        }
    ],
}


@pytest.fixture
def deployed(osbench: Osbench, tmp_path: Path) -> Iterator[Osbench]:
    """A home with a simulated cloud of the engine's own, whose administrator has a password that can be found again."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"type": "simulated", "admin": {"password": PASSWORD}, "lifetime_s": 300}))
    made = osbench.start("deployment", "create", "sim", "--file", str(spec))
    assert osbench.finish(made) == 0, osbench.output()
    spec.unlink()
    yield osbench
    for folder in osbench.home.glob("deployments/*"):
        SimulatedEngine().destroy({}, folder)


def forms(secret: str) -> set[bytes]:
    """A secret as it may stand in a file."""
    return {secret.encode(), secret.encode("utf-16-le")}


def files_with(folder: Path, secrets: set[str]) -> dict[str, set[str]]:
    """Files below a folder that hold a secret in the clear, also where they are compressed as a whole."""
    found: dict[str, set[str]] = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for unpack in (gzip.decompress, zlib.decompress):
            try:
                data += unpack(data)
            except (OSError, zlib.error, EOFError):
                continue
        held = {secret for secret in secrets if any(form in data for form in forms(secret))}
        if held:
            found[str(path.relative_to(folder))] = held
    return found


def command_lines() -> str:
    """Of all processes."""
    said = []
    for process in psutil.process_iter():
        try:
            said.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(said)


def test_secrets_are_where_they_must_be_and_nowhere_else(deployed: Osbench, tmp_path: Path) -> None:
    osbench, home = deployed, open_home(str(deployed.home), {})
    path = tmp_path / "task.json"
    path.write_text(json.dumps(TASK))
    run = osbench.start("-v", "-v", "task", "start", str(path))
    wait_for("records in the store", lambda: osbench.stored_count() > 5)
    store = osbench.store()
    contexts = store.run_contexts(store.run_list(store.task_list()[-1].id)[0].id)
    store.close()
    secrets = {PASSWORD, *(user[what] for user in contexts["users"] for what in ("password", "token"))}
    amid = command_lines()
    amid_files = files_with(osbench.home, secrets)
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in osbench.home.rglob("*")}
    wide = {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077}

    assert osbench.finish(run) == 0, osbench.output()

    for words in (
        "task detailed",
        "task results",
        "task report",
        "deployment show",
        "deployment config",
        "task status",
    ):
        assert osbench.finish(osbench.start("-v", "-v", *words.split())) == 0
    outputs = files_with(tmp_path, secrets)
    outputs = {name: held for name, held in outputs.items() if name.startswith("output-")}
    allowed = {str(home.deployment_folder(deployment_of(osbench)).relative_to(osbench.home) / CONFIG): {PASSWORD}}

    assert len(secrets) == 5
    assert [secret for secret in secrets if secret in amid] == []
    assert wide == {}
    assert amid_files == allowed
    assert files_with(osbench.home, secrets) == allowed
    assert outputs == {}


def deployment_of(osbench: Osbench) -> str:
    with sqlite3.connect(osbench.home / "osbench.db") as database:
        (identity,) = database.execute("SELECT id FROM deployments WHERE name = 'sim'").fetchone()
    database.close()
    return str(identity)
