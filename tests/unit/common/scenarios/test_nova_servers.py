from typing import Any

import pytest

from osbench.common.scenarios.arguments import argument_problems
from osbench.common.scenarios.nova_servers import boot_and_delete_server, networks_of, server_keys


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ({}, {}),
        ({"key_name": None}, {}),
        (
            {"meta": {"a": "b"}, "admin_pass": "x", "disk_config": "AUTO", "access_ip_v4": "10.0.0.1"},
            {"metadata": {"a": "b"}, "adminPass": "x", "OS-DCF:diskConfig": "AUTO", "accessIPv4": "10.0.0.1"},
        ),
        ({"security_groups": ["a", "b"]}, {"security_groups": [{"name": "a"}, {"name": "b"}]}),
        ({"userdata": "#!/bin/sh"}, {"user_data": "IyEvYmluL3No"}),
        ({"nics": "auto"}, {}),
    ],
)
def test_what_novaclients_users_write_becomes_novas_keys(arguments: dict[str, Any], keys: dict[str, Any]) -> None:
    assert server_keys(arguments) == keys


@pytest.mark.parametrize(
    ("nics", "networks"),
    [
        (None, None),
        ([], None),
        ("auto", "auto"),
        ("none", "none"),
        ([{"net-id": "n"}], [{"uuid": "n"}]),
        (
            [{"port-id": "p"}, {"net-id": "n", "v4-fixed-ip": "10.0.0.5"}],
            [{"port": "p"}, {"uuid": "n", "fixed_ip": "10.0.0.5"}],
        ),
    ],
)
def test_nics_become_networks(nics: Any, networks: Any) -> None:
    assert networks_of(nics) == networks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_sleep": 2, "max_sleep": 1}, "min_sleep 2 is greater than max_sleep 1"),
        ({"nics": "any"}, "nics must be a list of mappings, `auto` or `none`, not 'any'"),
        ({"nics": [{"net": "a"}]}, "nics: {'net': 'a'} must have the keys"),
        ({"flavour": "a"}, "no argument 'flavour'; did you mean 'flavor'?"),
        ({"max_count": 0}, "'max_count' must be at least 1, not 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    whole = {"image": "a", "flavor": "b", **arguments}
    [problem] = argument_problems(boot_and_delete_server, whole)

    assert message in problem.message


def test_every_way_of_naming_a_network_is_taken() -> None:
    for nics in ([{"net-name": "shared"}], [{"net-id": "a", "tag": "b"}], "auto", None):
        assert argument_problems(boot_and_delete_server, {"image": "a", "flavor": "b", "nics": nics}) == ()
