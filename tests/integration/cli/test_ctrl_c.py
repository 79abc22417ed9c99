"""The command line as a process of its own, with real agents: Ctrl-C, and an abort from another shell."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: The command line with an engine that puts nothing anywhere; all the rest is real.
PROGRAM = """
from osbench.coordinator.cli.main import cli
from osbench.coordinator.cli.rehearsal import RehearsedEngine
from osbench.coordinator.cli.workshop import Parts, Workshop
cli.main(obj=Workshop(parts=Parts(engines=lambda: {"nowhere": RehearsedEngine()})))
"""
#: Ends by itself after 40 s; two workloads, of which a drained or stopped task runs only the first.
TASK = """
version: 2
title: Long
subtasks:
  - {title: a, scenario: {Dummy.dummy: {sleep: 1}}, runner: {constant: {times: 100, concurrency: 5}}}
  - {title: b, scenario: {Dummy.dummy: {sleep: 1}}, runner: {constant: {times: 100, concurrency: 5}}}
"""
WAIT_S = 60

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "OSBENCH_HOME": str(tmp_path / "home")}


@pytest.fixture
def osbench(environment: dict[str, str]) -> Callable[..., str]:
    """Runs a command to its end and gives what it printed."""

    def run(*words: str) -> str:
        command = [sys.executable, "-c", PROGRAM, *words]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=WAIT_S
        ).stdout

    run("deployment", "create", "d1", "--engine", "nowhere")
    return run


@pytest.fixture
def started(
    osbench: Callable[..., str], environment: dict[str, str], tmp_path: Path
) -> Iterator["subprocess.Popen[str]"]:
    """A task whose load is under way."""
    path = tmp_path / "task.yaml"
    path.write_text(TASK)
    command = [sys.executable, "-c", PROGRAM, "task", "start", str(path), "--workers", "1"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "running" in line:
            break
    yield process
    process.kill()
    process.communicate(timeout=WAIT_S)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code of a process, and what it said on standard error since the load began."""
    _, said = process.communicate(timeout=WAIT_S)
    return process.returncode, said


def runs_of(osbench: Callable[..., str]) -> list[dict[str, object]]:
    runs: list[dict[str, object]] = json.loads(osbench("task", "results"))["task"]["runs"]
    return runs


def test_ctrl_c_once_lets_what_is_in_flight_end(osbench: Callable[..., str], started: "subprocess.Popen[str]") -> None:
    started.send_signal(signal.SIGINT)
    code, said = ended(started)
    (run,) = runs_of(osbench)

    assert code == 4, said
    assert "Draining: " in said
    assert "Stopping: " not in said
    assert run["errors"] == []


def test_ctrl_c_twice_ends_what_is_in_flight(osbench: Callable[..., str], started: "subprocess.Popen[str]") -> None:
    started.send_signal(signal.SIGINT)
    assert started.stderr is not None
    assert any("Draining: " in line for line in started.stderr)
    started.send_signal(signal.SIGINT)
    code, said = ended(started)
    (run,) = runs_of(osbench)

    assert code == 4, said
    assert "Stopping: " in said
    assert run["phase"] != "running"


def test_an_abort_from_another_shell_ends_the_task_and_whoever_watches_sees_it(
    osbench: Callable[..., str], started: "subprocess.Popen[str]", environment: dict[str, str]
) -> None:
    command = [sys.executable, "-c", PROGRAM, "task", "watch"]
    watching = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stderr is not None
    assert any("running" in line for line in watching.stderr)
    assert "asked to end" in osbench("task", "abort")
    code, said = ended(started)
    watched, seen = ended(watching)

    assert code == 4, said
    assert watched == 4, seen
    assert osbench("task", "status").splitlines()[0].endswith(": aborted")
    assert len(runs_of(osbench)) == 1
