import pytest

from osbench.common.error import InputError
from osbench.common.scenarios.registry import SCENARIOS, find_scenario


def test_every_scenario_stands_under_its_own_name_with_a_title() -> None:
    for name, found in SCENARIOS.items():
        assert found.name == name
        assert found.title.endswith("."), name


def test_every_parameter_but_the_openly_taken_is_documented() -> None:
    undocumented = [
        f"{found.name} {parameter.name}"
        for found in SCENARIOS.values()
        for parameter in found.parameters
        if not parameter.doc
    ]

    assert undocumented == []


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no scenario is called 'Dummy.dumy'; did you mean 'Dummy.dummy'\?"):
        find_scenario("Dummy.dumy")


def test_a_name_like_none_is_answered_with_where_to_look() -> None:
    with pytest.raises(InputError, match="`osbench scenario list` shows all"):
        find_scenario("xyz")
