"""Nova: one short method per call.

Rules: bodies are built here and answers become typed values here; of an answer only what is used is decoded, which also is
what makes a list of a thousand servers cheap. What a caller may add to a new server are Nova's own keys.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.pages import PAGE_SIZE, all_pages
from osbench.common.cloud.paths import query, segment
from osbench.common.cloud.route import Route
from osbench.common.cloud.service_error import generalised
from osbench.common.cloud.session import Session
from osbench.common.record import CALL_WAITING

CREATE_SERVER = Route("compute", "POST", "/servers", frozenset({202}))
GET_SERVER = Route("compute", "GET", "/servers/{id}")
LIST_SERVERS = Route("compute", "GET", "/servers")
LIST_SERVERS_DETAILED = Route("compute", "GET", "/servers/detail")
DELETE_SERVER = Route("compute", "DELETE", "/servers/{id}", frozenset({204}))
FORCE_DELETE = Route("compute", "POST", "/servers/{id}/action forceDelete", frozenset({202}), True)
LIST_FLAVORS = Route("compute", "GET", "/flavors")
LIST_FLAVORS_DETAILED = Route("compute", "GET", "/flavors/detail")
GET_FLAVOR = Route("compute", "GET", "/flavors/{id}")
LIST_KEYPAIRS = Route("compute", "GET", "/os-keypairs")
CREATE_KEYPAIR = Route("compute", "POST", "/os-keypairs", frozenset({200, 201}))
DELETE_KEYPAIR = Route("compute", "DELETE", "/os-keypairs/{name}", frozenset({202, 204}))
GET_LIMITS = Route("compute", "GET", "/limits")

_FOUND_OR_GONE = frozenset({200, 404})


class Fault(msgspec.Struct, frozen=True):
    """Why a server is in ERROR."""

    message: str = ""
    code: int = 0


class Server(msgspec.Struct, frozen=True):
    """A server. The answer to a create has only its id."""

    id: str
    name: str = ""
    status: str = ""
    task_state: str | None = msgspec.field(default=None, name="OS-EXT-STS:task_state")
    fault: Fault | None = None
    tenant_id: str = ""
    metadata: dict[str, str] = {}


class Flavor(msgspec.Struct, frozen=True):
    """A flavor; sizes in MiB of memory and GiB of disk, 0 where a list was asked for without details."""

    id: str
    name: str = ""
    ram: int = 0
    vcpus: int = 0
    disk: int = 0


class Keypair(msgspec.Struct, frozen=True):
    """A key pair's public part."""

    name: str
    fingerprint: str = ""


class _Link(msgspec.Struct):
    rel: str = ""


class _ServerReply(msgspec.Struct):
    server: Server


class _ServersReply(msgspec.Struct):
    servers: list[Server]
    servers_links: list[_Link] = []


class _FlavorReply(msgspec.Struct):
    flavor: Flavor


class _FlavorsReply(msgspec.Struct):
    flavors: list[Flavor]
    flavors_links: list[_Link] = []


class _KeypairEntry(msgspec.Struct):
    keypair: Keypair


class _KeypairsReply(msgspec.Struct):
    keypairs: list[_KeypairEntry]


_decode_server = msgspec.json.Decoder(_ServerReply).decode
_decode_servers = msgspec.json.Decoder(_ServersReply).decode
_decode_flavor = msgspec.json.Decoder(_FlavorReply).decode
_decode_flavors = msgspec.json.Decoder(_FlavorsReply).decode
_decode_keypair = msgspec.json.Decoder(_KeypairEntry).decode
_decode_keypairs = msgspec.json.Decoder(_KeypairsReply).decode


def is_active(server: Server) -> bool:
    """Whether a new server is up.

    Raises:
        CallFailed: it went to ERROR; with its fault's message.
    """
    if server.status == "ERROR":
        raise in_error(server)
    return server.status == "ACTIVE"


def is_gone(server: Server | None) -> bool:
    """Whether a server whose deletion was asked for is no more; None is a server that was not found.

    A server may be in ERROR and on its way out; in ERROR with no task under way its deletion has failed.

    Raises:
        CallFailed: its deletion failed; with its fault's message.
    """
    if server is None or server.status in ("DELETED", "SOFT_DELETED"):
        return True
    if server.status == "ERROR" and server.task_state is None:
        raise in_error(server)
    return False


def in_error(server: Server) -> CallFailed:
    """The failure of a server that is in ERROR."""
    message = generalised(server.fault.message) if server.fault else "no fault given"
    return CallFailed(GET_SERVER.name, status=200, kind="server_in_error", message=message)


def _has_next(links: Iterable[_Link]) -> bool:
    return any(link.rel == "next" for link in links)


