"""Nova's bodies, by microversion.

Rules: the numbers at each attribute are the microversion that brought or took it (Nova's REST API version history).
"""

import hashlib
from typing import Any

from osbench.deploy.simulated.compute.catalog import Flavor, KeyPair, ServerGroup
from osbench.deploy.simulated.compute.store import HeldVolume, Server
from osbench.deploy.simulated.exchange import Body

_IN_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"})


def links(base: str, collection: str, record_id: str) -> list[Body]:
    """The `self` and `bookmark` links of a record; a bookmark has no version in it."""
    return [
        {"rel": "self", "href": f"{base}/v2.1/{collection}/{record_id}"},
        {"rel": "bookmark", "href": f"{base}/{collection}/{record_id}"},
    ]


def brief(server: Server, base: str) -> Body:
    """A server in a list without details."""
    return {"id": server.id, "name": server.name, "links": links(base, "servers", server.id)}


def detailed(server: Server, base: str, minor: int, *, is_admin: bool, is_single: bool = True) -> Body:
    """A server with all its attributes.

    Args:
        is_single: whether it is shown alone; lists leave out what needs another look-up.
    """
    view: Body = {
        "id": server.id,
        "name": server.name,
        "status": server.status,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "metadata": server.metadata,
        "hostId": _host_id(server),
        "image": _image(server, base, minor) if server.image_id else "",
        "flavor": _flavor(server.flavor, base, minor),
        "created": server.created_at,
        "updated": server.updated_at,
        "addresses": server.addresses,
        "accessIPv4": "",
        "accessIPv6": "",
        "links": links(base, "servers", server.id),
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": server.availability_zone or ("nova" if server.host else ""),
        "config_drive": server.config_drive,
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": server.launched_at,
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": [_volume(held, minor) for held in server.volumes],
    }
    if server.status in _IN_PROGRESS:
        view["progress"] = server.progress
    if server.fault is not None and server.status in ("ERROR", "DELETED"):
        view["fault"] = server.fault
    if server.addresses:
        view["security_groups"] = [{"name": name} for name in server.security_groups for _ in server.addresses]
    if is_admin:
        _add_extended(view, server, minor)
    _add_later(view, server, minor, is_single=is_single)
    return view


def short(view: Body) -> Body:
    """What an update or rebuild answers before 2.75: a server without what once were extensions."""
    kept = {
        key: value
        for key, value in view.items()
        if not key.startswith(("OS-EXT", "OS-SRV", "os-ext"))
        and key not in ("config_drive", "key_name", "host_status")
        and key != "security_groups"
    }
    kept["addresses"] = {
        name: [{"version": shown["version"], "addr": shown["addr"]} for shown in addresses]
        for name, addresses in view["addresses"].items()
    }
    return kept


def _add_extended(view: Body, server: Server, minor: int) -> None:
    view["OS-EXT-SRV-ATTR:host"] = server.host
    view["OS-EXT-SRV-ATTR:instance_name"] = f"instance-{server.number:08x}"
    view["OS-EXT-SRV-ATTR:hypervisor_hostname"] = server.host
    if minor >= 3:
        view["OS-EXT-SRV-ATTR:reservation_id"] = server.reservation_id
        view["OS-EXT-SRV-ATTR:launch_index"] = 0
        view["OS-EXT-SRV-ATTR:hostname"] = server.hostname
        view["OS-EXT-SRV-ATTR:kernel_id"] = ""
        view["OS-EXT-SRV-ATTR:ramdisk_id"] = ""
        view["OS-EXT-SRV-ATTR:root_device_name"] = "/dev/vda" if server.host else None
        view["OS-EXT-SRV-ATTR:user_data"] = server.user_data
    if minor >= 16:
        view["host_status"] = "UP" if server.host else ""


