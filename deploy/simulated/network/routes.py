"""Neutron's routes and bodies.

Rules: lists take any shown attribute as a filter, `fields`, and sorting and paging as Neutron does; attributes of the
provider and of the binding are shown to an admin only.
"""

from typing import Any
from urllib.parse import urlencode

from osbench.deploy.simulated.exchange import Answer, Body, Refused, Request, json_answer, json_body, json_object
from osbench.deploy.simulated.identity.tokens import TokenBook
from osbench.deploy.simulated.network.store import KINDS, NetworkStore, Record
from osbench.deploy.simulated.routing import Handler
from osbench.deploy.simulated.service import Call, Service, Stage
from osbench.deploy.simulated.world import World

EXTENSIONS = (
    ("qinq", "QinQ Ethertype"),
    ("vlan-transparent", "Vlantransparent"),
    ("address-scope", "Address scope"),
    ("agent", "agent"),
    ("allowed-address-pairs", "Allowed Address Pairs"),
    ("auto-allocated-topology", "Auto Allocated Topology Services"),
    ("availability_zone", "Availability Zone"),
    ("binding", "Port Binding"),
    ("default-subnetpools", "Default Subnetpools"),
    ("external-net", "Neutron external network"),
    ("ext-gw-mode", "Neutron L3 Configurable external gateway mode"),
    ("extra_dhcp_opt", "Neutron Extra DHCP options"),
    ("extraroute", "Neutron Extra Route"),
    ("multi-provider", "Multi Provider Network"),
    ("net-mtu", "Network MTU"),
    ("pagination", "Pagination support"),
    ("port-security", "Port Security"),
    ("project-id", "project_id field enabled"),
    ("provider", "Provider Network"),
    ("quotas", "Quota management support"),
    ("quota_details", "Quota details management support"),
    ("revision-if-match", "If-Match constraints based on revision_number"),
    ("router", "Neutron L3 Router"),
    ("security-group", "security-group"),
    ("sorting", "Sorting support"),
    ("standard-attr-description", "standard-attr-description"),
    ("standard-attr-revisions", "Resource revision numbers"),
    ("standard-attr-tag", "Tag support for resources with standard attribute"),
    ("standard-attr-timestamp", "Resource timestamps"),
    ("subnet_allocation", "Subnet Allocation"),
)
_ADMIN_ONLY = frozenset(
    {"provider:network_type", "provider:physical_network", "provider:segmentation_id", "binding:profile",
     "binding:host_id", "binding:vif_type", "binding:vif_details", "distributed", "ha"}
)  # fmt: skip
_PAGING = frozenset({"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"})
_CHANGEABLE = {
    "network": {"name", "description", "admin_state_up", "shared", "router:external", "mtu", "port_security_enabled"},
    "subnet": {"name", "description", "enable_dhcp", "dns_nameservers", "host_routes", "gateway_ip"},
    "port": {"name", "description", "admin_state_up", "security_groups", "allowed_address_pairs", "extra_dhcp_opts",
             "port_security_enabled", "binding:profile", "binding:vnic_type", "device_owner"},
    "router": {"name", "description", "admin_state_up", "routes"},
    "security_group": {"name", "description", "stateful"},
    "floatingip": {"description"},
}  # fmt: skip
#: Attributes only an admin may set when he creates a network.
_ADMIN_SETS = {"shared", "router:external", "provider:network_type", "provider:physical_network",
               "provider:segmentation_id"}  # fmt: skip


