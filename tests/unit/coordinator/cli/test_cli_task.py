"""osbench task: from a file to its exit code."""

import json
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from osbench.common.clock import SystemClock
from osbench.coordinator.cli.rehearsal import RehearsedRunner, Shell
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.progress import TaskOutcome
from osbench.coordinator.sla import Judgement, SlaResult
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.verdict import Completeness, Validity, Verdict


def verdict(*, is_valid: bool = True, sla: Judgement = Judgement.PASS, lost: int = 0, is_open: bool = False) -> Verdict:
    return Verdict(
        complete=Completeness(planned=10, stored=10 - lost, lost=lost, not_run=0),
        generator=Validity.VALID if is_valid else Validity.INVALID,
        is_open_loop=is_open,
        sla=(SlaResult(criterion="failure_rate", judgement=sla, detail="d"),),
    )


FAIL, UNKNOWN = Judgement.FAIL, Judgement.UNKNOWN
NOT_RUN = Completeness(planned=10, stored=4, lost=0, not_run=6)

#: What came of the task, further options, exit code.
CODES = [
    ({"verdicts": (verdict(),)}, (), 0),
    ({"verdicts": (verdict(sla=FAIL),)}, (), 2),
    ({"verdicts": (verdict(sla=UNKNOWN),)}, (), 3),
    ({"verdicts": (verdict(lost=1),)}, (), 3),
    ({"verdicts": (verdict(lost=1, sla=FAIL),)}, (), 3),
    ({"verdicts": (verdict(is_valid=False),)}, (), 0),
    ({"verdicts": (verdict(is_valid=False),)}, ("--require-valid",), 3),
    ({"verdicts": (verdict(is_valid=False, is_open=True),)}, (), 3),
    ({"verdicts": (msgspec.structs.replace(verdict(sla=FAIL), complete=NOT_RUN),)}, (), 3),
    ({"verdicts": (msgspec.structs.replace(verdict(sla=FAIL), complete=NOT_RUN),), "is_sla_abort": True}, (), 2),
    ({"verdicts": (verdict(sla=FAIL),), "failure": "clean-up left something"}, (), 1),
    ({"verdicts": (verdict(sla=FAIL),), "failure": "x", "is_aborted": True}, (), 4),
]


@pytest.mark.parametrize(("outcome", "options", "code"), CODES)
def test_what_came_of_a_task_is_the_exit_code(
    ready: Shell, task_file: str, outcome: dict[str, object], options: tuple[str, ...], code: int
) -> None:
    ready.runner = RehearsedRunner(answer=lambda task: TaskOutcome(task=task, **outcome))  # type: ignore[arg-type]

    assert ready("task", "start", task_file, *options).exit_code == code


def test_status_counts_what_is_left_on_the_cloud(ready: Shell, task_file: str) -> None:
    """The message of a clean-up that failed says to look there."""
    ready("task", "start", task_file)
    [task] = json.loads(ready("task", "list", "--json").output)
    home = open_home(str(ready.home), {})
    with closing(open_store(home.database, clock=SystemClock(), key_file=home.key_file)) as store:
        for name in ("a", "b"):
            store.resource_create(kind="user", name=name, task=task["uuid"])

    shown = ready("task", "status").output
    assert f"Left on the cloud, as far as is recorded: 2 users; `osbench task resume {task['uuid']}`" in shown
    assert json.loads(ready("task", "status", "--json").output)["resources"] == {"user": 2}


