import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.error import InputError
from osbench.common.naming import context_name, scenario_name, task_mark
from osbench.coordinator.cleanup import Scope, split_reachable
from osbench.coordinator.contexts.messages import CloudResource, Leftover

TASK, RUN = "0123456789abcdef0123456789abcdef", "fedcba98-7654-3210-fedc-ba9876543210"
OTHER_TASK, OTHER_RUN = "1123456789abcdef0123456789abcdef", "0edcba98-7654-3210-fedc-ba9876543210"


def names(task: str, run: str) -> list[str]:
    return [scenario_name(task, run, 123456, 2), context_name(task, run, "t3u1")]


def test_a_run_has_its_own_names_only() -> None:
    scope = Scope(task=TASK, run=RUN)

    assert all(scope.has(name) for name in names(TASK, RUN))
    assert not any(scope.has(name) for name in names(TASK, OTHER_RUN) + names(OTHER_TASK, RUN))


def test_a_task_has_the_names_of_all_its_runs() -> None:
    scope = Scope(task=TASK)

    assert all(scope.has(name) for name in names(TASK, RUN) + names(TASK, OTHER_RUN))
    assert not any(scope.has(name) for name in names(OTHER_TASK, RUN))


def test_all_is_all_of_ours_and_nobody_elses() -> None:
    scope = Scope()

    assert all(scope.has(name) for name in names(TASK, RUN) + names(OTHER_TASK, OTHER_RUN))
    assert not any(scope.has(name) for name in ("", "web-1", "s_osb_", "s_osb_0123", "x_" + names(TASK, RUN)[0]))


def test_a_server_that_nova_numbered_belongs_to_its_name() -> None:
    assert Scope(task=TASK, run=RUN).has(scenario_name(TASK, RUN, 5, 0) + "-3")


def test_the_filter_for_listings_matches_what_is_ours() -> None:
    import re

    for scope in (Scope(), Scope(task=TASK), Scope(task=TASK, run=RUN)):
        for name in names(TASK, RUN):
            assert re.match(f"^[sc]_osb_{scope.endings}", name)
            assert name.startswith(scope.prefixes)


@pytest.mark.parametrize("identity", ["a", "../../0123456789ab", "ABCDEF0123456789"])
def test_what_is_no_id_is_refused_before_anything_is_removed(identity: str) -> None:
    with pytest.raises(InputError, match="is not the id of a task"):
        Scope(task=identity)


def test_a_run_without_its_task_is_refused() -> None:
    with pytest.raises(InputError, match="needs its task"):
        Scope(run=RUN)


USER = CloudResource(kind="user", name="u", cloud_id="u1", project="p1")
PROJECTS = [
    CloudResource(kind="project", name="a", cloud_id="p1"),
    CloudResource(kind="project", name="b", cloud_id="p2"),
]
STUCK = Leftover(resource=CloudResource(kind="server", name="s", cloud_id="s1", project="p1"), reason="stuck")


def test_a_project_in_which_a_server_is_left_stays_with_its_users() -> None:
    may_go, must_stay = split_reachable("project", PROJECTS, [STUCK])

    assert may_go == [PROJECTS[1]]
    assert [(left.resource, left.reason) for left in must_stay] == [
        (PROJECTS[0], "kept, since server s is left in its project")
    ]
    assert split_reachable("user", [USER], [STUCK])[0] == []


def test_servers_are_not_held_up_by_servers() -> None:
    server = CloudResource(kind="server", name="x", cloud_id="s2", project="p1")

    assert split_reachable("server", [server], [STUCK]) == ([server], [])


IDS = st.uuids().map(str)


@given(task=IDS, run=IDS, other=IDS, iteration=st.integers(0, 10**12), ordinal=st.integers(0, 1000))
def test_every_name_is_in_its_own_scopes_and_in_no_other_tasks(
    task: str, run: str, other: str, iteration: int, ordinal: int
) -> None:
    name = scenario_name(task, run, iteration, ordinal)

    assert all(scope.has(name) for scope in (Scope(), Scope(task=task), Scope(task=task, run=run)))
    assert Scope(task=other).has(name) == (task_mark(task) == task_mark(other))
