"""--task-args and --task-args-file."""

import pytest

from osbench.common.error import InputError
from osbench.coordinator.task_file.arguments import parse_task_arguments

FORMS = [
    ("", {}),
    ('{"a": 1, "b": "x"}', {"a": 1, "b": "x"}),
    ("{a: 1, b: x}", {"a": 1, "b": "x"}),
    ("a: 1\nb: [1, 2]", {"a": 1, "b": [1, 2]}),
    ("a=1", {"a": 1}),
    ("a=1,b=x", {"a": 1, "b": "x"}),
    ("a = 1 , b = x y", {"a": 1, "b": "x y"}),
    ("image=^cirros.*-disk$,n=", {"image": "^cirros.*-disk$", "n": None}),
    ("list=[1,2],url=http://x/?a=b", {"list": [1, 2], "url": "http://x/?a=b"}),
    ("t=12:30: x", {"t": "12:30: x"}),
]


@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_arguments_are_read_in_each_form_rally_takes(text: str, expected: dict[str, object]) -> None:
    assert parse_task_arguments(text, "--task-args") == expected


WRONG = [
    ("hello", "--task-args:1:1: found the text 'hello'; allowed: a YAML or JSON mapping, or name=value,name=value"),
    ("[1]", "--task-args:1:1: found a list; allowed: a YAML or JSON mapping, or name=value,name=value"),
    ("{a: 1", "--task-args:1:6: not YAML: expected ',' or '}', but got '<stream end>' (while parsing a flow mapping"
     " that begins in line 1 of the text); allowed: a YAML or JSON mapping, or name=value,name=value"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_what_is_no_mapping_is_refused_in_one_line(text: str, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_task_arguments(text, "--task-args")

    assert str(refused.value) == expected
