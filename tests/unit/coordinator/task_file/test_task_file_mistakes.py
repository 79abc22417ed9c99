"""Each way to write a task file wrong, with the one line the user gets: place, found, allowed, nearest."""

from collections.abc import Callable

import pytest

Complaints = Callable[..., list[str]]

#: A right file of format 2; each row below replaces one line of it, or adds lines at its end.
GOOD = """\
version: 2
title: A task
subtasks:
  - title: one
    scenario:
      Dummy.dummy: {sleep: 1}
    runner:
      constant: {times: 4, concurrency: 2}
    contexts:
      users: {tenants: 2}
    sla:
      failure_rate: {max: 0}
"""

#: (line to replace, by what, the complaint)
FORMAT_2 = [
    (1, "version: 3", "task.yaml:1:10: version is 3; allowed: 2 (a file of format 1 has no version)"),
    (1, "version: yes", "task.yaml:1:10: version is true; allowed: 2 (a file of format 1 has no version)"),
    (1, "#", "task.yaml:2:1: task lacks the key 'version'; allowed: 2, where there are subtasks"),
    (2, "#", "task.yaml:1:1: task lacks the key 'title'; allowed: text of at most 255 characters"),
    (
        2,
        "titel: x",
        "task.yaml:2:1: task has the unknown key 'titel'; allowed: title, version, subtasks, description, tags;"
        " did you mean 'title'?",
    ),
    (2, "title: 5", "task.yaml:2:8: task: title is 5; allowed: text of at most 255 characters; put it in quotes"),
    (2, "title: [a]", "task.yaml:2:8: task: title is a list; allowed: text of at most 255 characters"),
    (
        2,
        f"title: {'x' * 256}",
        "task.yaml:2:8: task: title has 256 characters; allowed: text of at most 255 characters",
    ),
    (4, "  - tags: [a]", "task.yaml:4:5: subtask lacks the key 'title'; allowed: text of at most 128 characters"),
    (4, "  - {title: one, tags: a}", None),
    (
        5,
        "    scenaro:",
        "task.yaml:5:5: subtask has the unknown key 'scenaro'; allowed: title, group, tags, scenario, runner, sla,"
        " hooks, contexts, description; did you mean 'scenario'?",
    ),
    (
        6,
        "      Dummy.dumy: {}",
        "task.yaml:6:7: unknown scenario 'Dummy.dumy'; allowed: one of the 2 that `osbench scenario list` lists;"
        " did you mean 'Dummy.dummy'?",
    ),
    (
        6,
        "      boot_and_delete_server: {}",
        "task.yaml:6:7: unknown scenario 'boot_and_delete_server'; allowed: one of the 2 that"
        " `osbench scenario list` lists; did you mean 'NovaServers.boot_and_delete_server'?",
    ),
    (
        6,
        "      Dummy.dummy@docker: {}",
        "task.yaml:6:7: scenario 'Dummy.dummy@docker' is of the platform 'docker'; allowed: openstack, default",
    ),
    (
        6,
        "      {Dummy.dummy: {}, Dummy.other: {}}",
        "task.yaml:6:7: scenario has 2 keys; allowed: a mapping with exactly one key, e.g. {Dummy.dummy: {sleep: 1}}",
    ),
    (
        6,
        "      Dummy.dummy",
        "task.yaml:6:7: scenario is the text 'Dummy.dummy'; allowed: a mapping with exactly one key,"
        " e.g. {Dummy.dummy: {sleep: 1}}",
    ),
    (
        6,
        "      Dummy.dummy: [1]",
        "task.yaml:6:20: Dummy.dummy: its arguments is a list; allowed: a mapping of argument to value",
    ),
    (
        6,
        "      Dummy.dummy: {slep: 1}",
        "task.yaml:6:21: Dummy.dummy has the unknown key 'slep'; allowed: sleep; did you mean 'sleep'?",
    ),
    (
        6,
        "      Dummy.dummy: {sleep: fast}",
        "task.yaml:6:28: Dummy.dummy: sleep is the text 'fast'; allowed: a number, 0 or more",
    ),
    (
        6,
        "      Dummy.dummy: {sleep: 1e3}",
        "task.yaml:6:28: Dummy.dummy: sleep is the text '1e3'; allowed: a number, 0 or more;"
        " write it as 1000 without quotes",
    ),
    (6, "      Dummy.dummy: {sleep: -1}", "task.yaml:6:28: Dummy.dummy: sleep is -1; allowed: a number, 0 or more"),
    (6, "      Dummy.dummy: {sleep: .nan}", "task.yaml:6:28: found .nan; a number must be finite"),
    (
        6,
        "      NovaServers.boot_and_delete_server: {image: {nmae: x}}",
        "task.yaml:6:52: argument image has no key 'nmae'; did you mean 'name'?",
    ),
    (
        8,
        "      constnt: {times: 4}",
        "task.yaml:8:7: unknown runner 'constnt'; allowed: constant, constant_for_duration, rps, serial;"
        " did you mean 'constant'?",
    ),
    (
        8,
        "      constant: {times: 0}",
        "task.yaml:8:25: runner constant: times is 0; allowed: a whole number, from 1 to 1,000,000,000,000",
    ),
    (
        8,
        "      constant: {times: 2.5}",
        "task.yaml:8:25: runner constant: times is 2.5; allowed: a whole number, from 1 to 1,000,000,000,000",
    ),
    (
        8,
        "      constant: {times: true}",
        "task.yaml:8:25: runner constant: times is true; allowed: a whole number, from 1 to 1,000,000,000,000",
    ),
    (
        8,
        "      constant: {times: 2, concurrency: 3}",
        "task.yaml:8:41: runner constant: concurrency is 3; allowed: at most times, which is 2",
    ),
    (
        8,
        "      constant: {timeout: -1}",
        "task.yaml:8:27: runner constant: timeout is -1; allowed: a number, from 0 to 31,536,000",
    ),
    (
        8,
        "      constant: {tims: 4}",
        "task.yaml:8:18: runner constant has the unknown key 'tims'; allowed: times, concurrency, timeout,"
        " max_cpu_count; did you mean 'times'?",
    ),
    (
        8,
        "      constant_for_duration: {concurrency: 3}",
        "task.yaml:8:7: runner constant_for_duration lacks the key 'duration'; allowed: a number, from 0 to 31,536,000",
    ),
    (
        8,
        "      rps: {times: 5}",
        "task.yaml:8:7: runner rps lacks the key 'rps'; allowed: a number, above 0, at most 10,000,000,"
        " or a mapping with the keys start, end, step, duration",
    ),
    (
        8,
        "      rps: {times: 5, rps: 0}",
        "task.yaml:8:28: runner rps: rps is 0; allowed: a number, above 0, at most 10,000,000",
    ),
    (
        8,
        "      rps: {times: 5, rps: {start: 5, end: 1, step: 1}}",
        "task.yaml:8:28: runner rps: rps: end is 1; allowed: start, which is 5, or more",
    ),
    (
        8,
        "      rps: {times: 5, rps: {start: 1, end: 2}}",
        "task.yaml:8:28: runner rps: rps lacks the key 'step'; allowed: a number, from 1 to 10,000,000",
    ),
    (
        8,
        "      {serial: {}, rps: {}}",
        "task.yaml:8:7: runner has 2 keys; allowed: a mapping with exactly one key,"
        " e.g. {constant: {times: 10, concurrency: 2}}",
    ),
    (
        10,
        "      user: {tenants: 2}",
        "task.yaml:10:7: unknown context 'user'; allowed: users; did you mean 'users'?",
    ),
    (
        10,
        "      users: {tenants: two}",
        "task.yaml:10:24: context users: tenants is the text 'two'; allowed: a whole number, 1 or more",
    ),
    (
        10,
        "      users: {user_choice_method: rando}",
        "task.yaml:10:35: context users: user_choice_method is the text 'rando'; allowed: random, round_robin;"
        " did you mean 'random'?",
    ),
    (
        10,
        "      {users: {}, users@openstack: {}}",
        "task.yaml:10:19: context 'users' stands here twice, once with its platform",
    ),
    (
        12,
        "      failure_rat: {max: 0}",
        "task.yaml:12:7: unknown sla criterion 'failure_rat'; allowed: failure_rate; did you mean 'failure_rate'?",
    ),
    (
        12,
        "      failure_rate: {max: 101}",
        "task.yaml:12:27: sla criterion failure_rate: max is 101; allowed: a number, from 0 to 100",
    ),
    (
        12,
        "      failure_rate: {}",
        "task.yaml:12:21: sla criterion failure_rate has 0 keys; allowed: 1 or more,"
        " of a mapping with the keys min, max",
    ),
    (
        12,
        "      - 1",
        "task.yaml:12:7: sla criterion is a list; allowed: a mapping of name to setting; names: failure_rate",
    ),
    (
        12,
        "      failure_rate: {max: 0}\n    runner: {}",
        "task.yaml:13:5: the key 'runner' stands here twice; first in line 7 of the text",
    ),
    (
        12,
        "      failure_rate: {max: 0}\n    workloads: []",
        None,
    ),
    (
        12,
        "      failure_rate: {max: 0}\n    hooks: [{action: {sys_cal: x}, trigger: {event: {unit: time}}}]",
        "task.yaml:13:23: unknown hook action 'sys_cal'; allowed: sys_call; did you mean 'sys_call'?",
    ),
]


