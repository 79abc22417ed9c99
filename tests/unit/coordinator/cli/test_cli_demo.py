"""osbench demo."""

import json
from pathlib import Path

from osbench.coordinator.cli.rehearsal import RehearsedRunner, Shell
from osbench.coordinator.progress import TaskOutcome


def status_of_demo(shell: Shell) -> str:
    (row,) = json.loads(shell("deployment", "list", "--json").output)
    return str(row["status"])


def test_the_demo_runs_twice_writes_a_report_each_time_and_leaves_no_cloud(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "demo.html"
    for _ in range(2):
        result = shell("demo", "--out", str(out), "--times", "5")

        assert result.exit_code == 0, result.output
        assert "OSBench demo" in out.read_text()
        assert status_of_demo(shell) == "cleanup->finished"
        out.unlink()
    assert [asked["agents"] for asked in shell.runner.asked] == [2, 2]


def test_the_cloud_of_the_demo_can_be_kept(shell: Shell, tmp_path: Path) -> None:
    out = str(tmp_path / "demo.html")

    assert shell("demo", "--out", out, "--keep").exit_code == 0
    assert status_of_demo(shell) == "deploy->finished"
    assert shell("demo", "--out", out).exit_code == 0


def test_a_demo_that_fails_takes_its_cloud_down_too(shell: Shell, tmp_path: Path) -> None:
    def fail(_task: str) -> TaskOutcome:
        raise ZeroDivisionError

    shell.runner = RehearsedRunner(answer=fail)

    assert shell("demo", "--out", str(tmp_path / "demo.html")).exit_code == 1
    assert status_of_demo(shell) == "cleanup->finished"