def test_a_wrong_file_is_told_line_by_line_and_makes_no_task(ready: Shell, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("Dummy.failure:\n- args: {slep: 1}\n- runner: {type: constnt}\n")
    result = ready("task", "start", str(path))

    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{path}:2:10: ")
    assert lines[1].startswith(f"{path}:3:18: unknown runner 'constnt'; allowed: constant, ")
    assert json.loads(ready("task", "list", "--json").output) == []


def test_a_task_needs_a_deployment_and_says_how_to_make_one(shell: Shell, task_file: str) -> None:
    result = shell("task", "start", task_file)

    assert result.exit_code == 1
    assert "osbench deployment create NAME" in result.stderr


def test_options_reach_the_run(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file, "--agents", "2", "--workers", "1", "--abort-on-sla-failure")

    assert ready.runner.asked == [{"agents": 2, "workers": 1, "abort_on_sla_failure": True}]


def test_the_last_task_is_the_default_unless_it_is_not_to_be_used(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file, "--tag", "first")
    ready("task", "start", task_file, "--tag", "second", "--no-use")
    first, second = (row["uuid"] for row in json.loads(ready("task", "list", "--json").output))

    assert ready("task", "status").output == f"Task {first}: finished\n"
    assert ready("task", "use", second).exit_code == 0
    assert ready("task", "status").output == f"Task {second}: finished\n"


def test_tasks_are_listed_by_tag_status_and_deployment(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file, "--tag", "nightly", "--tag", "x")
    ready("task", "start", task_file)
    (row,) = json.loads(ready("task", "list", "--tag", "nightly", "--json").output)

    assert (row["title"], row["deployment"], row["status"], row["tags"]) == ("A task", "d1", "finished", "nightly, x")
    assert len(ready("task", "list", "--uuids-only", "--deployment", "d1").output.split()) == 2
    assert ready("task", "list", "--status", "crashed", "--uuids-only").output == ""
    assert "did you mean 'finished'?" in ready("task", "list", "--status", "finishd").stderr


def test_template_arguments_of_the_command_line_override_those_of_the_file(
    shell: Shell, task_file: str, tmp_path: Path
) -> None:
    arguments = tmp_path / "args.yaml"
    arguments.write_text("sleep: 2\n")

    def shown(*options: str) -> str:
        return str(shell("task", "validate", task_file, "--show", *options).output)

    assert "{sleep: 1}" in shown()
    assert "{sleep: 2}" in shown("--task-args-file", str(arguments))
    assert "{sleep: 3}" in shown("--task-args-file", str(arguments), "--task-args", "sleep=3")


def test_an_argument_that_is_not_used_is_noted_on_standard_error(shell: Shell, task_file: str) -> None:
    result = shell("task", "validate", task_file, "--task-args", "slep=3")

    assert result.exit_code == 0
    assert result.stderr == f"Note: {task_file} does not use the task argument 'slep'; did you mean 'sleep'?\n"
    assert result.stdout == "Input task is valid: 1 workload.\n"


def test_a_task_can_come_from_standard_input(shell: Shell) -> None:
    result = shell("task", "validate", "-", stdin="Dummy.dummy: [{args: {sleep: -1}}]")

    assert result.exit_code == 1
    assert result.stderr.startswith("stdin:1:23: ")


@pytest.mark.parametrize("words", [("task", "validate", "/no/such"), ("task", "validate", "/")])
def test_a_file_that_is_not_there_is_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    result = shell(*words)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_results_are_told_as_text_json_and_html(ready: Shell, task_file: str, tmp_path: Path) -> None:
    ready("task", "start", task_file)
    out = tmp_path / "report.html"

    assert "A task" in ready("task", "detailed").output
    assert json.loads(ready("task", "detailed", "--json").output)["task"]["title"] == "A task"
    assert json.loads(ready("task", "results").output)["schema"] == "osbench.result"
    assert ready("task", "report", "--out", str(out)).exit_code == 0
    assert "A task" in out.read_text()
    assert ready("task", "report", "--out", str(tmp_path)).exit_code == 1


def test_a_deleted_task_is_gone_and_no_default_any_more(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file)

    assert ready("task", "delete").exit_code == 0
    assert "no task is in use" in ready("task", "status").stderr
    assert json.loads(ready("task", "list", "--json").output) == []


def test_a_task_that_has_ended_is_not_aborted_nor_resumed(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file)

    assert "is finished: there is nothing to abort" in ready("task", "abort").stderr
    assert "is finished; only one that was under way can be resumed" in ready("task", "resume").stderr


def test_a_crashed_task_is_resumed(ready: Shell, task_file: str) -> None:
    ready.runner = RehearsedRunner(answer=lambda task: TaskOutcome(task=task, failure="the coordinator ended"))

    assert ready("task", "start", task_file).exit_code == 1
    ready.runner = RehearsedRunner()
    assert ready("task", "resume").exit_code == 0
    assert list(ready.runner.asked[0]) == ["resumed"]


def test_a_task_that_another_process_runs_is_left_alone(ready: Shell, task_file: str) -> None:
    """Two that run the same task would each count what the other did."""
    ready("task", "start", task_file)
    (row,) = json.loads(ready("task", "list", "--json").output)
    home = Home(path=ready.home, database="")
    with home.task_lock(row["uuid"]):
        assert "is under way" in ready("task", "delete").stderr
        assert "is run by another process" in ready("task", "resume").stderr


def test_a_task_that_came_to_nothing_shows_why_and_no_empty_tables(ready: Shell, task_file: str) -> None:
    ready.runner = RehearsedRunner(answer=lambda task: TaskOutcome(task=task, failure="no cloud answers"))
    result = ready("-q", "task", "start", task_file)

    assert (result.stdout, result.stderr) == ("", "Error: no cloud answers\n")


def test_a_task_that_broke_is_crashed_and_says_why(ready: Shell, task_file: str) -> None:
    def fail(_task: str) -> TaskOutcome:
        raise ZeroDivisionError("over there")

    ready.runner = RehearsedRunner(answer=fail)
    ready("task", "start", task_file)
    first, second = ready("task", "status").output.splitlines()

    assert first.endswith(": crashed")
    assert second == "Failure: ZeroDivisionError: over there"


def test_a_quiet_start_says_nothing_but_the_result(ready: Shell, task_file: str) -> None:
    assert ready("-q", "task", "start", task_file).stderr == ""


def test_a_task_that_must_stay_does_not_keep_the_others(ready: Shell, task_file: str) -> None:
    ready("task", "start", task_file)
    [task] = json.loads(ready("task", "list", "--json").output)
    result = ready("task", "delete", "no-such-task", task["uuid"])

    assert result.exit_code == 1
    assert "'no-such-task'" in result.stderr
    assert json.loads(ready("task", "list", "--json").output) == []
