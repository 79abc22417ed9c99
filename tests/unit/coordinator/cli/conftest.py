"""The command line in a home of the test's own."""

import shutil
from pathlib import Path

import pytest

from osbench.coordinator.cli.rehearsal import RehearsedRunner, Shell

TASK = "version: 2\ntitle: A task\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {sleep: {{ sleep or 1 }}}}}\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell with an empty home."""
    return Shell(home=tmp_path / "home", runner=RehearsedRunner())


@pytest.fixture
def task_file(tmp_path: Path) -> str:
    """A right task file."""
    path = tmp_path / "task.yaml"
    path.write_text(TASK)
    return str(path)


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a deployment in use, made once: making a database anew takes a tenth of a second."""
    shell = Shell(home=tmp_path_factory.mktemp("prepared") / "home", runner=RehearsedRunner())

    assert shell("deployment", "create", "d1", "--engine", "nowhere").exit_code == 0
    return shell.home


@pytest.fixture
def ready(shell: Shell, prepared_home: Path) -> Shell:
    """A shell with a deployment in use."""
    shutil.copytree(prepared_home, shell.home)
    return shell
