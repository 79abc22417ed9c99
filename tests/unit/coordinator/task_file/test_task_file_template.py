"""Templates: Rally's idioms, variables without a value, and positions through the expansion."""

from collections.abc import Callable
from pathlib import Path

import pytest

from osbench.common.error import InputError
from osbench.coordinator.task_file.problem import Problems
from osbench.coordinator.task_file.reader import LoadedTask, source_of
from osbench.coordinator.task_file.template import Source, map_lines, render

Read = Callable[..., LoadedTask]
Complaints = Callable[..., list[str]]


def rendered(text: str, folder: Path = Path("/nonexistent"), **arguments: object) -> str:
    problems = Problems()
    result = render(Source(label="t", text=text, folder=folder), arguments, problems)

    assert problems.found == []
    assert result is not None
    return result.text


DEFAULTS = [
    ('{% set x = x or "d" %}{{ x }}', "d", "g"),
    ('{{ x | default("d") }}', "d", "g"),
    ('{{ x | d("d") }}', "d", "g"),
    ('{{ x or "d" }}', "d", "g"),
    ("{% if x is defined %}{{ x }}{% else %}d{% endif %}", "d", "g"),
    ("{%- set x = x or 'd' -%} {{ x }}", "d", "g"),
]


@pytest.mark.parametrize(("text", "without", "given"), DEFAULTS)
def test_a_default_in_the_file_stands_in_for_a_missing_variable(text: str, without: str, given: str) -> None:
    assert rendered(text) == without
    assert rendered(text, x="g") == given


def test_rally_globals_and_python_ranges_are_there() -> None:
    text = "{{ min(1, 2) }} {{ max(1, 2) }} {{ ceil(1.2) }} {{ round(1.6) }} {% for i in range(3) %}{{ i }}{% endfor %}"

    assert rendered(text) == "1 2 2 2 012"


def test_macros_and_includes_come_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "macros.yaml").write_text("{% macro sleepy(s) %}{sleep: {{ s }}, {{ caller() }}}{% endmacro %}")
    (tmp_path / "part.yaml").write_text("part of {{ who }}")
    text = '{% from "macros.yaml" import sleepy with context %}{% call sleepy(3) %}a{% endcall %} {% include "part.yaml" %}'

    assert rendered(text, tmp_path, who="me") == "{sleep: 3, a} part of me"


