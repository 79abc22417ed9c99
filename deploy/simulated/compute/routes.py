"""Nova's service: version documents, microversions, error bodies, and the routes of servers.

Rules: the rest of Nova's routes (flavors, key pairs, quotas, hosts) is in admin.py; what an action does is in
actions.py.
"""

import re
from typing import Any
from urllib.parse import urlencode

from osbench.deploy.simulated.block_storage.store import BlockStorageStore
from osbench.deploy.simulated.compute import views
from osbench.deploy.simulated.compute.actions import Actions
from osbench.deploy.simulated.compute.admin import AdminRoutes
from osbench.deploy.simulated.compute.boot import Boot
from osbench.deploy.simulated.compute.catalog import Catalog, Flavor
from osbench.deploy.simulated.compute.parts import PartRoutes
from osbench.deploy.simulated.compute.store import Server, ServerStore
from osbench.deploy.simulated.exchange import (
    Answer,
    Body,
    Refused,
    Request,
    integer_of,
    json_answer,
    json_body,
    json_object,
    text_of,
    webob_page,
)
from osbench.deploy.simulated.identity.tokens import TokenBook
from osbench.deploy.simulated.image.store import ImageStore
from osbench.deploy.simulated.microversions import refused_version, requested_minor
from osbench.deploy.simulated.network.store import NetworkStore
from osbench.deploy.simulated.service import Call, Service, Stage
from osbench.deploy.simulated.world import World

MAX_MINOR = 104
#: Nova's `osapi_max_limit`.
MAX_PAGE = 1_000
#: Kind of the refusal of a path that leads nowhere.
_UNROUTED = "unrouted"
_FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


