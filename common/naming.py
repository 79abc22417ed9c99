"""Names of what a run makes on the cloud: whose they are can be read off them, without any database.

    s_osb_<task>_<run><item>    made by an iteration        c_osb_<task>_<item>    made by a context
    <task> 12 hex digits of the task's id                   <run>  4 hex digits of the run's id
    <item> up to 20 characters: `<iteration>z<n>` for an iteration's n-th name, in the digits below

A name is a pure function of (task, run, iteration, n), so a create whose answer was lost can be found again; and no two
(iteration, n) have the same name: `z`, and the `u` between the numbers of a tenant and of its user, are no digits.
"""

import re

DIGITS = "0123456789abcdefghijklmnopqrstvwxy"
NAME = re.compile(r"^[sc]_osb_(?P<task>[0-9a-f]{12})_[0-9a-z]{1,24}$")


def spelled(number: int) -> str:
    """A whole number, 0 or more, in DIGITS."""
    digits = ""
    while True:
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
        if not number:
            return digits


def task_mark(task: str) -> str:
    """The part of a name that says whose it is: the first 12 hex digits of the task's id."""
    return task.replace("-", "")[:12]


def scenario_name(task: str, run: str, iteration: int, ordinal: int) -> str:
    """Name of an iteration's `ordinal`-th resource, from 0."""
    return f"s_osb_{task_mark(task)}_{run.replace('-', '')[:4]}{spelled(iteration)}z{spelled(ordinal)}"


def context_name(task: str, run: str, item: str) -> str:
    """Name of a context's resource; `item` is lower-case letters and digits, e.g. `t3` or `t3u1`."""
    return f"c_osb_{task_mark(task)}_{run.replace('-', '')[:4]}{item}"


def is_ours(name: str, task: str | None = None) -> bool:
    """Whether a resource of this name was made by OSBench, and by that task if one is given."""
    match = NAME.match(name)
    return match is not None and (task is None or match["task"] == task_mark(task))
