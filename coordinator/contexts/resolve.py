"""Finds what a workload's arguments refer to: images, flavors and networks to ids, once, before any load.

Rules: looked for as the deployment's own account; the load itself never looks anything up by name.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from osbench.common.cloud.administration import CloudView
from osbench.common.cloud.glance import Glance
from osbench.common.cloud.lookup import find_flavor, find_image, find_network
from osbench.common.cloud.neutron import Neutron
from osbench.common.cloud.nova import Nova
from osbench.common.cloud.route import SERVICE_NAMES
from osbench.common.error import CloudError
from osbench.common.scenarios.definition import Scenario


def require_services(cloud: CloudView, scenario: Scenario) -> None:
    """Refuse a cloud that lacks what a scenario needs.

    Raises:
        CloudError: naming what is missing and what there is.
    """
    types = {name: service for service, name in SERVICE_NAMES.items()}
    for name in scenario.services:
        if not cloud.has(types.get(name, name)):
            there = ", ".join(sorted(cloud.account.urls)) or "none"
            raise CloudError(
                f"{scenario.name} needs {name}, which the cloud's catalogue does not have (it has {there})"
            )


async def resolve_arguments(cloud: CloudView, scenario: Scenario, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with ids in place of references.

    Args:
        cloud: signed in. arguments: checked.

    Raises:
        CloudError: there is no such image, flavor or network, or there are several; with the nearest name.
    """
    finders: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "image": lambda reference: find_image(Glance(cloud.session), reference),
        "flavor": lambda reference: find_flavor(Nova(cloud.session), reference),
    }
    resolved = dict(arguments)
    for parameter in scenario.parameters:
        reference = arguments.get(parameter.name)
        if parameter.type in finders and reference is not None:
            resolved[parameter.name] = (await finders[parameter.type](reference)).id
    if isinstance(arguments.get("nics"), list):
        resolved["nics"] = [await _with_id(cloud, nic) for nic in arguments["nics"]]
    return resolved


async def _with_id(cloud: CloudView, nic: Mapping[str, Any]) -> dict[str, Any]:
    """A server's network by id, where it was written by name."""
    named = dict(nic)
    name = named.pop("net-name", None)
    if name and not named.get("net-id"):
        named["net-id"] = (await find_network(Neutron(cloud.session), {"name": name})).id
    return named
