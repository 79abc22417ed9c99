"""osbench deployment, and osbench scenario."""

import json
from pathlib import Path

import pytest

from osbench.coordinator.cli.rehearsal import Shell


def listed(shell: Shell) -> list[tuple[str, str, bool]]:
    rows = json.loads(shell("deployment", "list", "--json").output)
    return [(row["name"], row["status"], row["active"]) for row in rows]


def test_a_new_deployment_is_the_default_unless_it_is_not_to_be_used(shell: Shell) -> None:
    shell("deployment", "create", "a", "--engine", "nowhere")
    shell("deployment", "create", "b", "--engine", "nowhere", "--no-use")

    assert listed(shell) == [("a", "deploy->finished", True), ("b", "deploy->finished", False)]
    assert shell("deployment", "use", "b").exit_code == 0
    assert [active for _, _, active in listed(shell)] == [False, True]


def test_a_name_is_taken_once(ready: Shell) -> None:
    result = ready("deployment", "create", "d1", "--engine", "nowhere")

    assert result.exit_code == 1
    assert "d1" in result.stderr


SPECS = [
    ("{wrong: 1, type: existing}", "Error: spec: wrong\n", []),
    ("{broken: 1, type: existing}", "Error: nothing could be put there\n", []),
    ("{broken: 1, type: simulated}", "Error: nothing could be put there\n", [("a", "deploy->failed", False)]),
    ("{type: DevStak}",
     "spec.yaml:1:8: type is 'DevStak'; allowed: ExistingCloud, existing, SimulatedCloud, simulated\n", []),
    ("[1]", "spec.yaml:1:1: the spec is a list; allowed: a mapping\n", []),
    ("{a: 1", "spec.yaml:1:6: not YAML: expected ',' or '}', but got '<stream end>' (while parsing a flow mapping"
     " that begins in line 1 of the text)\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "left"), SPECS)
def test_a_deployment_that_does_not_come_about_is_told(
    shell: Shell, tmp_path: Path, text: str, message: str, left: list[tuple[str, str, bool]]
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    result = shell("deployment", "create", "a", "--file", str(path))

    assert result.exit_code == 1
    assert result.stderr.endswith(message)
    assert listed(shell) == left


def test_an_engine_that_is_not_there_is_named_with_the_nearest(shell: Shell) -> None:
    result = shell("deployment", "create", "a", "--engine", "simulatd")

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: no deploy engine is called 'simulatd'; there are existing, nowhere, simulated;"
        " did you mean 'simulated'?\n"
    )


def test_a_cloud_of_the_environment_is_kept_with_its_password_hidden(shell: Shell) -> None:
    shell.environment = {
        "OS_AUTH_URL": "http://127.0.0.1:1",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": "correct horse",
        "OS_PROJECT_NAME": "admin",
    }

    assert shell("deployment", "create", "a", "--from-env").exit_code == 0
    config = shell("deployment", "config").output
    assert json.loads(config)["spec"]["cloud"]["admin"]["password"] == "***"
    everything = b"".join(path.read_bytes() for path in shell.home.rglob("*") if path.is_file())
    assert b"correct horse" not in everything


def test_what_is_shown_has_no_secret(ready: Shell) -> None:
    shown = ready("deployment", "show").output

    assert "http://127.0.0.1:1/v3" in shown
    assert "hush" not in shown


def test_a_destroyed_deployment_is_gone_and_no_default_any_more(ready: Shell) -> None:
    assert ready("deployment", "destroy", "d1").exit_code == 0
    assert listed(ready) == []
    assert "no deployment is in use" in ready("deployment", "show").stderr


def test_a_deployment_with_tasks_is_not_destroyed(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file)
    result = ready("deployment", "destroy", "d1")

    assert result.exit_code == 1
    assert "still has 1 task; delete them first: osbench task delete $(osbench task list" in result.stderr
    assert listed(ready) == [("d1", "deploy->finished", True)]


def test_what_cannot_be_removed_is_kept_and_can_be_destroyed_later(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("stays: 1")
    shell("deployment", "create", "a", "--engine", "nowhere", "--file", str(path))

    assert shell("deployment", "destroy", "a").stderr == "Error: it does not go away\n"
    assert listed(shell) == [("a", "cleanup->failed", True)]


@pytest.mark.parametrize("name", ["", "a/b", ".a", "a b", "x" * 129])
def test_a_name_that_is_no_name_is_refused(shell: Shell, name: str) -> None:
    assert shell("deployment", "create", name, "--engine", "nowhere").exit_code == 1
    assert listed(shell) == []


def test_scenarios_are_listed_and_shown(shell: Shell) -> None:
    names = [row["name"] for row in json.loads(shell("scenario", "list", "--json", "--match", "dummy").output)]
    shown = json.loads(shell("scenario", "show", "Dummy.dummy@openstack", "--json").output)

    assert "Dummy.dummy" in names
    assert all(name.startswith("Dummy.") for name in names)
    assert shown["parameters"][0] == {
        "name": "sleep",
        "type": "float, 0 or more",
        "default": "0",
        "description": "seconds.",
    }
    assert "Parameters" in shell("scenario", "show", "Dummy.dummy").output


def test_an_unknown_scenario_is_told_with_the_nearest(shell: Shell) -> None:
    result = shell("scenario", "show", "Dummy.dumy")

    assert result.exit_code == 1
    assert "did you mean 'Dummy.dummy'?" in result.stderr