REFUSED = [
    (
        "a: 1\nb: {{ flavor }} {{ image }}",
        {"flavour": 1},
        [
            'task.yaml:2:7: template variable \'flavor\' has no value; give --task-args "flavor=…" or, in the file,'
            " {% set flavor = flavor or \"…\" %}; did you mean 'flavour'?",
            'task.yaml:2:20: template variable \'image\' has no value; give --task-args "image=…" or, in the file,'
            ' {% set image = image or "…" %}',
        ],
    ),
    ("a\n{% if %}", {}, ["task.yaml:2:1: wrong template syntax: Expected an expression, got 'end of statement block'"]),
    ("a\n{{ 1 / 0 }}", {}, ["task.yaml:2:1: the template fails: ZeroDivisionError: division by zero"]),
    (
        "\n{{ x.y }}",
        {"x": {"z": 1}},
        ["task.yaml:2:1: the template fails: UndefinedError: 'dict object' has no attribute 'y'"],
    ),
    (
        "{% include 'no' %}",
        {},
        ["task.yaml:1:1: the template fails: TemplateNotFound: 'no' not found in search path: '/nonexistent'"],
    ),
    (
        "{{ ''.__class__.__mro__ }}",
        {},
        ["task.yaml:1:1: the template fails: SecurityError: access to attribute '__class__' of 'str' object is unsafe."],
    ),
    (
        "{{ 'x' * 10000000 }}",
        {},
        ["task.yaml:1:1: the template fails: SecurityError: 1 × 10000000 is above the 1,048,576 items or letters allowed"],
    ),
    ("{{ 9 ** 999 }}", {}, ["task.yaml:1:1: the template fails: SecurityError: a power of 999 is above the 64 allowed"]),
    (
        "{% for i in range(99999) %}{{ 'x' * 99 }}{% endfor %}",
        {},
        ["task.yaml:1:1: the rendered text is above the 1,048,576 characters allowed"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "arguments", "expected"), REFUSED)
def test_a_template_that_cannot_be_expanded_is_told_where_and_why(
    complaints: Complaints, text: str, arguments: dict[str, object], expected: list[str]
) -> None:
    assert complaints(text, **arguments) == expected


def test_a_variable_set_in_a_branch_not_taken_is_told_when_it_is_printed(complaints: Complaints) -> None:
    """Rally prints nothing in its place, and the load is silently another one."""
    assert complaints("{% if false %}{% set x = 1 %}{% endif %}\na: {{ x }}") == [
        "task.yaml:2:1: the template fails: UndefinedError: 'x' is undefined"
    ]


def test_an_argument_nobody_uses_is_noted_with_the_nearest_name(read: Read) -> None:
    loaded = read("{% set sleep = sleep or 1 %}\nDummy.dummy: [{args: {sleep: {{sleep}}}}]", slep=4)

    assert loaded.notes == ("task.yaml does not use the task argument 'slep'; did you mean 'sleep'?",)


def test_a_line_the_template_left_alone_is_placed_in_the_file(complaints: Complaints) -> None:
    text = "{% set a = a or 1 -%}\n\n{# a comment\n of two lines #}\nDummy.dummy:\n- args:\n    slep: 1\n"
    (told,) = complaints(text)

    assert told == "task.yaml:7:5: Dummy.dummy has the unknown key 'slep'; allowed: sleep; did you mean 'sleep'?"


def test_a_line_the_template_made_is_placed_in_the_rendered_text_and_shown(complaints: Complaints) -> None:
    text = "Dummy.dummy:\n{%- for i in range(3) %}\n- args: {sleep: {{ i - 1 }}}\n{%- endfor %}\n"
    (told,) = complaints(text)

    assert told == (
        "task.yaml:2:17: Dummy.dummy: sleep is -1; allowed: a number, 0 or more"
        " (in the rendered text, made of line 3 of the file: '- args: {sleep: -1}')"
    )


def test_a_line_inside_a_loop_is_placed_in_the_file_each_time(complaints: Complaints) -> None:
    """Comparing the two texts line by line would place only one of them."""
    text = "{% for i in range(2) %}\nDummy.dummy{{ i }}:\n- args: {}\n  rnner: {}\n{% endfor %}"

    assert [line.split(" ")[0] for line in complaints(text) if "rnner" in line] == ["task.yaml:4:3:"] * 2


def test_a_filter_over_lines_takes_their_trace_away_and_nothing_else() -> None:
    """The marks change the length that is printed, so that no position in the file is claimed."""
    source = Source(label="t", text="{% set b %}\nabc\n{% endset %}\n{{ b | length }}\nabc", folder=Path("/"))
    result = render(source, {}, Problems())
    assert result is not None

    assert set(map_lines(source, result, {}).origins) == {None}


def test_files_that_are_no_text_or_too_large_are_refused() -> None:
    with pytest.raises(InputError, match=r"^t:2:1: found the byte 0xff; a task file is UTF-8$"):
        source_of(b"a\n\xff", "t", Path("/"))
    with pytest.raises(InputError, match=r"^t: the file is larger than the 4,194,304 bytes allowed$"):
        source_of(b"a" * (2**22 + 1), "t", Path("/"))


def test_carriage_returns_and_a_byte_order_mark_do_no_harm(complaints: Complaints) -> None:
    assert complaints("\ufeffDummy.dummy:\r\n- args:\r\n    slep: 1\r\n")[0].startswith("task.yaml:3:5: ")
