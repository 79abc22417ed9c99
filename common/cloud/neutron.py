"""Neutron: networks, and what a project has of its own that clean-up must find."""

from typing import Any

import msgspec

from osbench.common.cloud.pages import PAGE_SIZE, all_pages
from osbench.common.cloud.paths import query, segment
from osbench.common.cloud.route import Route
from osbench.common.cloud.session import Session

LIST_NETWORKS = Route("network", "GET", "/networks")
GET_NETWORK = Route("network", "GET", "/networks/{id}")
LIST_PORTS = Route("network", "GET", "/ports")
DELETE_PORT = Route("network", "DELETE", "/ports/{id}", frozenset({204}))
LIST_SECURITY_GROUPS = Route("network", "GET", "/security-groups")
DELETE_SECURITY_GROUP = Route("network", "DELETE", "/security-groups/{id}", frozenset({204}))


class Network(msgspec.Struct, frozen=True):
    """A network."""

    id: str
    name: str = ""
    status: str = ""
    project_id: str = ""
    shared: bool = False
    is_external: bool = msgspec.field(default=False, name="router:external")


class Port(msgspec.Struct, frozen=True):
    """A port; device_id is the server's that it belongs to."""

    id: str
    name: str = ""
    project_id: str = ""
    network_id: str = ""
    device_id: str = ""
    device_owner: str = ""


class SecurityGroup(msgspec.Struct, frozen=True):
    """A security group."""

    id: str
    name: str = ""
    project_id: str = ""


class _NetworksReply(msgspec.Struct):
    networks: list[Network]
    networks_links: list[dict[str, str]] = []


class _NetworkReply(msgspec.Struct):
    network: Network


class _PortsReply(msgspec.Struct):
    ports: list[Port]
    ports_links: list[dict[str, str]] = []


class _SecurityGroupsReply(msgspec.Struct):
    security_groups: list[SecurityGroup]
    security_groups_links: list[dict[str, str]] = []


_decode_networks = msgspec.json.Decoder(_NetworksReply).decode
_decode_network = msgspec.json.Decoder(_NetworkReply).decode
_decode_ports = msgspec.json.Decoder(_PortsReply).decode
_decode_security_groups = msgspec.json.Decoder(_SecurityGroupsReply).decode


def _has_next(links: list[dict[str, str]]) -> bool:
    return any(link.get("rel") == "next" for link in links)


class Neutron:
    """Network calls of one session."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    async def list_networks(self, **parameters: Any) -> list[Network]:
        """Networks that can be seen; `parameters` are Neutron's filters, e.g. name, project_id."""

        async def fetch(marker: str | None) -> tuple[list[Network], bool]:
            path = "/networks" + query({"limit": PAGE_SIZE, **parameters, "marker": marker})
            exchange = await self.session.call(LIST_NETWORKS, path)
            reply = self.session.decoded(LIST_NETWORKS, exchange, _decode_networks)
            return reply.networks, _has_next(reply.networks_links)

        return await all_pages("networks", fetch)

    async def get_network(self, network_id: str) -> Network:
        """One network."""
        exchange = await self.session.call(GET_NETWORK, "/networks/" + segment(network_id))
        return self.session.decoded(GET_NETWORK, exchange, _decode_network).network

    async def list_ports(self, **parameters: Any) -> list[Port]:
        """Ports; `parameters` are Neutron's filters, e.g. device_id, project_id."""

        async def fetch(marker: str | None) -> tuple[list[Port], bool]:
            path = "/ports" + query({"limit": PAGE_SIZE, **parameters, "marker": marker})
            exchange = await self.session.call(LIST_PORTS, path)
            reply = self.session.decoded(LIST_PORTS, exchange, _decode_ports)
            return reply.ports, _has_next(reply.ports_links)

        return await all_pages("ports", fetch)

    async def delete_port(self, port_id: str) -> None:
        """Remove a port."""
        await self.session.call(DELETE_PORT, "/ports/" + segment(port_id))

    async def list_security_groups(self, **parameters: Any) -> list[SecurityGroup]:
        """Security groups; `parameters` are Neutron's filters, e.g. project_id."""

        async def fetch(marker: str | None) -> tuple[list[SecurityGroup], bool]:
            path = "/security-groups" + query({"limit": PAGE_SIZE, **parameters, "marker": marker})
            exchange = await self.session.call(LIST_SECURITY_GROUPS, path)
            reply = self.session.decoded(LIST_SECURITY_GROUPS, exchange, _decode_security_groups)
            return reply.security_groups, _has_next(reply.security_groups_links)

        return await all_pages("security groups", fetch)

    async def delete_security_group(self, group_id: str) -> None:
        """Remove a security group."""
        await self.session.call(DELETE_SECURITY_GROUP, "/security-groups/" + segment(group_id))