class ComputeService(Service):
    """Nova."""

    def __init__(
        self,
        world: World,
        tokens: TokenBook,
        *,
        images: ImageStore,
        network: NetworkStore,
        block_storage: BlockStorageStore,
    ) -> None:
        super().__init__("compute", world, tokens)
        self.servers = ServerStore(world, network, block_storage)
        self.catalog = Catalog(world)
        self._boot = Boot(
            world,
            servers=self.servers,
            catalog=self.catalog,
            images=images,
            network=network,
            block_storage=block_storage,
        )
        self._actions = Actions(world, self.servers, self.catalog, images)
        for spec in world.spec.flavors:
            self.catalog.add_flavor(
                Flavor(id=spec.id, name=spec.name, ram_mb=spec.ram_mb, vcpus=spec.vcpus, disk_gb=spec.disk_gb)
            )
        self._add_routes()
        AdminRoutes(world, self.servers, self.catalog).add_to(self)
        PartRoutes(world, self.servers, network, block_storage).add_to(self)

    def _add_routes(self) -> None:
        route = self.route
        route("GET", "/", self._versions, is_open=True)
        route("GET", "/v2.1", self._version, is_open=True)
        route("GET", "/v2.1/servers", self._list)
        route("POST", "/v2.1/servers", self._create)
        route("GET", "/v2.1/servers/detail", self._list_detailed)
        route("GET", "/v2.1/servers/{id}", self._show)
        route("PUT", "/v2.1/servers/{id}", self._update)
        route("DELETE", "/v2.1/servers/{id}", self._delete)
        route("POST", "/v2.1/servers/{id}/action", self._actions.act)

    # ---- habits

    def negotiate(self, request: Request) -> int:
        return requested_minor(
            request,
            service="compute",
            legacy_header="x-openstack-nova-api-version",
            major=2,
            default=1,
            maximum=MAX_MINOR,
            least=1,
        )

    def unknown_path(self, request: Request, methods: frozenset[str]) -> Refused:
        if methods:
            return super().unknown_path(request, methods)
        return Refused(404, "The resource could not be found.", kind=_UNROUTED)

    def error_answer(self, request: Request, refused: Refused) -> Answer:
        if refused.kind == _UNROUTED:
            return webob_page(request, refused.status, refused.message)
        name = _FAULTS.get(refused.status, "computeFault")
        fault: Body = {"code": refused.status, "message": refused.message}
        for header, value in refused.headers:
            if header == "Retry-After" and refused.status in (413, 429):
                fault["retryAfter"] = value
        answer = json_answer(refused.status, {name: fault})
        answer.headers[0] = ("Content-Type", "application/json; charset=UTF-8")
        return answer

    def dress(self, answer: Answer, request: Request, minor: int, stage: Stage) -> None:
        headers = answer.headers
        if stage is Stage.DOCUMENT:
            return
        if stage is Stage.HANDLED:
            if not answer.body:
                headers.append(("Content-Type", "application/json"))
            # A version out of range is echoed as it was asked for; one that is none is not.
            version = f"2.{minor}" if minor else refused_version(request, "compute", answer.status)
            if version:
                headers.append(("OpenStack-API-Version", f"compute {version}"))
                headers.append(("X-OpenStack-Nova-API-Version", version))
                headers.append(("Vary", "OpenStack-API-Version, X-OpenStack-Nova-API-Version"))
        headers.append(("x-openstack-request-id", request.request_id))
        headers.append(("x-compute-request-id", request.request_id))

    # ---- version documents

    def _version_body(self, call: Call) -> Body:
        return {
            "id": "v2.1",
            "status": "CURRENT",
            "version": f"2.{MAX_MINOR}",
            "min_version": "2.1",
            "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": f"{call.base}/v2.1/"}],
        }

    def _versions(self, call: Call) -> Answer:
        old = {
            "id": "v2.0",
            "status": "DEPRECATED",
            "version": "",
            "min_version": "",
            "updated": "2025-07-04T12:00:00Z",
            "links": [{"rel": "self", "href": f"{call.base}/v2/"}],
        }
        return json_answer(200, {"versions": [old, self._version_body(call)]})

    def _version(self, call: Call) -> Answer:
        body = self._version_body(call)
        body["links"].append({"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
        body["media-types"] = [
            {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
        ]
        return json_answer(200, {"version": body})

    # ---- servers

    def _project(self, call: Call) -> str | None:
        """The project whose single servers the caller may reach; None: any."""
        return None if call.token.is_admin else call.token.project_id

    def _create(self, call: Call) -> Answer:
        if not call.token.project_id:
            raise self.forbidden("os_compute_api:servers:create")
        document = json_body(call.request)
        booted = self._boot.boot(call, document)
        body = document["server"]
        if body.get("return_reservation_id") in (True, "True", "true"):
            return json_answer(202, {"reservation_id": booted.reservation_id})
        server = booted.servers[0]
        view: Body = {
            "id": server.id,
            "links": views.links(call.base, "servers", server.id),
            "OS-DCF:diskConfig": body.get("OS-DCF:diskConfig", "MANUAL"),
            "security_groups": body.get("security_groups") or [{"name": "default"}],
            "adminPass": booted.password,
        }
        return json_answer(202, {"server": view}, ("Location", f"{call.base}/v2.1/servers/{server.id}"))

    def _show(self, call: Call) -> Answer:
        server = self.servers.get(self._project(call), call.params[0])
        view = views.detailed(server, call.base, call.minor, is_admin=call.token.is_admin)
        return json_answer(200, {"server": view})

    def _update(self, call: Call) -> Answer:
        server = self.servers.get(self._project(call), call.params[0])
        body = json_object(call.request, "server")
        if "name" in body:
            server.name = text_of(body, "name")
        if "description" in body and call.minor >= 19:
            server.description = body["description"]
        if "hostname" in body and call.minor >= 90:
            server.hostname = text_of(body, "hostname")
        server.updated_at = self.world.stamp()
        view = views.detailed(server, call.base, call.minor, is_admin=call.token.is_admin)
        return json_answer(200, {"server": view if call.minor >= 75 else views.short(view)})

    def _delete(self, call: Call) -> Answer:
        server = self.servers.get(self._project(call), call.params[0])
        if server.is_locked and not call.token.is_admin:
            raise Refused(409, f"Instance {server.id} is locked")
        self.servers.delete(server)
        return Answer(status=204)

    # ---- lists

    def _list(self, call: Call) -> Answer:
        servers, following = self._page(call, "index")
        return self._listed([views.brief(server, call.base) for server in servers], following)

    def _list_detailed(self, call: Call) -> Answer:
        servers, following = self._page(call, "detail")
        is_admin = call.token.is_admin
        found = [
            views.detailed(server, call.base, call.minor, is_admin=is_admin, is_single=False) for server in servers
        ]
        return self._listed(found, following)

    def _listed(self, found: list[Body], following: str) -> Answer:
        body: Body = {"servers": found}
        if following:
            body["servers_links"] = [{"rel": "next", "href": following}]
        return json_answer(200, body)

    def _page(self, call: Call, what: str) -> tuple[list[Server], str]:
        """The servers of the page asked for, and the URL of the next one ("" when there is none)."""
        request = call.request
        is_all = request.first("all_tenants", "0").lower() in ("1", "true", "yes", "on", "")
        is_all = is_all and any(name == "all_tenants" for name, _ in request.query)
        if is_all and not call.token.is_admin:
            raise self.forbidden(f"os_compute_api:servers:{what}:get_all_tenants")
        wanted_project = request.first("project_id") or request.first("tenant_id")
        project: str | None = call.token.project_id
        if is_all:
            project = wanted_project or None
        servers = [server for server in self.servers.of_project(project) if _fits(request, server)]
        servers = _sorted(request, servers)
        marker = request.first("marker")
        if marker:
            places = [index for index, server in enumerate(servers) if server.id == marker]
            if not places:
                raise Refused(400, f"marker [{marker}] not found")
            servers = servers[places[0] + 1 :]
        text = request.first("limit")
        limit = min(integer_of(text, "limit", low=0, high=2**31), MAX_PAGE) if text else MAX_PAGE
        if limit == 0 or len(servers) <= limit:
            # Nova gives a next link whenever a page is full and a limit was asked for.
            is_full = bool(text) and 0 < limit == len(servers)
            return servers, self._following(call, what, servers) if is_full else ""
        return servers[:limit], self._following(call, what, servers[:limit])

    def _following(self, call: Call, what: str, servers: list[Server]) -> str:
        kept = [(name, value) for name, value in call.request.query if name != "marker"]
        path = "/servers/detail" if what == "detail" else "/servers"
        return f"{call.base}/v2.1{path}?" + urlencode([*kept, ("marker", servers[-1].id)])


def _fits(request: Request, server: Server) -> bool:
    for name, value in request.query:
        match name:
            case "name":
                if not _found(value, server.name):
                    return False
            case "status":
                if value.upper() not in ("", server.status):
                    return False
            case "flavor":
                if value not in (server.flavor.id, ""):
                    return False
            case "image":
                if value != server.image_id:
                    return False
            case "host" | "node":
                if value != server.host:
                    return False
            case "user_id" | "vm_state" | "reservation_id" | "key_name" | "availability_zone":
                if value != getattr(server, name):
                    return False
            case "uuid":
                if value != server.id:
                    return False
            case "ip":
                if not any(_found(value, shown["addr"]) for net in server.addresses.values() for shown in net):
                    return False
            case "tags":
                if not set(value.split(",")) <= set(server.tags):
                    return False
            case "tags-any":
                if not set(value.split(",")) & set(server.tags):
                    return False
            case "locked":
                if (value.lower() in ("1", "true")) != server.is_locked:
                    return False
            case "deleted":
                if value.lower() in ("1", "true"):
                    return False
            case "changes-since":
                if server.updated_at < value[:19]:
                    return False
            case _:
                pass
    return True


def _found(pattern: str, text: str) -> bool:
    """Nova's name filter is a regular expression of the database; one that is none finds nothing but itself."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


_SORT: dict[str, Any] = {
    "created_at": lambda server: server.number,
    "updated_at": lambda server: server.updated_at,
    "display_name": lambda server: server.name,
    "name": lambda server: server.name,
    "uuid": lambda server: server.id,
    "id": lambda server: server.id,
    "vm_state": lambda server: server.vm_state,
    "host": lambda server: server.host or "",
}


def _sorted(request: Request, servers: list[Server]) -> list[Server]:
    keys, directions = request.all("sort_key"), request.all("sort_dir")
    for index in reversed(range(len(keys))):
        direction = directions[index] if index < len(directions) else "desc"
        if keys[index] in _SORT:
            servers = sorted(servers, key=_SORT[keys[index]], reverse=direction != "asc")
    return servers
