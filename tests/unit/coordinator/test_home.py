"""Where things are kept: modes, defaults, locks."""

import os
import stat
from pathlib import Path

import pytest

from osbench.common.error import InputError, NotFoundError, OsbenchError
from osbench.coordinator.home import Choices, Home, chosen_deployment, chosen_task, open_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(None, {"OSBENCH_HOME": str(tmp_path / "deep" / "home")})


def test_the_command_line_comes_before_the_environment_and_that_before_xdg(tmp_path: Path) -> None:
    def path_of(option: str | None, **environment: str) -> Path:
        return open_home(option, environment).path

    assert path_of(str(tmp_path / "a"), OSBENCH_HOME=str(tmp_path / "b")) == tmp_path / "a"
    assert path_of(None, OSBENCH_HOME=str(tmp_path / "b")) == tmp_path / "b"


def test_the_database_is_in_the_home_unless_the_environment_names_another(tmp_path: Path) -> None:
    path = str(tmp_path / "h")

    assert open_home(path, {}).database == f"{path}/osbench.db"
    assert open_home(path, {"OSBENCH_DATABASE": "postgresql://x/y"}).database == "postgresql://x/y"


def test_nobody_else_can_read_what_is_kept(home: Home) -> None:
    home.choose(task="t")
    folders = [home.path, home.deployment_folder("d"), home.agent_folder("a"), home.traces_folder]
    with home.task_lock("t"):
        lock = home.path / "locks" / "t"

        assert {stat.S_IMODE(os.stat(folder).st_mode) for folder in folders} == {0o700}
        assert {stat.S_IMODE(os.stat(file).st_mode) for file in (home.state_file, lock)} == {0o600}


def test_choices_are_kept_apart(home: Home) -> None:
    home.choose(deployment="d")
    home.choose(task="t")

    assert home.choices() == Choices(deployment="d", task="t")
    home.choose(task="")
    assert home.choices() == Choices(deployment="d")
    assert [path.name for path in home.path.iterdir()] == ["state.json"]


def test_a_broken_state_file_is_told_and_not_overwritten(home: Home) -> None:
    home.state_file.write_text("{")
    with pytest.raises(OsbenchError, match="delete the file to begin without defaults"):
        home.choose(task="t")

    assert home.state_file.read_text() == "{"


def test_what_is_named_comes_before_what_was_last_chosen(home: Home) -> None:
    with pytest.raises(InputError, match="osbench deployment create"):
        chosen_deployment(home, None)
    with pytest.raises(NotFoundError, match="osbench task start"):
        chosen_task(home, None)
    home.choose(deployment="d", task="t")

    assert (chosen_deployment(home, None), chosen_deployment(home, "x")) == ("d", "x")
    assert (chosen_task(home, None), chosen_task(home, "x")) == ("t", "x")


def test_one_process_at_a_time_runs_a_task(home: Home) -> None:
    assert not home.is_task_run("t")
    with home.task_lock("t"):
        assert home.is_task_run("t")
        assert not home.is_task_run("other")
        with pytest.raises(InputError, match="run by another process"), home.task_lock("t"):
            raise AssertionError("two locks on one task")
        assert home.is_task_run("t")
    assert not home.is_task_run("t")


def test_every_folder_on_the_way_is_for_its_owner_only(home: Home) -> None:
    """`mkdir(parents=True)` gives its mode to the last folder alone."""
    folders = (home.agent_folder("a"), home.deployment_folder("d"), home.traces_folder)

    made = {path for folder in folders for path in (folder, folder.parent)}
    assert {path: path.stat().st_mode & 0o777 for path in made} == dict.fromkeys(made, 0o700)
