"""The JSON report: its version, and that nothing is lost on the way there and back."""

import json
from pathlib import Path

import pytest

from osbench.common.error import InputError
from osbench.coordinator.report.json import read_json, task_json
from osbench.coordinator.result import TaskResult

GOLDEN = Path(__file__).parent / "golden"


def test_a_result_survives_json(sample: TaskResult) -> None:
    assert read_json(task_json(sample)) == sample


def test_a_document_of_each_released_version_stays_readable(sample: TaskResult) -> None:
    assert read_json((GOLDEN / "result-1.json").read_bytes()) == sample


def test_the_document_names_its_schema_and_version(sample: TaskResult) -> None:
    document = json.loads(task_json(sample))

    assert (document["schema"], document["schema_version"]) == ("osbench.result", 1)
    assert document["task"]["runs"][0]["verdict"]["generator"] == "INVALID"
    assert document["task"]["runs"][0]["verdict"]["complete"]["lost"] == 3


def test_the_verdict_stands_in_every_run(sample: TaskResult) -> None:
    assert all("verdict" in run for run in json.loads(task_json(sample))["task"]["runs"])


def test_secrets_of_the_workload_are_not_shown(sample: TaskResult) -> None:
    assert b"swordfish" not in task_json(sample)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a result of osbench"),
        (b"[]", "not a result of osbench"),
        (b'{"schema": "rally", "schema_version": 1}', "schema 'rally' is not 'osbench.result'"),
        (b'{"schema": "osbench.result", "schema_version": 2}', "schema version 2 are not known here"),
        (b'{"schema": "osbench.result", "schema_version": 1, "task": {}}', "not a result of osbench"),
    ],
)
def test_what_is_no_result_is_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_json(data)
