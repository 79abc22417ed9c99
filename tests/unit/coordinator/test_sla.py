"""Criteria judge what was achieved: both sides of each bound, and unknown where losses could turn the answer."""

import pytest

from osbench.common.error import InputError
from osbench.coordinator.sla import (
    CRITERIA,
    Achieved,
    ActionTotals,
    Judgement,
    SlaResult,
    judge_all,
    parse_criteria,
    worst,
)

PASS, FAIL, UNKNOWN = Judgement.PASS, Judgement.FAIL, Judgement.UNKNOWN


def judged(criterion: str, setting: object, achieved: Achieved) -> SlaResult:
    (result,) = judge_all(parse_criteria({criterion: setting}), achieved)
    return result


@pytest.mark.parametrize(
    ("setting", "succeeded", "failed", "lost", "expected"),
    [
        ({"max": 0}, 10, 0, 0, PASS),
        ({"max": 0}, 9, 1, 0, FAIL),
        ({"max": 10}, 9, 1, 0, PASS),
        ({"max": 10}, 899, 100, 0, FAIL),
        ({"max": 0.1}, 999, 1, 0, PASS),
        ({"min": 10}, 9, 1, 0, PASS),
        ({"min": 10}, 901, 99, 0, FAIL),
        ({"min": 5, "max": 20}, 90, 10, 0, PASS),
        ({"max": 0}, 9, 0, 1, UNKNOWN),
        ({"max": 50}, 9, 0, 1, PASS),
        ({"max": 0}, 8, 1, 1, FAIL),
        ({"min": 10}, 9, 0, 1, UNKNOWN),
        ({"max": 0}, 0, 0, 0, UNKNOWN),
        ({"max": 0}, 0, 0, 5, UNKNOWN),
    ],
)
def test_failure_rate_passes_only_if_it_would_whatever_the_lost_iterations_did(
    setting: object, succeeded: int, failed: int, lost: int, expected: Judgement
) -> None:
    achieved = Achieved(succeeded=succeeded, failed=failed, lost=lost)

    assert judged("failure_rate", setting, achieved).judgement is expected


def test_a_lower_bound_of_failures_is_judged_only_at_the_end() -> None:
    """Else a run that is meant to fail would be aborted by its first iteration, which went well."""
    achieved = Achieved(succeeded=1, failed=0, is_final=False)

    assert judged("failure_rate", {"min": 50}, achieved).judgement is PASS


def test_an_upper_bound_of_failures_is_judged_while_the_run_goes_on() -> None:
    achieved = Achieved(succeeded=1, failed=1, is_final=False)

    assert judged("failure_rate", {"max": 20}, achieved).judgement is FAIL


def test_the_detail_reads_as_rally_writes_it() -> None:
    result = judged("failure_rate", {"max": 0}, Achieved(succeeded=5, failed=0))

    assert result.detail == "Failure rate criteria 0.00% <= 0.00% <= 0.00% - Passed"


def test_the_detail_says_between_what_losses_leave_the_rate() -> None:
    result = judged("failure_rate", {"max": 5}, Achieved(succeeded=99, failed=0, lost=1))

    assert result.detail == "Failure rate criteria 0.00% <= 0.00% to 1.00% (1 lost) <= 5.00% - Passed"


@pytest.mark.parametrize(
    ("criterion", "achieved", "expected"),
    [
        ("max_seconds_per_iteration", Achieved(succeeded=1, failed=0, max_us=2_000_000), PASS),
        ("max_seconds_per_iteration", Achieved(succeeded=1, failed=0, max_us=2_000_001), FAIL),
        ("max_seconds_per_iteration", Achieved(succeeded=1, failed=0, lost=1, max_us=2_000_001), FAIL),
        ("max_seconds_per_iteration", Achieved(succeeded=1, failed=0, lost=1, max_us=1), UNKNOWN),
        ("max_seconds_per_iteration", Achieved(succeeded=0, failed=0), UNKNOWN),
        ("max_avg_duration", Achieved(succeeded=2, failed=0, succeeded_sum_us=4_000_000), PASS),
        ("max_avg_duration", Achieved(succeeded=2, failed=0, succeeded_sum_us=4_000_001), FAIL),
        ("max_avg_duration", Achieved(succeeded=2, failed=0, lost=1, succeeded_sum_us=9_000_000), UNKNOWN),
        ("max_avg_duration", Achieved(succeeded=0, failed=3), UNKNOWN),
    ],
)
def test_a_duration_is_judged_against_two_seconds(criterion: str, achieved: Achieved, expected: Judgement) -> None:
    assert judged(criterion, 2, achieved).judgement is expected


def test_each_action_is_judged_by_its_own_average() -> None:
    actions = (
        ActionTotals(name="nova.boot_server", count=2, sum_us=8_000_000),
        ActionTotals(name="nova.delete_server", count=2, sum_us=2_000_000),
    )
    achieved = Achieved(succeeded=2, failed=0, actions=actions)
    result = judged("max_avg_duration_per_atomic", {"nova.boot_server": 3, "nova.delete_server": 1}, achieved)

    assert result.judgement is FAIL
    assert result.detail == (
        "Average duration of one iteration for atomic actions: nova.boot_server: 4.00s <= 3.00s - Failed; "
        "nova.delete_server: 1.00s <= 1.00s - Passed"
    )


def test_an_action_that_never_succeeded_is_unknown() -> None:
    achieved = Achieved(succeeded=2, failed=0)

    assert judged("max_avg_duration_per_atomic", {"nova.boot_server": 3}, achieved).judgement is UNKNOWN


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"failure_rat": {"max": 0}}, "sla: 'failure_rat' is no criterion"),
        ({"failure_rate": {}}, "allowed are min and max"),
        ({"failure_rate": {"maximum": 1}}, "allowed are min and max"),
        ({"failure_rate": 5}, "allowed are min and max"),
        ({"failure_rate": {"max": 101}}, "101 is out of bounds, allowed is a number from 0 to 100"),
        ({"failure_rate": {"max": -0.1}}, "-0.1 is out of bounds"),
        ({"failure_rate": {"max": "0"}}, "found '0'"),
        ({"failure_rate": {"max": True}}, "found True"),
        ({"failure_rate": {"max": float("nan")}}, "nan is out of bounds"),
        ({"failure_rate": {"min": 6, "max": 5}}, "min 6 is above max 5"),
        ({"max_avg_duration": 0}, "0 is out of bounds, allowed is a number above 0"),
        ({"max_seconds_per_iteration": 86_401}, "86401 is out of bounds"),
        ({"max_avg_duration_per_atomic": {}}, "allowed is {action: seconds, ...}"),
        ({"max_avg_duration_per_atomic": {"a": "b"}}, "found 'b'"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_value_and_bound(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_criteria(settings)

    assert said in str(caught.value)


def test_all_criteria_together_are_as_bad_as_the_worst() -> None:
    assert worst([PASS, UNKNOWN, FAIL]) is FAIL
    assert worst([PASS, UNKNOWN]) is UNKNOWN
    assert worst([]) is PASS


def test_every_criterion_is_registered_under_its_own_name() -> None:
    assert {name: criterion.name for name, criterion in CRITERIA.items()} == {name: name for name in CRITERIA}
