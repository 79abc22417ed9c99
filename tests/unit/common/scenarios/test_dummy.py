import asyncio

import pytest

from osbench.common.job import Job
from osbench.common.plan import ClosedLoop, Plan
from osbench.common.scenarios.failure import ScenarioFailure
from osbench.common.scenarios.registry import SCENARIOS
from osbench.common.scenarios.rehearsal import Rehearsal


def rehearsal(index: int = 0) -> Rehearsal:
    schedule = ClosedLoop(concurrency=1, iterations=100)
    plan = Plan(run="b" * 32, task="a" * 32, scenario="Dummy.dummy", arguments={}, schedule=schedule, seed=1)
    return Rehearsal(Job(plan=plan), index)


def run(name: str, it: Rehearsal, **arguments: object) -> None:
    async def whole() -> None:
        await SCENARIOS[name].function(it, **arguments)

    asyncio.run(whole())


def test_dummy_times_bar_inside_foo() -> None:
    it = rehearsal()
    run("Dummy.dummy", it, anything="else")

    assert it.nested_names() == ["foo", "foo/bar"]
    assert all(action.succeeded for action in it.actions)


def test_dummy_exception_fails_with_the_message_asked_for() -> None:
    with pytest.raises(ScenarioFailure, match=r"^MMMMM$"):
        run("Dummy.dummy_exception", rehearsal(), size_of_message=5, sleep=0)
    with pytest.raises(ScenarioFailure, match=r"^boom$"):
        run("Dummy.dummy_exception", rehearsal(), message="boom", sleep=0)


def test_failure_fails_in_each_nth_iteration_of_the_range_counted_from_one() -> None:
    failed = []
    for index in range(12):
        try:
            run("Dummy.failure", rehearsal(index), sleep=0, from_iteration=5, to_iteration=10, each=2)
        except ScenarioFailure:
            failed.append(index + 1)

    assert failed == [6, 8, 10]


def test_random_failures_are_the_same_for_the_same_iteration() -> None:
    def failed(index: int) -> bool:
        try:
            run("Dummy.dummy_exception_probability", rehearsal(index), exception_probability=0.5)
        except ScenarioFailure:
            return True
        return False

    first = [failed(index) for index in range(40)]

    assert first == [failed(index) for index in range(40)]
    assert 5 < sum(first) < 35


def test_probability_one_fails_in_the_first_action() -> None:
    it = rehearsal()
    with pytest.raises(ScenarioFailure):
        run("Dummy.dummy_random_fail_in_atomic", it, exception_probability=1)

    assert [(action.name, action.succeeded) for action in it.actions] == [("dummy_fail_test", False)]


def test_actions_are_numbered() -> None:
    it = rehearsal()
    run("Dummy.dummy_random_action", it, actions_num=3)
    run("Dummy.dummy_timed_atomic_actions", it, number_of_actions=2, sleep_factor=0)

    assert it.nested_names() == ["action_0", "action_1", "action_2", "action_0", "action_1"]
