"""The group of all commands: help, versions, errors and their exit codes."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from osbench.common.error import IncompleteError
from osbench.coordinator.cli.main import ForPeople, cli
from osbench.coordinator.cli.rehearsal import RehearsedRunner, Shell


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words that lead there."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("words", [(), *commands(cli)], ids=" ".join)
def test_every_command_has_help(shell: Shell, words: tuple[str, ...]) -> None:
    result = shell(*words, "--help")

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    assert not shell.home.exists()


@pytest.mark.parametrize("words", list(commands(cli)), ids=" ".join)
def test_every_command_says_in_one_line_what_it_does(words: tuple[str, ...]) -> None:
    command: Any = cli
    for word in words:
        command = command.commands[word]

    assert command.help
    assert command.help.split("\n")[0].endswith(".")


WRONG = [
    (("tsk",), "No such command 'tsk'. Did you mean 'task'?"),
    (("task", "start"), "Missing argument 'FILE'."),
    (("task", "start", "x", "--agents", "0"), "Invalid value for '--agents': 0 is not in the range 1<=x<=1024."),
    (("task", "start", "x", "--agents", "65"), "--agents 65 is above the 64 that may be started here"),
    (("task", "start", "x", "--label", "rack-1"), "--label needs a coordinator: `osbench-coordinator start`"),
    (("task", "start", "x", "--min-agents", "2"), "--min-agents needs a coordinator"),
    (("task", "start", "x", "--detach"), "--detach needs a coordinator"),
    (("task", "strt"), "No such command 'strt'."),
    (("--bogus",), "No such option"),
    (("deployment", "create", "a"), "say where the cloud is"),
    (("deployment", "create", "a", "--from-env", "--cloud", "b"), "--cloud and --from-env exclude each other"),
    (
        ("deployment", "create", "a", "--engine", "nowhere", "--cloud", "b"),
        "--engine nowhere takes its spec from --file",
    ),
    (("task", "report", "--open"), "--open needs --out FILE"),
]


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_a_wrong_command_line_ends_with_1_and_not_with_clicks_2(
    shell: Shell, words: tuple[str, ...], message: str
) -> None:
    """2 would say that an SLA failed."""
    result = shell(*words)

    assert result.exit_code == 1
    assert message in result.stderr


def test_our_errors_are_a_message_with_their_exit_code(ready: Shell, task_file: str) -> None:
    def refuse(_task: str) -> Any:
        raise IncompleteError("records are missing")

    ready.runner = RehearsedRunner(answer=refuse)
    result = ready("task", "start", task_file)

    assert result.exit_code == 3
    assert result.stderr.endswith("Error: records are missing\n")


def test_an_unexpected_error_is_one_line_and_a_private_file_with_its_trace(ready: Shell, task_file: str) -> None:
    def fail(_task: str) -> Any:
        raise ZeroDivisionError("over\nthere")

    ready.runner = RehearsedRunner(answer=fail)
    result = ready("-q", "task", "start", task_file)
    (said,) = result.stderr.splitlines()
    begin, trace = said.split("the trace is in ")

    assert result.exit_code == 1
    assert begin == "Error: unexpected ZeroDivisionError: over there; "
    assert "in fail" in Path(trace).read_text()
    assert stat.S_IMODE(os.stat(trace).st_mode) == 0o600


def test_the_version_is_told(shell: Shell) -> None:
    assert shell("--version").output.startswith("osbench ")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell: Shell, name: str) -> None:
    result = shell("completion", name)

    assert result.exit_code == 0
    assert "_OSBENCH_COMPLETE" in result.output


def test_a_home_that_cannot_be_made_is_one_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = shell("--home", str(tmp_path / "file" / "home"), "task", "list")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: home {tmp_path}/file/home: ")
    assert result.stderr.endswith("; choose another with --home or OSBENCH_HOME\n")


@pytest.mark.parametrize("path", [path for path in commands(cli) if len(path) == 2], ids=" ".join)
def test_help_shows_an_example_of_the_command(shell: Shell, path: tuple[str, ...]) -> None:
    result = shell(*path, "--help")

    assert result.exit_code == 0
    assert f"  osbench {' '.join(path)}" in result.output.partition("Example")[2]


def test_a_warning_reads_like_every_other_message() -> None:
    record = logging.LogRecord("osbench.deploy", logging.WARNING, "f", 1, "the cloud has no %s", ("image",), None)

    assert ForPeople().format(record) == "Warning: the cloud has no image"
