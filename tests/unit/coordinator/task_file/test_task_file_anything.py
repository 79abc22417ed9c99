"""Whatever is written, the answer is a task or an InputError, never a traceback."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from osbench.common.error import InputError
from osbench.coordinator.known import known_catalog
from osbench.coordinator.planner import schedule_of
from osbench.coordinator.task_file.reader import load_task, source_of

CATALOG = known_catalog()

#: Words that lead deeper into the reader than random ones.
# fmt: off
WORDS = st.sampled_from(
    ["version", "title", "subtasks", "scenario", "Dummy.dummy", "runner", "constant", "rps", "serial",
     "times", "concurrency", "duration", "sla", "failure_rate", "max", "contexts", "users", "workloads",
     "hooks", "action", "trigger", "args", "type", "start", "end", "step", "tags", "sleep", "name"]
)
# fmt: on
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5),
    max_leaves=20,
)
MARKS = """{{ }} {% %} -%} {%- {# #} [ ] { } - : & * <<: !! ? | > ' " x 1 % --- \t \x00 \u2028 \ue0b01\ue0b1"""
PIECES = st.sampled_from(
    [*MARKS.split(" "), "for i in x", "set x = x or 1", "\n", "  ", ": ", "- "],
)
WORKLOADS = st.dictionaries(WORDS, VALUES, max_size=6)


def read_or_refuse(text: str) -> None:
    source = source_of(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode(), "f", Path("/none"))
    try:
        loaded = load_task(source, {}, CATALOG)
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert all(schedule_of(workload.runner) for workload in loaded.spec.workloads)

    assert all(line.startswith(("f:", "…")) for line in refusal.splitlines())


@settings(max_examples=150)
@given(st.lists(PIECES | WORDS | st.text(max_size=3), max_size=30).map("".join))
def test_random_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)


@given(VALUES)
def test_random_values_are_read_or_refused(value: object) -> None:
    read_or_refuse(json.dumps(value))


@given(WORKLOADS, st.booleans())
def test_random_workloads_are_read_or_refused(workload: dict[str, object], is_new: bool) -> None:
    old = {"Dummy.dummy": [workload]}
    new = {"version": 2, "title": "t", "subtasks": [{"title": "s", "scenario": {"Dummy.dummy": {}}, **workload}]}
    read_or_refuse(json.dumps(new if is_new else old))
