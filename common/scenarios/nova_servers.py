"""NovaServers: servers as load.

Rules: names, arguments and atomic actions are Rally's. A server's name is the iteration's, so that one whose create was
never answered is found by clean-up. What Rally's users give as keyword arguments of novaclient is turned into Nova's own
keys here.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, Unpack, cast

from osbench.common.cloud.neutron import Neutron
from osbench.common.cloud.nova import Nova, Server, is_active, is_gone
from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import Bounds, Flavor, Image, scenario
from osbench.common.scenarios.failure import ScenarioFailure
from osbench.common.scenarios.polling import wait_for

Seconds = Annotated[float, Bounds(0)]

#: novaclient's names of what is one key of Nova's `server`.
_KEYS = {
    "meta": "metadata",
    "min_count": "min_count",
    "max_count": "max_count",
    "key_name": "key_name",
    "availability_zone": "availability_zone",
    "block_device_mapping_v2": "block_device_mapping_v2",
    "config_drive": "config_drive",
    "admin_pass": "adminPass",
    "disk_config": "OS-DCF:diskConfig",
    "access_ip_v4": "accessIPv4",
    "access_ip_v6": "accessIPv6",
    "description": "description",
    "tags": "tags",
    "host": "host",
    "hypervisor_hostname": "hypervisor_hostname",
}
#: The same for one network of a server.
_NIC_KEYS = {"net-id": "uuid", "port-id": "port", "v4-fixed-ip": "fixed_ip", "v6-fixed-ip": "fixed_ip", "tag": "tag"}


class ServerArguments(TypedDict, total=False):
    """What may be said of a new server beside image and flavor.

    Attributes:
        nics: list of {net-id | net-name | port-id, v4-fixed-ip, v6-fixed-ip, tag}; or `auto` or `none`.
        meta: metadata.
        min_count: fewest servers to make.
        max_count: most servers to make.
        security_groups: names.
        userdata: text for cloud-init.
        key_name: name of a key pair.
        availability_zone: where it is to run.
        block_device_mapping_v2: its disks, in Nova's own form.
        config_drive: whether it gets one.
        admin_pass: password inside the server.
        disk_config: AUTO or MANUAL.
        access_ip_v4: address to be shown.
        access_ip_v6: address to be shown.
        description: text; microversion 2.19 or later.
        tags: words; microversion 2.52 or later.
        host: where it must run; microversion 2.74 or later.
        hypervisor_hostname: where it must run; microversion 2.74 or later.
    """

    nics: Any
    meta: dict[str, str]
    min_count: Annotated[int, Bounds(1)]
    max_count: Annotated[int, Bounds(1)]
    security_groups: list[str]
    userdata: str
    key_name: str
    availability_zone: str
    block_device_mapping_v2: list[dict[str, Any]]
    config_drive: bool
    admin_pass: str
    disk_config: str
    access_ip_v4: str
    access_ip_v6: str
    description: str
    tags: list[str]
    host: str
    hypervisor_hostname: str


def server_keys(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of novaclient as keys of Nova's `server`; networks apart.

    Args:
        arguments: checked; those that are None are left out.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    keys = {_KEYS[name]: value for name, value in given.items() if name in _KEYS}
    if "security_groups" in given:
        keys["security_groups"] = [{"name": name} for name in given["security_groups"]]
    if "userdata" in given:
        keys["user_data"] = b64encode(given["userdata"].encode()).decode("ascii")
    return keys


def networks_of(nics: Any) -> str | list[dict[str, Any]] | None:
    """novaclient's nics as Nova's `networks`; None if nothing is said about them.

    Args:
        nics: checked; networks by id.
    """
    if not nics or isinstance(nics, str):
        return nics or None
    return [{_NIC_KEYS[key]: value for key, value in nic.items() if key in _NIC_KEYS} for nic in nics]


def _boot_check(arguments: Mapping[str, Any]) -> str:
    low, high = arguments.get("min_sleep", 0), arguments.get("max_sleep", 0)
    if low > high:
        return f"min_sleep {low:g} is greater than max_sleep {high:g}"
    nics = arguments.get("nics")
    if nics is None or nics in ("auto", "none"):
        return ""
    if not isinstance(nics, list) or not all(isinstance(nic, dict) for nic in nics):
        return f"nics must be a list of mappings, `auto` or `none`, not {nics!r:.80}"
    known = {*_NIC_KEYS, "net-name"}
    for nic in nics:
        strange = [key for key in nic if key not in known]
        if strange or not nic:
            return f"nics: {nic!r:.80} must have the keys {', '.join(sorted(known))}"
    return ""


@scenario("NovaServers.list_servers", services=("nova",), needs_users=True)
async def list_servers(it: Iteration, *, detailed: bool = True) -> None:
    """List the servers of the user's project.

    Args:
        detailed: all of each server, or only ids and names.
    """
    nova = cast(Nova, it.client("nova"))
    with it.action("nova.list_servers"):
        await nova.list_servers(detailed)


@scenario(
    "NovaServers.boot_and_delete_server", services=("nova",), needs_users=True, cleanup=("server",), check=_boot_check
)
async def boot_and_delete_server(
    it: Iteration,
    *,
    image: Image,
    flavor: Flavor,
    min_sleep: Seconds = 0,
    max_sleep: Seconds = 0,
    force_delete: bool = False,
    auto_assign_nic: bool = False,
    **arguments: Unpack[ServerArguments],
) -> None:
    """Boot a server, and delete it once it is active.

    Between the two it may stand for a random time, which counts as idle.

    Args:
        image: what it boots from.
        flavor: its size.
        min_sleep: shortest time between, seconds.
        max_sleep: longest time between, seconds.
        force_delete: delete it whatever its state, without keeping it for a while.
        auto_assign_nic: plug it into one of the networks its project may use.
    """
    server = await boot_server(it, image, flavor, auto_assign_nic, arguments)
    if max_sleep > 0:
        await it.idle(it.random.uniform(min_sleep, max_sleep))
    await delete_server(it, server.id, force_delete)


async def boot_server(
    it: Iteration, image: Image | None, flavor: Flavor, auto_assign_nic: bool, arguments: ServerArguments
) -> Server:
    """Atomic action nova.boot_server: create and wait until it is ACTIVE.

    Args:
        image: None to boot from a volume. auto_assign_nic: choose a network unless `arguments` has nics.

    Returns:
        The server, active.
    """
    nova = cast(Nova, it.client("nova"))
    nics: Any = arguments.get("nics")
    if auto_assign_nic and not nics:
        nics = await _random_nic(it)
    with it.action("nova.boot_server") as action:
        asked = await nova.create_server(
            it.name(), flavor, image, networks=networks_of(nics), more=server_keys(arguments)
        )
        booted = await wait_for(it, action, "server_boot", lambda: nova.poll_server(asked.id), _is_booted)
    return cast(Server, booted)


async def delete_server(it: Iteration, server_id: str, force: bool) -> None:
    """Atomic action nova.delete_server or nova.force_delete_server: ask for it and wait until it is gone."""
    nova = cast(Nova, it.client("nova"))
    with it.action("nova.force_delete_server" if force else "nova.delete_server") as action:
        await (nova.force_delete if force else nova.delete_server)(server_id)
        await wait_for(it, action, "server_delete", lambda: nova.poll_server(server_id), is_gone)


def _is_booted(server: Server | None) -> bool:
    if server is None:
        raise ScenarioFailure("server_gone", "the server vanished while it was building")
    return is_active(server)


async def _random_nic(it: Iteration) -> list[dict[str, str]]:
    """One of the networks of the user's project, or else of those it shares; none if there is none."""
    neutron = cast(Neutron, it.client("neutron"))
    networks = [network for network in await neutron.list_networks() if not network.is_external]
    project = it.user.project_id if it.user is not None else ""
    own = [network.id for network in networks if network.project_id == project]
    usable = sorted(own or [network.id for network in networks if network.shared])
    return [{"net-id": it.random.choice(usable)}] if usable else []
