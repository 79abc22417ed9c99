"""`db upgrade`: what it says, and what it refuses."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from osbench.coordinator.daemon.main import cli
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.migrate import upgrade
from osbench.coordinator.store.schema import SCHEMA_VERSION


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OSBENCH_")]:
        monkeypatch.delenv(name)


def test_the_database_of_the_home_is_upgraded_once(tmp_path: Path) -> None:
    command = ["--home", str(tmp_path), "db", "upgrade"]
    first = CliRunner().invoke(cli, command)
    second = CliRunner().invoke(cli, command)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"osbench.db upgraded from schema 0000 to {SCHEMA_VERSION}." in first.output
    assert f"osbench.db has schema {SCHEMA_VERSION} already." in second.output


def test_an_older_database_that_is_named_is_upgraded(tmp_path: Path) -> None:
    older = Database(tmp_path / "x.db")
    upgrade(older, "0001")
    older.close()
    done = CliRunner().invoke(cli, ["db", "upgrade", "--database", str(tmp_path / "x.db")])

    assert f"upgraded from schema 0001 to {SCHEMA_VERSION}" in done.output


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/d", "mariadb://u@h/d?password=hunter2"])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(url: str) -> None:
    done = CliRunner().invoke(cli, ["db", "upgrade", "--database", url])

    assert done.exit_code != 0
    assert "set OSBENCH_DATABASE" in done.output
    assert "hunter2" not in done.output


def test_a_server_that_is_not_there_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OSBENCH_DATABASE", f"postgresql://u:hunter2@/d?host={tmp_path}")
    done = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "db", "upgrade"])

    assert done.exit_code != 0
    assert "postgresql+psycopg://u:***@/d" in done.output
    assert "hunter2" not in done.output