@pytest.mark.parametrize(("line", "by", "expected"), [(row[0], row[1], row[2:]) for row in FORMAT_2])
def test_a_wrong_line_of_format_2_is_told_where_and_why(
    complaints: Complaints, line: int, by: str, expected: tuple[str | None, ...]
) -> None:
    lines = GOOD.split("\n")
    lines[line - 1] = by
    told = complaints("\n".join(lines))

    if expected != (None,):
        assert told == list(expected)


FORMAT_1 = [
    ("{}", "task.yaml:1:1: the task is an empty mapping; allowed: a mapping: `version: 2` with title and subtasks,"
     " or scenario names with lists of workloads"),
    ("", "task.yaml:1:1: the task is empty; allowed: a mapping: `version: 2` with title and subtasks,"
     " or scenario names with lists of workloads"),
    ("- a", "task.yaml:1:1: the task is a list; allowed: a mapping: `version: 2` with title and subtasks,"
     " or scenario names with lists of workloads"),
    ("Dummy.dummy: {}", "task.yaml:1:14: scenario Dummy.dummy is an empty mapping; allowed: a list of workloads,"
     " one or more"),
    ("Dummy.dummy: []", "task.yaml:1:14: scenario Dummy.dummy is an empty list; allowed: a list of workloads,"
     " one or more"),
    ("Dummy.dummy: [5]", "task.yaml:1:15: workload of Dummy.dummy is 5; allowed: a mapping with the keys args,"
     " description, runner, context, sla, hooks"),
    ("Dummy.dummy: [{contexts: {}}]", "task.yaml:1:16: workload of Dummy.dummy has the unknown key 'contexts';"
     " allowed: args, description, runner, context, sla, hooks; did you mean 'context'?"),
    ("Dummy.dummy: [{runner: {times: 5}}]", "task.yaml:1:16: runner lacks the key 'type'; allowed: constant,"
     " constant_for_duration, rps, serial"),
    ("Dummy.dummy: [{runner: {type: 5}}]", "task.yaml:1:31: runner: type is 5; allowed: constant,"
     " constant_for_duration, rps, serial"),
    ("Dummy.dummy: [{runner: {type: constan}}]", "task.yaml:1:31: unknown runner 'constan'; allowed: constant,"
     " constant_for_duration, rps, serial; did you mean 'constant'?"),
    ("Dummy.dumy: [{}]", "task.yaml:1:1: unknown scenario 'Dummy.dumy'; allowed: one of the 2 that"
     " `osbench scenario list` lists; did you mean 'Dummy.dummy'?"),
    ("Dummy.dummy: [{hooks: [{name: sys_call, args: x, trigger: {name: evnt, args: {}}}]}]",
     "task.yaml:1:66: unknown hook trigger 'evnt'; allowed: event; did you mean 'event'?"),
]  # fmt: skip


