"""The report in a terminal: golden texts, and what must never reach a terminal."""

from pathlib import Path

import msgspec
import pytest

from osbench.coordinator.accounting import Accounting
from osbench.coordinator.report.text import task_text
from osbench.coordinator.result import ErrorLine, TaskResult

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("name", "width"), [("whole.txt", None), ("width-100.txt", 100)])
def test_the_text_is_the_golden_one(sample: TaskResult, name: str, width: int | None) -> None:
    expected = (GOLDEN / name).read_text(encoding="utf-8")

    assert task_text(sample, width=width) == expected


def test_no_line_is_wider_than_the_terminal(sample: TaskResult) -> None:
    lines = task_text(sample, width=80).splitlines()

    assert [line for line in lines if len(line) > 80] == []


def test_rallys_columns_are_all_there_where_there_is_room(sample: TaskResult) -> None:
    """Scripts of Rally's users look for these titles."""
    header = next(line for line in task_text(sample).splitlines() if line.startswith("| Action"))

    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "Action",
        "Min (sec)",
        "Median (sec)",
        "90%ile (sec)",
        "95%ile (sec)",
        "99%ile (sec)",
        "99.9%ile (sec)",
        "Max (sec)",
        "Avg (sec)",
        "Success",
        "Count",
    ]


def test_escape_sequences_of_a_cloud_do_not_reach_the_terminal(sample: TaskResult) -> None:
    error = ErrorLine(
        source="call",
        kind="HTTP 500",
        message="\x1b[2J\x1b]0;owned\x07 gone\r\nnext \u202eline",
        count=1,
        first_second=0,
        last_second=0,
        iteration=0,
    )
    run = msgspec.structs.replace(sample.runs[0], errors=(error,))
    text = task_text(msgspec.structs.replace(sample, runs=(run,)))

    assert not any(char < " " and char != "\n" for char in text)
    assert "\u202e" not in text
    assert "gone next" in text


def test_colour_is_there_only_when_asked_for(sample: TaskResult) -> None:
    assert "\x1b" not in task_text(sample)
    assert "\x1b[31mINVALID" in task_text(sample, colour=True)


def test_a_task_without_runs_has_a_text(sample: TaskResult) -> None:
    empty = msgspec.structs.replace(sample, runs=(), failure="flavor 'm9' is not there", status="validation_failed")

    assert "flavor 'm9' is not there" in task_text(empty)


def test_a_run_without_load_has_no_empty_tables(sample: TaskResult) -> None:
    """After a failed set-up, a table without rows and a verdict on nothing hide the one line that matters."""
    run = sample.runs[0]
    nothing = Accounting(planned=None, ok=0, failed=0, unknown=0, dropped=0)
    run = msgspec.structs.replace(run, phase="init", is_final=False, start_wall_ns=None, accounting=nothing)
    text = task_text(msgspec.structs.replace(sample, runs=(run,), failure="the cloud has no image 'x'"))

    assert "the cloud has no image 'x'" in text
    assert "No load was put on the cloud" in text
    assert [word for word in ("+--", "VALID", "SLA") if word in text] == []
