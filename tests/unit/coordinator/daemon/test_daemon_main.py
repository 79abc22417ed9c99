"""`osbench-coordinator`: what an operator sees where no coordinator runs, or his settings are wrong."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from osbench.coordinator.daemon.main import cli
from osbench.coordinator.daemon.status_text import status_lines
from osbench.coordinator.desk import CoordinatorStatus, ProcessLine


def typed(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *words])


def test_status_says_that_none_runs_and_exits_with_1(tmp_path: Path) -> None:
    shown = typed(tmp_path, "status")

    assert shown.exit_code == 1
    assert "No coordinator runs" in shown.output
    as_json = typed(tmp_path, "status", "--json")
    assert json.loads(as_json.output) == {"running": False, "home": str(tmp_path)}


def test_stop_says_that_there_is_none_to_stop(tmp_path: Path) -> None:
    shown = typed(tmp_path, "stop")

    assert shown.exit_code == 1
    assert shown.output == f"Error: no coordinator runs on {tmp_path}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("start", "--lease-s", "0"), "the command line: lease_s 0 must be 2 to 3600"),
        (("start", "--config", "/nowhere.yaml"), "/nowhere.yaml: no such file"),
        (("start", "--log-file", "/nowhere/log"), "/nowhere/log: No such file or directory"),
        (("start", "--log-level", "loud"), "'loud' is not one of"),
        (("begin",), "No such command 'begin'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_1(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    shown = typed(tmp_path, *words)

    assert shown.exit_code == 1
    assert said in shown.output
    assert "Traceback" not in shown.output


def test_every_command_shows_an_example(tmp_path: Path) -> None:
    for name in cli.commands:
        shown = typed(tmp_path, name, "--help")

        assert shown.exit_code == 0
        assert "Example" in shown.output, name


def test_the_status_reads_like_a_status() -> None:
    status = CoordinatorStatus(
        version="1.0",
        up_since_ns=0,
        agents={"connected": 2, "lost": 1},
        task="t",
        queued=3,
        processes=(ProcessLine(name="ingest", pid=7, cpu_permille=123, memory_bytes=2**20),),
        store_url="/home/osbench.db",
        trouble=("the disk is full",),
    )

    assert status_lines(status, 5, "/home", 93_784 * 10**9) == [
        "Coordinator 1.0 of /home runs as process 5, up for 1 d 2 h 3 min 4 s",
        "Agents: 2 connected, 1 lost",
        "Task under way: t; waiting: 3",
        "Store: /home/osbench.db",
        "Process ingest (7): 12.3 % of a core, 1 MiB",
        "Trouble: the disk is full",
    ]