class Nova:
    """Compute calls of one session."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    async def create_server(
        self,
        name: str,
        flavor: str,
        image: str | None = None,
        *,
        networks: str | list[dict[str, Any]] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Server:
        """Ask for a server; it is building when this returns.

        Args:
            name: of the server. flavor: its id. image: its id, None when it boots from a volume.
            networks: [{"uuid": …}, …], or `auto` or `none` (microversion 2.37 and later demands one of these).
            more: further keys of Nova's `server`, e.g. {"availability_zone": …, "block_device_mapping_v2": …}.
        """
        server: dict[str, Any] = {"name": name, "flavorRef": flavor, **(more or {})}
        if image is not None:
            server["imageRef"] = image
        if networks is not None:
            server["networks"] = networks
        exchange = await self.session.call(CREATE_SERVER, "/servers", orjson.dumps({"server": server}))
        return self.session.decoded(CREATE_SERVER, exchange, _decode_server).server

    async def get_server(self, server_id: str) -> Server:
        """One server."""
        exchange = await self.session.call(GET_SERVER, "/servers/" + segment(server_id))
        return self.session.decoded(GET_SERVER, exchange, _decode_server).server

    async def poll_server(self, server_id: str) -> Server | None:
        """One server, asked for while waiting for a state; None if it is no more."""
        path = "/servers/" + segment(server_id)
        exchange = await self.session.call(GET_SERVER, path, expected=_FOUND_OR_GONE, flags=CALL_WAITING)
        if exchange.status == 404:
            return None
        return self.session.decoded(GET_SERVER, exchange, _decode_server).server

    async def list_servers(self, detailed: bool = True, **parameters: Any) -> list[Server]:
        """One page of servers, as Nova cuts it.

        Args:
            detailed: all of each server, or only ids and names.
            parameters: Nova's own: limit, marker, name, status, all_tenants, …
        """
        return (await self._servers_page(detailed, parameters))[0]

    async def list_all_servers(self, detailed: bool = True, **parameters: Any) -> list[Server]:
        """All pages of servers."""

        async def fetch(marker: str | None) -> tuple[list[Server], bool]:
            return await self._servers_page(detailed, {"limit": PAGE_SIZE, **parameters, "marker": marker})

        return await all_pages("servers", fetch)

    async def _servers_page(self, detailed: bool, parameters: Mapping[str, Any]) -> tuple[list[Server], bool]:
        route = LIST_SERVERS_DETAILED if detailed else LIST_SERVERS
        exchange = await self.session.call(route, route.path + query(parameters))
        reply = self.session.decoded(route, exchange, _decode_servers)
        return reply.servers, _has_next(reply.servers_links)

    async def delete_server(self, server_id: str) -> None:
        """Ask for a server's removal."""
        await self.session.call(DELETE_SERVER, "/servers/" + segment(server_id))

    async def force_delete(self, server_id: str) -> None:
        """Ask for a server's removal whatever its state, without keeping it for a while."""
        await self.session.call(FORCE_DELETE, f"/servers/{segment(server_id)}/action", b'{"forceDelete":null}')

    async def list_flavors(self, detailed: bool = True, **parameters: Any) -> list[Flavor]:
        """One page of flavors."""
        return (await self._flavors_page(detailed, parameters))[0]

    async def list_all_flavors(self, detailed: bool = True, **parameters: Any) -> list[Flavor]:
        """All pages of flavors."""

        async def fetch(marker: str | None) -> tuple[list[Flavor], bool]:
            return await self._flavors_page(detailed, {"limit": PAGE_SIZE, **parameters, "marker": marker})

        return await all_pages("flavors", fetch)

    async def _flavors_page(self, detailed: bool, parameters: Mapping[str, Any]) -> tuple[list[Flavor], bool]:
        route = LIST_FLAVORS_DETAILED if detailed else LIST_FLAVORS
        exchange = await self.session.call(route, route.path + query(parameters))
        reply = self.session.decoded(route, exchange, _decode_flavors)
        return reply.flavors, _has_next(reply.flavors_links)

    async def get_flavor(self, flavor_id: str) -> Flavor:
        """One flavor."""
        exchange = await self.session.call(GET_FLAVOR, "/flavors/" + segment(flavor_id))
        return self.session.decoded(GET_FLAVOR, exchange, _decode_flavor).flavor

    async def list_keypairs(self) -> list[Keypair]:
        """The user's key pairs."""
        exchange = await self.session.call(LIST_KEYPAIRS, "/os-keypairs")
        return [entry.keypair for entry in self.session.decoded(LIST_KEYPAIRS, exchange, _decode_keypairs).keypairs]

    async def create_keypair(self, name: str, **more: Any) -> Keypair:
        """Make or import (`public_key`) a key pair."""
        body = orjson.dumps({"keypair": {"name": name, **more}})
        exchange = await self.session.call(CREATE_KEYPAIR, "/os-keypairs", body)
        return self.session.decoded(CREATE_KEYPAIR, exchange, _decode_keypair).keypair

    async def delete_keypair(self, name: str) -> None:
        """Remove a key pair."""
        await self.session.call(DELETE_KEYPAIR, "/os-keypairs/" + segment(name))
