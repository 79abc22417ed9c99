"""All scenarios by name."""

from osbench.common.error import InputError
from osbench.common.nearest import did_you_mean
from osbench.common.scenarios import authenticate, cinder_volumes, dummy, keystone_basic, nova_servers
from osbench.common.scenarios.definition import Scenario

SCENARIOS: dict[str, Scenario] = {
    known.name: known
    for known in (
        authenticate.keystone,
        cinder_volumes.create_and_delete_volume,
        cinder_volumes.create_and_list_volume,
        dummy.dummy,
        dummy.dummy_exception,
        dummy.dummy_exception_probability,
        dummy.dummy_random_action,
        dummy.dummy_random_fail_in_atomic,
        dummy.dummy_timed_atomic_actions,
        dummy.failure,
        keystone_basic.create_and_list_users,
        keystone_basic.create_delete_user,
        nova_servers.boot_and_delete_server,
        nova_servers.list_servers,
    )
}


def find_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        InputError: there is none; with the nearest name.
    """
    if name not in SCENARIOS:
        cure = did_you_mean(name, SCENARIOS) or "; `osbench scenario list` shows all"
        raise InputError(f"no scenario is called {name!r:.120}{cure}")
    return SCENARIOS[name]
