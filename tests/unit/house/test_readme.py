"""What the README shows works: its task file is valid, its commands exist with the options shown."""

import re
import shlex
from pathlib import Path

import click
import pytest

from osbench.coordinator.cli.main import cli
from osbench.coordinator.known import known_catalog
from osbench.coordinator.task_file.reader import load_task
from osbench.coordinator.task_file.template import Source

README = Path(__file__).parents[3] / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (osbench [^#\n]+)", TEXT, re.MULTILINE)
(TASK_FILE,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_task_file_is_valid_and_uses_the_argument_that_the_command_gives() -> None:
    source = Source(label="boot-and-delete.yaml", text=TASK_FILE, folder=README.parent)
    loaded = load_task(source, {"flavor_name": "m1.small"}, known_catalog())

    assert loaded.notes == ()
    assert loaded.spec.workloads[0].arguments["flavor"] == {"name": "m1.small"}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_shown_can_be_parsed(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]

    command.make_context("osbench", words)