def test_an_unknown_filter_or_test_of_the_template_is_told_at_its_line(complaints: Complaints) -> None:
    """They show when the template is compiled, not when it is parsed."""
    assert complaints("a: 1\nb: {{ 3 | fooo }}") == ["task.yaml:2:1: wrong template syntax: No filter named 'fooo'."]
    assert complaints("a: {{ 3 is fooo }}") == ["task.yaml:1:1: wrong template syntax: No test named 'fooo'."]


@pytest.mark.parametrize(("text", "expected"), FORMAT_1)
def test_a_wrong_file_of_format_1_is_told_where_and_why(complaints: Complaints, text: str, expected: str) -> None:
    assert complaints(text) == [expected]


NOT_YAML = [
    ("a: [1", "task.yaml:1:6: not YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence"
     " that begins in line 1 of the text)"),
    ("a: b: c", "task.yaml:1:5: not YAML: mapping values are not allowed here; look at the indentation,"
     " and put a value with ': ' in quotes"),
    ("a:\n\t- b", "task.yaml:2:1: not YAML: found character '\\t' that cannot start any token; indent with spaces,"
     " not with tabs"),
    ("a: 1\n---\nb: 2", "task.yaml:2:1: not YAML: but found another document (expected a single document in the"
     " stream that begins in line 1 of the text); a task file holds one document, with '---' at its beginning only"),
    ("a: *b", "task.yaml:1:4: not YAML: found undefined alias 'b'"),
    ("a: \x07", "task.yaml:1:4: found the character '\\x07'; YAML allows printable ones only"),
    ("a: !!python/object:os.system x", "task.yaml:1:4: found the YAML tag 'tag:yaml.org,2002:python/object:os.system';"
     " no tags are allowed"),
    ("a: !!set {x}", "task.yaml:1:4: found the YAML tag 'tag:yaml.org,2002:set'; no tags are allowed"),
    ("&a [*a]", "task.yaml:1:1: this value contains itself by an alias, which is not allowed"),
    ("on: 1", "task.yaml:1:1: the key on is not text to YAML; put it in quotes"),
    ("? [a]\n: 1", "task.yaml:1:3: found a list or a mapping as a key; a key must be text"),
    ("a: !!int x", "task.yaml:1:4: found 'x', which cannot be read as int"),
    ("[" * 50 + "]" * 50, "task.yaml:1:41: nested deeper than the 40 levels allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), NOT_YAML)
def test_a_file_that_is_no_plain_yaml_is_told_where_and_why(complaints: Complaints, text: str, expected: str) -> None:
    assert complaints(text) == [expected]


def test_aliases_cannot_multiply_without_bound(complaints: Complaints) -> None:
    """Ten aliases of ten aliases of …: the old way to make a megabyte of a line, and terabytes of ten."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )
    (told,) = complaints(text)

    assert told.split(": ", 1)[1].startswith("aliases make more than the 100,000 values allowed")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text(complaints: Complaints) -> None:
    text = GOOD.replace("times: 4", "times: 0").replace("tenants: 2", "tenant: 2").replace("sleep: 1", "slep: 1")
    told = complaints(text)

    assert [line.split(" ", 1)[0] for line in told] == ["task.yaml:6:21:", "task.yaml:8:25:", "task.yaml:10:15:"]


def test_a_flood_of_mistakes_is_cut_and_counted(complaints: Complaints) -> None:
    told = complaints("Dummy.dummy: [" + ", ".join(["5"] * 50) + "]")

    assert len(told) == 21
    assert told[-1] == "… and 30 more mistakes"


def test_subtasks_cannot_run_in_parallel_yet_and_that_is_said(complaints: Complaints) -> None:
    text = (
        "version: 2\ntitle: t\nsubtasks:\n- title: a\n  run_in_parallel: true\n"
        "  workloads: [{scenario: {Dummy.dummy: {}}}]\n"
    )

    assert complaints(text) == [
        "task.yaml:5:20: run_in_parallel is true; allowed: false (workloads run one after another)"
    ]