class NetworkService(Service):
    """Neutron.

    Args:
        owner: the project the networks of the start belong to.
    """

    def __init__(self, world: World, tokens: TokenBook, owner: str) -> None:
        super().__init__("network", world, tokens)
        self.store = NetworkStore(world)
        self._add_routes()
        # What is there from the start is not held to the quota every project begins with.
        self.store.quotas[owner] = dict.fromkeys(self.store.limits(owner), -1)
        for spec in world.spec.networks:
            body: Record = {"name": spec.name, "shared": spec.is_shared, "router:external": spec.is_external}
            if spec.is_external:
                body.update({"provider:network_type": "flat", "provider:physical_network": "public"})
            network = self.store.create_network(owner, body)
            version = 6 if ":" in spec.cidr else 4
            self.store.create_subnet(
                owner,
                {
                    "network_id": network["id"],
                    "name": f"{spec.name}-subnet",
                    "cidr": spec.cidr,
                    "ip_version": version,
                    "enable_dhcp": spec.is_external,
                },
            )
        del self.store.quotas[owner]

    def _add_routes(self) -> None:
        store, route = self.store, self.route
        route("GET", "/", self._versions, is_open=True)
        route("GET", "/v2.0", self._version, is_open=True)
        route("GET", "/v2.0/extensions", self._extensions)
        route("GET", "/v2.0/extensions/{alias}", self._extension)
        route("GET", "/v2.0/agents", self._nothing("agents"), is_admin=True, rule="get_agent")
        route("GET", "/v2.0/availability_zones", self._nothing("availability_zones"))
        creators = {
            "network": store.create_network,
            "subnet": store.create_subnet,
            "port": store.create_port,
            "router": store.create_router,
            "security_group": store.create_group,
            "security_group_rule": store.create_rule,
            "floatingip": store.create_floating,
        }
        deleters = {
            "network": store.delete_network,
            "subnet": store.delete_subnet,
            "port": store.delete_port,
            "router": store.delete_router,
            "security_group": store.delete_group,
            "security_group_rule": store.delete_rule,
            "floatingip": store.delete_floating,
        }
        for kind, plural in KINDS.items():
            path = f"/v2.0/{plural.replace('_', '-')}"
            route("GET", path, self._lister(kind))
            route("POST", path, self._creator(kind, creators[kind]))
            route("GET", path + "/{id}", self._shower(kind))
            route("DELETE", path + "/{id}", self._deleter(kind, deleters[kind]))
            route("PUT", path + "/{id}/tags", self._tagger(kind))
            if kind in _CHANGEABLE:
                route("PUT", path + "/{id}", self._updater(kind))
        route("PUT", "/v2.0/routers/{id}/add_router_interface", self._interface(store.add_interface))
        route("PUT", "/v2.0/routers/{id}/remove_router_interface", self._interface(store.remove_interface))
        route("GET", "/v2.0/quotas", self._list_quotas, is_admin=True, rule="get_quota")
        route("GET", "/v2.0/quotas/{project}", self._show_quota)
        route("GET", "/v2.0/quotas/{project}/default", self._default_quota)
        route("GET", "/v2.0/quotas/{project}/details", self._quota_details)
        route("GET", "/v2.0/quotas/{project}/details.json", self._quota_details)
        route("PUT", "/v2.0/quotas/{project}", self._set_quota, is_admin=True, rule="update_quota")
        route("DELETE", "/v2.0/quotas/{project}", self._reset_quota, is_admin=True, rule="delete_quota")

    def forbidden(self, rule: str) -> Refused:
        return Refused(403, f"(rule:{rule}) is disallowed by policy", kind="PolicyNotAuthorized")

    def unknown_path(self, request: Request, methods: frozenset[str]) -> Refused:
        if methods:
            return Refused(405, "The server could not comply with the request since it is either malformed or "
                                "otherwise incorrect.", kind="HTTPMethodNotAllowed")  # fmt: skip
        return Refused(404, "The resource could not be found.", kind="HTTPNotFound")

    def error_answer(self, request: Request, refused: Refused) -> Answer:
        kind = refused.kind or {400: "HTTPBadRequest", 403: "HTTPForbidden"}.get(refused.status, "HTTPError")
        body = {"NeutronError": {"type": kind, "message": refused.message, "detail": ""}}
        return json_answer(refused.status, body)

    def dress(self, answer: Answer, request: Request, minor: int, stage: Stage) -> None:
        if stage is Stage.DOCUMENT:
            return
        if request.path.rstrip("/").count("/") > 1:
            answer.headers.append(("X-Openstack-Request-Id", request.request_id))

    # ---- documents

    def _version_body(self, call: Call) -> Body:
        return {
            "id": "v2.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": f"{call.base}/v2.0/"}],
        }

    def _versions(self, call: Call) -> Answer:
        return json_answer(200, {"versions": [self._version_body(call)]})

    def _version(self, call: Call) -> Answer:
        resources = [
            {
                "name": singular,
                "collection": plural,
                "links": [{"rel": "self", "href": f"{call.base}/v2.0/{plural}"}],
            }
            for singular, plural in (("network", "networks"), ("subnet", "subnets"), ("port", "ports"))
        ]
        return json_answer(200, {"resources": resources})

    def _extensions(self, call: Call) -> Answer:
        return json_answer(200, {"extensions": [_extension_view(*extension) for extension in EXTENSIONS]})

    def _extension(self, call: Call) -> Answer:
        for alias, name in EXTENSIONS:
            if alias == call.params[0]:
                return json_answer(200, {"extension": _extension_view(alias, name)})
        raise Refused(404, f"Extension with alias {call.params[0]} does not exist", kind="HTTPNotFound")

    def _nothing(self, plural: str) -> Handler:
        def handle(call: Call) -> Answer:
            return json_answer(200, {plural: []})

        return handle

    # ---- what every kind has

    def _view(self, call: Call, kind: str, record: Record) -> Body:
        hidden = frozenset() if call.token.is_admin else _ADMIN_ONLY
        view = {key: value for key, value in record.items() if key not in hidden and not key.startswith("_")}
        if kind == "security_group":
            view["security_group_rules"] = [_nested(rule) for rule in self.store.rules_of(record["id"])]
        fields = call.request.all("fields")
        return {key: value for key, value in view.items() if key in fields} if fields else view

    def _lister(self, kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            request, token = call.request, call.token
            if kind == "security_group" and token.project_id:
                self.store.default_group(token.project_id)
            wanted = _filters(request)
            records = [
                record
                for record in self.store.records[kind].values()
                if self.store.may_see(token, kind, record) and _fits(record, wanted)
            ]
            records, links = _page(request, records)
            body: Body = {KINDS[kind]: [self._view(call, kind, record) for record in records]}
            if links:
                path = f"{call.base}/v2.0/{KINDS[kind].replace('_', '-')}"
                body[f"{KINDS[kind]}_links"] = [{"rel": rel, "href": f"{path}?{query}"} for rel, query in links]
            return json_answer(200, body)

        return handle

    def _creator(self, kind: str, create: Any) -> Handler:
        def handle(call: Call) -> Answer:
            document = json_body(call.request)
            plural = KINDS[kind]
            if isinstance(document.get(plural), list):
                made = [self._create(call, kind, create, body) for body in document[plural]]
                return json_answer(201, {plural: made})
            return json_answer(201, {kind: self._create(call, kind, create, json_object(call.request, kind))})

        return handle

    def _create(self, call: Call, kind: str, create: Any, body: Body) -> Body:
        token = call.token
        project_id = str(body.get("project_id") or body.get("tenant_id") or token.project_id)
        if not token.is_admin and (project_id != token.project_id or (kind == "network" and _ADMIN_SETS & set(body))):
            raise self.forbidden(f"create_{kind}")
        if kind in ("subnet", "port") and body.get("network_id"):
            self.store.visible(token, "network", str(body["network_id"]))
        try:
            record: Record = create(project_id, body)
        except (TypeError, ValueError, KeyError) as error:
            raise Refused(400, f"Invalid input for operation: {error}.", kind="InvalidInput") from error
        view = self._view(call, kind, record)
        if kind == "network":
            # Shown by the create of any network, afterwards of external ones only.
            view["is_default"] = False
        return view

    def _shower(self, kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            record = self.store.visible(call.token, kind, call.params[0])
            return json_answer(200, {kind: self._view(call, kind, record)})

        return handle

    def _updater(self, kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            body = json_object(call.request, kind)
            record = self.store.owned(call.token, kind, call.params[0])
            if kind == "network" and _ADMIN_SETS & set(body) and not call.token.is_admin:
                raise self.forbidden("update_network")
            if kind == "router" and "external_gateway_info" in body:
                self.store.set_gateway(record, body["external_gateway_info"])
            if kind == "floatingip" and "port_id" in body:
                self.store.associate(record, body["port_id"])
            if kind == "port" and ("device_id" in body or "binding:host_id" in body):
                self.store.rebind_port(
                    record,
                    device_id=str(body.get("device_id", record["device_id"])),
                    device_owner=str(body.get("device_owner", record["device_owner"])),
                    host=str(body.get("binding:host_id", record["binding:host_id"]) or ""),
                )
            record.update({key: value for key, value in body.items() if key in _CHANGEABLE[kind]})
            self.store.touch(record)
            return json_answer(200, {kind: self._view(call, kind, record)})

        return handle

    def _deleter(self, kind: str, delete: Any) -> Handler:
        def handle(call: Call) -> Answer:
            delete(self.store.owned(call.token, kind, call.params[0])["id"])
            return Answer(status=204)

        return handle

    def _tagger(self, kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            record = self.store.owned(call.token, kind, call.params[0])
            tags = json_body(call.request).get("tags")
            if not isinstance(tags, list):
                raise Refused(400, "Invalid input for operation: 'tags' is not a list.", kind="InvalidInput")
            record["tags"] = [str(tag) for tag in tags]
            return json_answer(200, {"tags": record["tags"]})

        return handle

    def _interface(self, change: Any) -> Handler:
        def handle(call: Call) -> Answer:
            router = self.store.owned(call.token, "router", call.params[0])
            port: Record = change(router, json_body(call.request))
            subnets = [fixed["subnet_id"] for fixed in port["fixed_ips"]]
            return json_answer(
                200,
                {
                    "id": router["id"],
                    "port_id": port["id"],
                    "network_id": port["network_id"],
                    "subnet_id": subnets[0] if subnets else None,
                    "subnet_ids": subnets,
                    "project_id": router["project_id"],
                },
            )

        return handle

    # ---- quotas

    def _quota_of(self, call: Call) -> str:
        (project_id,) = call.params
        if not call.token.is_admin and project_id != call.token.project_id:
            raise self.forbidden("get_quota")
        return project_id

    def _list_quotas(self, call: Call) -> Answer:
        return json_answer(
            200,
            {"quotas": [{**self.store.limits(project), "project_id": project, "tenant_id": project}
                        for project in self.store.quotas]},
        )  # fmt: skip

    def _show_quota(self, call: Call) -> Answer:
        return json_answer(200, {"quota": self.store.limits(self._quota_of(call))})

    def _default_quota(self, call: Call) -> Answer:
        self._quota_of(call)
        return json_answer(200, {"quota": self.store.limits("")})

    def _quota_details(self, call: Call) -> Answer:
        project = self._quota_of(call)
        details = {
            kind: {"limit": limit, "used": self.store.used(project, kind), "reserved": 0}
            for kind, limit in self.store.limits(project).items()
        }
        return json_answer(200, {"quota": details})

    def _set_quota(self, call: Call) -> Answer:
        (project,) = call.params
        wanted = json_object(call.request, "quota")
        known = self.store.limits(project)
        for kind, limit in wanted.items():
            if kind not in known or not isinstance(limit, int) or limit < -1:
                raise Refused(400, f"Invalid input for {kind}. Reason: {limit!r} is no limit.", kind="HTTPBadRequest")
        self.store.quotas.setdefault(project, {}).update(wanted)
        return json_answer(200, {"quota": self.store.limits(project)})

    def _reset_quota(self, call: Call) -> Answer:
        self.store.quotas.pop(call.params[0], None)
        return Answer(status=204)


def _nested(rule: Record) -> Body:
    """A rule inside of its group, which Neutron shows as it lies in the database."""
    number = int(rule["id"][:8], 16)
    is_default = None if rule["belongs_to_default_sg"] else False
    description = rule["description"] or None
    return {**rule, "standard_attr_id": number, "belongs_to_default_sg": is_default, "description": description,
            "tags": []}  # fmt: skip


def _extension_view(alias: str, name: str) -> Body:
    return {"name": name, "alias": alias, "description": name, "updated": "2015-01-01T10:00:00-00:00", "links": []}


def _filters(request: Request) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for name, value in request.query:
        if name not in _PAGING:
            wanted.setdefault(name, []).append(value)
    return wanted


def _fits(record: Record, wanted: dict[str, list[str]]) -> bool:
    for name, values in wanted.items():
        if name == "fixed_ips":
            if not any(_fits_address(record, value) for value in values):
                return False
        elif name in ("tags", "tags-any"):
            asked = {tag for value in values for tag in value.split(",")}
            have = asked & set(record.get("tags", ()))
            if not have or (name == "tags" and have != asked):
                return False
        elif name in record and not any(_is_like(record[name], value) for value in values):
            return False
    return True


def _fits_address(record: Record, wanted: str) -> bool:
    key, _, value = wanted.partition("=")
    return any(str(fixed.get(key)) == value for fixed in record.get("fixed_ips", ()))


def _is_like(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return value == (wanted.lower() in ("true", "1"))
    if isinstance(value, list):
        return wanted in value
    return str(value) == wanted


def _page(request: Request, records: list[Record]) -> tuple[list[Record], list[tuple[str, str]]]:
    """The records of the page asked for, and its links with their queries.

    As Neutron has it, a page that was asked for with a limit always has one before it, and one after it if it is full.
    """
    keys, directions = request.all("sort_key"), request.all("sort_dir")
    for index in reversed(range(len(keys))):
        is_down = index < len(directions) and directions[index] == "desc"
        records.sort(key=lambda record, key=keys[index]: str(record.get(key)), reverse=is_down)  # type: ignore[misc]
    marker = request.first("marker")
    if marker:
        places = [index for index, record in enumerate(records) if record["id"] == marker]
        if not places:
            raise Refused(400, f"Invalid input for operation: marker {marker} not found.", kind="InvalidInput")
        records = records[places[0] + 1 :]
    limit = request.first("limit")
    if not limit.isdigit() or int(limit) == 0:
        return records, []
    records = records[: int(limit)]
    kept = [(name, value) for name, value in request.query if name not in ("marker", "page_reverse")]
    first = [("marker", records[0]["id"])] if records else []
    links = [("previous", urlencode([*kept, *first, ("page_reverse", "True")]))]
    if len(records) == int(limit):
        links.insert(0, ("next", urlencode([*kept, ("marker", records[-1]["id"])])))
    return records, links