def _add_later(view: Body, server: Server, minor: int, *, is_single: bool) -> None:
    if minor >= 9:
        view["locked"] = server.is_locked
    if minor >= 19:
        view["description"] = server.description
    if minor >= 26:
        view["tags"] = server.tags
    if minor >= 63:
        view["trusted_image_certificates"] = None
    if minor >= 71 and is_single:
        view["server_groups"] = server.server_groups
    if minor >= 73:
        view["locked_reason"] = server.locked_reason
    if minor >= 90:
        view["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    if minor >= 96:
        view["pinned_availability_zone"] = server.availability_zone
    if minor >= 100:
        view["scheduler_hints"] = server.scheduler_hints


def _host_id(server: Server) -> str:
    if server.host is None:
        return ""
    return hashlib.sha224(f"{server.project_id}{server.host}".encode()).hexdigest()


def _image(server: Server, base: str, minor: int) -> Body:
    href = f"{base}/images/{server.image_id}"
    view: Body = {"id": server.image_id, "links": [{"rel": "bookmark", "href": href}]}
    if minor >= 98:
        view["properties"] = {}
    return view


def _flavor(flavor: Flavor, base: str, minor: int) -> Body:
    if minor < 47:
        href = f"{base}/flavors/{flavor.id}"
        return {"id": flavor.id, "links": [{"rel": "bookmark", "href": href}]}
    return {
        "vcpus": flavor.vcpus,
        "ram": flavor.ram_mb,
        "disk": flavor.disk_gb,
        "ephemeral": flavor.ephemeral_gb,
        "swap": flavor.swap_mb,
        "original_name": flavor.name,
        "extra_specs": flavor.extra_specs,
    }


def _volume(held: HeldVolume, minor: int) -> Body:
    if minor < 3:
        return {"id": held.volume_id}
    return {"id": held.volume_id, "delete_on_termination": held.is_deleted_with_server}


def flavor_brief(flavor: Flavor, base: str, minor: int) -> Body:
    """A flavor in a list without details."""
    view: Body = {"id": flavor.id, "name": flavor.name, "links": links(base, "flavors", flavor.id)}
    if minor >= 55:
        view["description"] = flavor.description
    return view


def flavor_detailed(flavor: Flavor, base: str, minor: int) -> Body:
    """A flavor with all its attributes."""
    view: Body = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.ram_mb,
        "disk": flavor.disk_gb,
        "swap": flavor.swap_mb or (0 if minor >= 75 else ""),
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gb,
        "vcpus": flavor.vcpus,
        "os-flavor-access:is_public": flavor.is_public,
        "links": links(base, "flavors", flavor.id),
    }
    if minor < 102:
        view["OS-FLV-DISABLED:disabled"] = False
        view["rxtx_factor"] = flavor.rxtx_factor
    if minor >= 55:
        view["description"] = flavor.description
    if minor >= 61:
        view["extra_specs"] = flavor.extra_specs
    return view


def key_pair_brief(pair: KeyPair, minor: int) -> Body:
    """A key pair in a list."""
    view: Body = {"name": pair.name, "public_key": pair.public_key, "fingerprint": pair.fingerprint}
    if minor >= 2:
        view["type"] = pair.kind
    return {"keypair": view}


def key_pair_detailed(pair: KeyPair, minor: int) -> Body:
    """A key pair shown alone."""
    inner: Body = key_pair_brief(pair, minor)["keypair"]
    inner.update(
        user_id=pair.user_id,
        id=pair.number,
        deleted=False,
        created_at=pair.created_at,
        updated_at=None,
        deleted_at=None,
    )
    return {"keypair": inner}


def server_group(group: ServerGroup, members: list[str], minor: int) -> Body:
    """A server group."""
    view: Body = {"id": group.id, "name": group.name, "members": members}
    if minor >= 64:
        view.update(policy=group.policy, rules=group.rules)
    else:
        view.update(policies=[group.policy], metadata={})
    if minor >= 13:
        view.update(project_id=group.project_id, user_id=group.user_id)
    return view


def volume_attachment(server: Server, held: HeldVolume, minor: int) -> Body:
    """A volume of a server."""
    view: Body = {"serverId": server.id, "volumeId": held.volume_id, "device": held.device}
    if minor < 89:
        view["id"] = held.volume_id
    else:
        view.update(attachment_id=held.attachment_id, bdm_uuid=held.attachment_id)
    if minor >= 70:
        view["tag"] = held.tag
    if minor >= 79:
        view["delete_on_termination"] = held.is_deleted_with_server
    return view


def interface(port: dict[str, Any], minor: int) -> Body:
    """A port of a server."""
    view: Body = {
        "net_id": port["network_id"],
        "port_id": port["id"],
        "mac_addr": port["mac_address"],
        "port_state": port["status"],
        "fixed_ips": port["fixed_ips"],
    }
    if minor >= 70:
        view["tag"] = None
    return view
