"""What Neutron knows, and the rules between its records: who may see what, what is in use, what is over quota.

Rules: pure. A record is a dictionary with the attributes its body shows; those only an admin is shown are left out by
the routes. Everything is created at once: Neutron has no waiting states here.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from osbench.deploy.simulated.exchange import Refused
from osbench.deploy.simulated.identity.tokens import Token
from osbench.deploy.simulated.network.addresses import AddressPool
from osbench.deploy.simulated.world import World

Record = dict[str, Any]

#: singular -> plural; quotas are named by the singular.
KINDS = {
    "network": "networks",
    "subnet": "subnets",
    "port": "ports",
    "router": "routers",
    "security_group": "security_groups",
    "security_group_rule": "security_group_rules",
    "floatingip": "floatingips",
}
_WORDS = {
    "network": ("Network", "NetworkNotFound"),
    "subnet": ("Subnet", "SubnetNotFound"),
    "port": ("Port", "PortNotFound"),
    "router": ("Router", "RouterNotFound"),
    "security_group": ("Security group", "SecurityGroupNotFound"),
    "security_group_rule": ("Security group rule", "SecurityGroupRuleNotFound"),
    "floatingip": ("Floating IP", "FloatingIPNotFound"),
}


@dataclass(slots=True)
class NetworkStore:
    """All records by kind (singular) and id."""

    world: World
    records: dict[str, dict[str, Record]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    quotas: dict[str, dict[str, int]] = field(default_factory=dict)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _pools: dict[str, AddressPool] = field(default_factory=dict)
    _ports_of_device: dict[str, dict[str, None]] = field(default_factory=dict)
    _ports_of_network: dict[str, dict[str, None]] = field(default_factory=dict)
    _macs: int = 0

    # ---- what all kinds share

    def get(self, kind: str, record_id: str) -> Record:
        """Any record by id.

        Raises:
            Refused: 404.
        """
        record = self.records[kind].get(record_id)
        if record is None:
            word, name = _WORDS[kind]
            raise Refused(404, f"{word} {record_id} could not be found.", kind=name)
        return record

    def visible(self, token: Token, kind: str, record_id: str) -> Record:
        """A record the caller may see.

        Raises:
            Refused: 404.
        """
        record = self.get(kind, record_id)
        if not self.may_see(token, kind, record):
            word, name = _WORDS[kind]
            raise Refused(404, f"{word} {record_id} could not be found.", kind=name)
        return record

    def owned(self, token: Token, kind: str, record_id: str) -> Record:
        """A record the caller may change; one he may only see is not found for a change, as Neutron answers.

        Raises:
            Refused: 404 or 403.
        """
        record = self.visible(token, kind, record_id)
        if not token.is_admin and record["project_id"] != token.project_id:
            raise Refused(403, f"(rule:update_{kind}) is disallowed by policy", kind="PolicyNotAuthorized")
        return record

    def may_see(self, token: Token, kind: str, record: Record) -> bool:
        """Whether a list shows this record to the caller."""
        if token.is_admin or record["project_id"] == token.project_id:
            return True
        if kind == "network":
            return bool(record["shared"] or record["router:external"])
        if kind == "subnet":
            return bool(self.records["network"][record["network_id"]]["shared"])
        return False

    def limits(self, project_id: str) -> dict[str, int]:
        """The limits of a project by kind; -1 is unlimited."""
        defaults: dict[str, int] = msgspec.structs.asdict(self.world.spec.quotas.network)
        return {**defaults, **self.quotas.get(project_id, {})}

    def used(self, project_id: str, kind: str) -> int:
        """How many records of a kind a project has."""
        return self._counts[project_id, kind]

    def _add(self, kind: str, record: Record) -> Record:
        project_id = record["project_id"]
        limit = self.limits(project_id).get(kind, -1)
        if 0 <= limit <= self.used(project_id, kind):
            raise Refused(409, f"Quota exceeded for resources: ['{kind}'].", kind="OverQuota")
        now = self.world.stamp()
        record.update(created_at=now, updated_at=now, revision_number=0 if kind == "security_group_rule" else 1)
        if kind != "security_group_rule":
            record["tags"] = []
        self.records[kind][record["id"]] = record
        self._counts[project_id, kind] += 1
        return record

    def _drop(self, kind: str, record_id: str) -> Record:
        record = self.records[kind].pop(record_id)
        self._counts[record["project_id"], kind] -= 1
        return record

    def _new(self, project_id: str, body: Record) -> Record:
        return {
            "id": self.world.uuid(),
            "name": str(body.get("name", "")),
            "tenant_id": project_id,
            "project_id": project_id,
            "description": str(body.get("description", "")),
        }

    def touch(self, record: Record) -> None:
        """Note a change."""
        record["updated_at"] = self.world.stamp()
        record["revision_number"] += 1

    # ---- networks and subnets

    def create_network(self, project_id: str, body: Record) -> Record:
        """A new network.

        Raises:
            Refused: 409 over quota.
        """
        is_external = bool(body.get("router:external", False))
        record = {
            **self._new(project_id, body),
            "admin_state_up": bool(body.get("admin_state_up", True)),
            "mtu": int(body.get("mtu", 1500)),
            "status": "ACTIVE",
            "subnets": [],
            "shared": bool(body.get("shared", False)),
            "availability_zone_hints": list(body.get("availability_zone_hints", ())),
            "availability_zones": [],
            "ipv4_address_scope": None,
            "ipv6_address_scope": None,
            "router:external": is_external,
            "qinq": bool(body.get("qinq", False)),
            "vlan_transparent": bool(body.get("vlan_transparent", False)),
            "port_security_enabled": bool(body.get("port_security_enabled", True)),
            "provider:network_type": body.get("provider:network_type", "local"),
            "provider:physical_network": body.get("provider:physical_network"),
            "provider:segmentation_id": body.get("provider:segmentation_id"),
        }
        self._add("network", record)
        if is_external:
            record["is_default"] = False
        return record

    def delete_network(self, network_id: str) -> None:
        """Remove a network and its subnets.

        Raises:
            Refused: 409 while ports are on it.
        """
        if self._ports_of_network.get(network_id):
            raise Refused(
                409,
                f"Unable to complete operation on network {network_id}. There are one or more ports still in use on "
                f"the network, id for these ports is: {', '.join(self._ports_of_network[network_id])}.",
                kind="NetworkInUse",
            )
        record = self._drop("network", network_id)
        for subnet_id in record["subnets"]:
            self._drop("subnet", subnet_id)
            del self._pools[subnet_id]

    def create_subnet(self, project_id: str, body: Record) -> Record:
        """A new subnet with its address pool.

        Raises:
            Refused: 400 on a wrong cidr, 409 over quota.
        """
        network = self.get("network", str(body.get("network_id")))
        cidr = _cidr(body.get("cidr"), body.get("ip_version", 4))
        hosts_first, hosts_last = _hosts(cidr)
        gateway = body.get("gateway_ip", str(cidr[1]) if cidr.num_addresses > 2 else None)
        pools = body.get("allocation_pools") or _pools(cidr, gateway, hosts_first, hosts_last)
        record = {
            **self._new(project_id, body),
            "network_id": network["id"],
            "ip_version": cidr.version,
            "subnetpool_id": None,
            "enable_dhcp": bool(body.get("enable_dhcp", True)),
            "ipv6_ra_mode": body.get("ipv6_ra_mode"),
            "ipv6_address_mode": body.get("ipv6_address_mode"),
            "gateway_ip": gateway,
            "cidr": str(cidr),
            "allocation_pools": pools,
            "host_routes": list(body.get("host_routes", ())),
            "dns_nameservers": list(body.get("dns_nameservers", ())),
            "service_types": list(body.get("service_types", ())),
            "router:external": network["router:external"],
        }
        numbers = [(int(ipaddress.ip_address(pool["start"])), int(ipaddress.ip_address(pool["end"]))) for pool in pools]
        self._add("subnet", record)
        self._pools[record["id"]] = AddressPool(cidr.version, numbers, network["id"])
        network["subnets"].append(record["id"])
        return record

    def delete_subnet(self, subnet_id: str) -> None:
        """Remove a subnet.

        Raises:
            Refused: 409 while ports have addresses of it.
        """
        record = self.get("subnet", subnet_id)
        for port_id in self._ports_of_network.get(record["network_id"], ()):
            if any(fixed["subnet_id"] == subnet_id for fixed in self.records["port"][port_id]["fixed_ips"]):
                raise Refused(
                    409,
                    f"Unable to complete operation on subnet {subnet_id}: "
                    "One or more ports have an IP allocation from this subnet.",
                    kind="SubnetInUse",
                )
        self._drop("subnet", subnet_id)
        del self._pools[subnet_id]
        self.records["network"][record["network_id"]]["subnets"].remove(subnet_id)

    # ---- ports

    def create_port(self, project_id: str, body: Record) -> Record:
        """A new port with one address of the network's first subnet, or with those asked for.

        Raises:
            Refused: 404 on an unknown network, 409 over quota or without addresses.
        """
        network = self.get("network", str(body.get("network_id")))
        groups = body.get("security_groups")
        if groups is None:
            groups = [self.default_group(project_id)["id"]]
        record = {
            **self._new(project_id, body),
            "network_id": network["id"],
            "mac_address": body.get("mac_address") or self._mac(),
            "admin_state_up": bool(body.get("admin_state_up", True)),
            "status": "ACTIVE" if body.get("binding:host_id") else "DOWN",
            "device_id": str(body.get("device_id", "")),
            "device_owner": str(body.get("device_owner", "")),
            "fixed_ips": [],
            "allowed_address_pairs": list(body.get("allowed_address_pairs", ())),
            "extra_dhcp_opts": list(body.get("extra_dhcp_opts", ())),
            "security_groups": list(groups),
            "port_security_enabled": bool(body.get("port_security_enabled", network["port_security_enabled"])),
            "binding:vnic_type": body.get("binding:vnic_type", "normal"),
            "binding:profile": body.get("binding:profile") or {},
            "binding:host_id": body.get("binding:host_id", ""),
            "binding:vif_type": "ovs" if body.get("binding:host_id") else "unbound",
            "binding:vif_details": {},
        }
        self._add("port", record)
        try:
            record["fixed_ips"] = self._addresses(network, body.get("fixed_ips"))
        except Refused:
            self._drop("port", record["id"])
            raise
        self._ports_of_network.setdefault(network["id"], {})[record["id"]] = None
        if record["device_id"]:
            self._ports_of_device.setdefault(record["device_id"], {})[record["id"]] = None
        return record

    def rebind_port(self, record: Record, *, device_id: str, device_owner: str, host: str) -> None:
        """Give a port to a device, or to none (all empty)."""
        if record["device_id"]:
            self._ports_of_device.get(record["device_id"], {}).pop(record["id"], None)
        record.update(device_id=device_id, device_owner=device_owner, status="ACTIVE" if host else "DOWN")
        record["binding:host_id"] = host
        record["binding:vif_type"] = "ovs" if host else "unbound"
        if device_id:
            self._ports_of_device.setdefault(device_id, {})[record["id"]] = None
        self.touch(record)

    def delete_port(self, port_id: str) -> None:
        """Remove a port and give its addresses back."""
        record = self._drop("port", port_id)
        for fixed in record["fixed_ips"]:
            self._pools[fixed["subnet_id"]].give_back(fixed["ip_address"])
        self._ports_of_network[record["network_id"]].pop(port_id)
        mine = self._ports_of_device.get(record["device_id"])
        if mine is not None:
            mine.pop(port_id, None)
            if not mine:
                del self._ports_of_device[record["device_id"]]
        for floating in self.records["floatingip"].values():
            if floating["port_id"] == port_id:
                floating.update(port_id=None, fixed_ip_address=None, router_id=None, status="DOWN")

    def ports_of(self, device_id: str) -> list[Record]:
        """The ports of a server or router."""
        return [self.records["port"][port_id] for port_id in self._ports_of_device.get(device_id, ())]

    def _addresses(self, network: Record, wanted: Iterable[Record] | None) -> list[Record]:
        if wanted is None:
            wanted = [{"subnet_id": network["subnets"][0]}] if network["subnets"] else []
        addresses = []
        for fixed in wanted:
            subnet_id = fixed.get("subnet_id") or self._subnet_with(network, str(fixed.get("ip_address")))
            pool = self._pools.get(subnet_id)
            if pool is None:
                raise Refused(404, f"Subnet {subnet_id} could not be found.", kind="SubnetNotFound")
            addresses.append({"subnet_id": subnet_id, "ip_address": pool.take(fixed.get("ip_address"))})
        return addresses

    def _subnet_with(self, network: Record, address: str) -> str:
        for subnet_id in network["subnets"]:
            if ipaddress.ip_address(address) in ipaddress.ip_network(self.records["subnet"][subnet_id]["cidr"]):
                return str(subnet_id)
        raise Refused(
            400,
            f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
            kind="InvalidIpForNetwork",
        )

    def _mac(self) -> str:
        self._macs += 1
        return "fa:16:3e:" + ":".join(f"{self._macs >> shift & 255:02x}" for shift in (16, 8, 0))

    # ---- security groups

    def default_group(self, project_id: str) -> Record:
        """The project's security group `default`, made when first asked for."""
        for group in self.records["security_group"].values():
            if group["project_id"] == project_id and group["name"] == "default":
                return group
        return self.create_group(project_id, {"name": "default", "description": "Default security group"})

    def create_group(self, project_id: str, body: Record) -> Record:
        """A new security group with its two egress rules (and ingress from itself, for `default`).

        Raises:
            Refused: 409 over quota.
        """
        record = {**self._new(project_id, body), "stateful": bool(body.get("stateful", True)), "shared": False}
        self._add("security_group", record)
        rules = [{"direction": "egress", "ethertype": "IPv4"}, {"direction": "egress", "ethertype": "IPv6"}]
        if record["name"] == "default":
            rules += [
                {"direction": "ingress", "ethertype": kind, "remote_group_id": record["id"]}
                for kind in ("IPv4", "IPv6")
            ]
        for rule in rules:
            self.create_rule(project_id, {**rule, "security_group_id": record["id"]})
        return record

    def create_rule(self, project_id: str, body: Record) -> Record:
        """A new rule of a security group.

        Raises:
            Refused: 404 on an unknown group, 409 over quota or when it is there.
        """
        group = self.get("security_group", str(body.get("security_group_id")))
        record = {
            **{key: value for key, value in self._new(project_id, body).items() if key != "name"},
            "security_group_id": group["id"],
            "ethertype": body.get("ethertype", "IPv4"),
            "direction": body.get("direction"),
            "protocol": body.get("protocol"),
            "port_range_min": body.get("port_range_min"),
            "port_range_max": body.get("port_range_max"),
            "remote_ip_prefix": body.get("remote_ip_prefix"),
            "remote_address_group_id": None,
            "normalized_cidr": body.get("remote_ip_prefix"),
            "remote_group_id": body.get("remote_group_id"),
            "belongs_to_default_sg": group["name"] == "default",
        }
        same = ("ethertype", "direction", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix",
                "remote_group_id")  # fmt: skip
        for other in self.rules_of(group["id"]):
            if all(other[key] == record[key] for key in same):
                raise Refused(
                    409,
                    f"Security group rule already exists. Rule id is {other['id']}.",
                    kind="SecurityGroupRuleExists",
                )
        return self._add("security_group_rule", record)

    def rules_of(self, group_id: str) -> list[Record]:
        """The rules of a security group."""
        return [rule for rule in self.records["security_group_rule"].values() if rule["security_group_id"] == group_id]

    def delete_group(self, group_id: str) -> None:
        """Remove a security group with its rules.

        Raises:
            Refused: 409 while ports use it, or for `default`.
        """
        if any(group_id in port["security_groups"] for port in self.records["port"].values()):
            raise Refused(409, f"Security Group {group_id} in use.", kind="SecurityGroupInUse")
        for rule in self.rules_of(group_id):
            self._drop("security_group_rule", rule["id"])
        self._drop("security_group", group_id)

    def delete_rule(self, rule_id: str) -> None:
        """Remove one rule."""
        self._drop("security_group_rule", rule_id)

    # ---- routers and floating addresses

    def create_router(self, project_id: str, body: Record) -> Record:
        """A new router, with a port on its external network where one is named.

        Raises:
            Refused: 404 on an unknown network, 409 over quota.
        """
        record = {
            **self._new(project_id, body),
            "admin_state_up": bool(body.get("admin_state_up", True)),
            "status": "ACTIVE",
            "external_gateway_info": None,
            "availability_zones": [],
            "availability_zone_hints": list(body.get("availability_zone_hints", ())),
            "routes": [],
            "flavor_id": None,
            "distributed": False,
            "ha": False,
        }
        self._add("router", record)
        self.set_gateway(record, body.get("external_gateway_info"))
        return record

    def set_gateway(self, router: Record, wanted: Record | None) -> None:
        """Connect a router to an external network, or to none."""
        for port in self.ports_of(router["id"]):
            if port["device_owner"] == "network:router_gateway":
                self.delete_port(port["id"])
        router["external_gateway_info"] = None
        if wanted:
            network_id = str(wanted.get("network_id"))
            port = self.create_port(
                router["project_id"],
                {
                    "network_id": network_id,
                    "device_id": router["id"],
                    "device_owner": "network:router_gateway",
                    "security_groups": [],
                },
            )
            router["external_gateway_info"] = {
                "network_id": network_id,
                "external_fixed_ips": port["fixed_ips"],
                "enable_snat": bool(wanted.get("enable_snat", True)),
            }

    def delete_router(self, router_id: str) -> None:
        """Remove a router.

        Raises:
            Refused: 409 while it has interfaces.
        """
        ports = self.ports_of(router_id)
        if any(port["device_owner"] == "network:router_interface" for port in ports):
            ids = ", ".join(port["id"] for port in ports if port["device_owner"] == "network:router_interface")
            raise Refused(409, f"Router {router_id} has ports still attached: {ids}", kind="RouterInUse")
        for port in ports:
            self.delete_port(port["id"])
        self._drop("router", router_id)

    def add_interface(self, router: Record, body: Record) -> Record:
        """Connect a router to a subnet, by the subnet or by a port on it; the port.

        Raises:
            Refused: 400 without either, 404 on an unknown one, 409 when the gateway's address is taken.
        """
        owner = {"device_id": router["id"], "device_owner": "network:router_interface"}
        if body.get("port_id"):
            port = self.get("port", str(body["port_id"]))
            self.rebind_port(port, host="", **owner)
            return port
        if not body.get("subnet_id"):
            raise Refused(400, "Bad router request: Either subnet_id or port_id must be specified.", kind="BadRequest")
        subnet = self.get("subnet", str(body["subnet_id"]))
        fixed = {"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}
        return self.create_port(
            router["project_id"],
            {"network_id": subnet["network_id"], "fixed_ips": [fixed], "security_groups": [], **owner},
        )

    def remove_interface(self, router: Record, body: Record) -> Record:
        """Disconnect a router from a subnet; the port that was.

        Raises:
            Refused: 404 when it is not connected to it.
        """
        for port in self.ports_of(router["id"]):
            on_subnet = any(fixed["subnet_id"] == body.get("subnet_id") for fixed in port["fixed_ips"])
            if port["device_owner"] == "network:router_interface" and (on_subnet or port["id"] == body.get("port_id")):
                self.delete_port(port["id"])
                return port
        raise Refused(
            404,
            f"Router {router['id']} has no interface on subnet {body.get('subnet_id')}",
            kind="RouterInterfaceNotFoundForSubnet",
        )

    def create_floating(self, project_id: str, body: Record) -> Record:
        """A new floating address of an external network.

        Raises:
            Refused: 404 on an unknown network, 400 on one that is not external, 409 over quota.
        """
        network = self.get("network", str(body.get("floating_network_id")))
        if not network["router:external"]:
            raise Refused(400, f"Bad floatingip request: Network {network['id']} is not a valid external network.",
                          kind="BadRequest")  # fmt: skip
        address = self._addresses(network, None)[0]
        record = {
            **{key: value for key, value in self._new(project_id, body).items() if key != "name"},
            "floating_network_id": network["id"],
            "floating_ip_address": address["ip_address"],
            "fixed_ip_address": None,
            "port_id": None,
            "router_id": None,
            "status": "DOWN",
            "port_details": None,
            "qos_policy_id": None,
        }
        self._add("floatingip", record)
        record["_subnet_id"] = address["subnet_id"]
        self.associate(record, body.get("port_id"))
        return record

    def associate(self, floating: Record, port_id: str | None) -> None:
        """Point a floating address to a port, or to none."""
        if port_id is None:
            floating.update(port_id=None, fixed_ip_address=None, status="DOWN", port_details=None)
            return
        port = self.get("port", port_id)
        fixed = port["fixed_ips"][0]["ip_address"] if port["fixed_ips"] else None
        floating.update(port_id=port_id, fixed_ip_address=fixed, status="ACTIVE")
        floating["port_details"] = {
            key: port[key]
            for key in ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
        }

    def delete_floating(self, floating_id: str) -> None:
        """Remove a floating address."""
        record = self._drop("floatingip", floating_id)
        self._pools[record["_subnet_id"]].give_back(record["floating_ip_address"])


Cidr = ipaddress.IPv4Network | ipaddress.IPv6Network


def _cidr(text: Any, version: Any) -> Cidr:
    try:
        cidr = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        cidr = None
    if cidr is None or cidr.version != version:
        raise Refused(
            400,
            f"Invalid input for operation: {text} is not in a CIDR format.",
            kind="InvalidInput",
        )
    return cidr


def _hosts(cidr: Cidr) -> tuple[int, int]:
    first, last = int(cidr.network_address), int(cidr.broadcast_address)
    if cidr.num_addresses > 2:
        return first + 1, last - 1 if cidr.version == 4 else last
    return first, last


def _pools(cidr: Cidr, gateway: str | None, first: int, last: int) -> list[Record]:
    """The pools around the gateway, as Neutron makes them when none are given."""
    make = ipaddress.IPv4Address if cidr.version == 4 else ipaddress.IPv6Address
    spans = [(first, last)]
    if gateway is not None:
        hole = int(ipaddress.ip_address(gateway))
        spans = [span for span in ((first, hole - 1), (hole + 1, last)) if span[0] <= span[1]]
        if not first <= hole <= last:
            spans = [(first, last)]
    return [{"start": str(make(low)), "end": str(make(high))} for low, high in spans]
