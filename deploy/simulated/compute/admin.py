"""Nova's other routes: flavors, key pairs, server groups, limits and quotas, zones, hypervisors, services.

Rules: a list of straight handlers; what they show is made in views.py.
"""

import base64
import uuid
from typing import Any

import msgspec

from osbench.deploy.simulated.compute import views
from osbench.deploy.simulated.compute.catalog import Catalog, Flavor, ServerGroup
from osbench.deploy.simulated.compute.store import ServerStore
from osbench.deploy.simulated.exchange import Answer, Body, Refused, integer_of, json_answer, json_object, text_of
from osbench.deploy.simulated.service import Call, Service
from osbench.deploy.simulated.world import World

_CPU = {
    "arch": "x86_64",
    "model": "Nehalem",
    "vendor": "Intel",
    "features": ["pge", "clflush"],
    "topology": {"cores": 1, "threads": 1, "sockets": 4},
}
_QUOTA_OLD = {
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_group_rules": -1,
    "security_groups": -1,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "injected_files": 5,
}


class AdminRoutes:
    """What is not a server."""

    def __init__(self, world: World, servers: ServerStore, catalog: Catalog) -> None:
        self._world = world
        self._servers = servers
        self._catalog = catalog

    def add_to(self, service: Service) -> None:
        """Add the routes to Nova's."""
        route = service.route
        manage: dict[str, Any] = {"is_admin": True, "rule": "os_compute_api:os-flavor-manage:create"}
        route("GET", "/v2.1/flavors", self._flavors)
        route("POST", "/v2.1/flavors", self._create_flavor, **manage)
        route("GET", "/v2.1/flavors/detail", self._flavors_detailed)
        route("GET", "/v2.1/flavors/{id}", self._flavor)
        route("DELETE", "/v2.1/flavors/{id}", self._delete_flavor, **manage)
        route("GET", "/v2.1/flavors/{id}/os-extra_specs", self._extra_specs)
        route("POST", "/v2.1/flavors/{id}/os-extra_specs", self._set_extra_specs, **manage)
        route("DELETE", "/v2.1/flavors/{id}/os-extra_specs/{key}", self._drop_extra_spec, **manage)
        route("GET", "/v2.1/flavors/{id}/os-flavor-access", self._access, **manage)
        route("POST", "/v2.1/flavors/{id}/action", self._change_access, **manage)
        route("GET", "/v2.1/os-keypairs", self._key_pairs)
        route("POST", "/v2.1/os-keypairs", self._create_key_pair)
        route("GET", "/v2.1/os-keypairs/{name}", self._key_pair)
        route("DELETE", "/v2.1/os-keypairs/{name}", self._delete_key_pair)
        route("GET", "/v2.1/os-server-groups", self._groups)
        route("POST", "/v2.1/os-server-groups", self._create_group)
        route("GET", "/v2.1/os-server-groups/{id}", self._group)
        route("DELETE", "/v2.1/os-server-groups/{id}", self._delete_group)
        route("GET", "/v2.1/limits", self._limits)
        quota = "/v2.1/os-quota-sets/{project}"
        change: dict[str, Any] = {"is_admin": True, "rule": "os_compute_api:os-quota-sets:update"}
        route("GET", quota, self._quota)
        route("GET", quota + "/defaults", self._default_quota)
        route("GET", quota + "/detail", self._quota_detailed)
        route("PUT", quota, self._set_quota, **change)
        route("DELETE", quota, self._reset_quota, **change)
        route("GET", "/v2.1/os-availability-zone", self._zones)
        admin: dict[str, Any] = {"is_admin": True}
        route(
            "GET",
            "/v2.1/os-availability-zone/detail",
            self._zones_detailed,
            rule="os_compute_api:os-availability-zone:detail",
            **admin,
        )
        route("GET", "/v2.1/os-hypervisors", self._hypervisors, rule="os_compute_api:os-hypervisors:list", **admin)
        route(
            "GET",
            "/v2.1/os-hypervisors/detail",
            self._hypervisors_detailed,
            rule="os_compute_api:os-hypervisors:list-detail",
            **admin,
        )
        route(
            "GET",
            "/v2.1/os-hypervisors/statistics",
            self._statistics,
            rule="os_compute_api:os-hypervisors:statistics",
            until=87,
            **admin,
        )
        route("GET", "/v2.1/os-hypervisors/{id}", self._hypervisor, rule="os_compute_api:os-hypervisors:show", **admin)
        route("GET", "/v2.1/os-services", self._services, rule="os_compute_api:os-services:list", **admin)
        route("GET", "/v2.1/os-aggregates", self._aggregates, rule="os_compute_api:os-aggregates:index", **admin)
        route("GET", "/v2.1/extensions", self._extensions)

    # ---- flavors

    def _visible_flavors(self, call: Call) -> list[Flavor]:
        flavors = list(self._catalog.flavors.values())
        wanted = call.request.first("is_public")
        if not call.token.is_admin:
            flavors = [flavor for flavor in flavors if flavor.is_public or call.token.project_id in flavor.access]
        elif wanted.lower() not in ("none",):
            is_public = wanted.lower() not in ("false", "0", "f")
            flavors = [flavor for flavor in flavors if flavor.is_public == is_public]
        for name, attribute in (("minRam", "ram_mb"), ("minDisk", "disk_gb")):
            text = call.request.first(name)
            if text:
                least = integer_of(text, name, low=0, high=2**31)
                flavors = [flavor for flavor in flavors if getattr(flavor, attribute) >= least]
        flavors.sort(key=lambda flavor: flavor.id)
        marker, limit = call.request.first("marker"), call.request.first("limit")
        if marker:
            places = [index for index, flavor in enumerate(flavors) if flavor.id == marker]
            if not places:
                raise Refused(400, f"marker [{marker}] not found")
            flavors = flavors[places[0] + 1 :]
        return flavors[: integer_of(limit, "limit", low=0, high=2**31) or None] if limit else flavors

    def _flavors(self, call: Call) -> Answer:
        found = [views.flavor_brief(flavor, call.base, call.minor) for flavor in self._visible_flavors(call)]
        return json_answer(200, {"flavors": found})

    def _flavors_detailed(self, call: Call) -> Answer:
        found = [views.flavor_detailed(flavor, call.base, call.minor) for flavor in self._visible_flavors(call)]
        return json_answer(200, {"flavors": found})

    def _own_flavor(self, call: Call) -> Flavor:
        flavor = self._catalog.flavor(call.params[0])
        if not (flavor.is_public or call.token.is_admin or call.token.project_id in flavor.access):
            raise Refused(404, f"Flavor {flavor.id} could not be found.")
        return flavor

    def _flavor(self, call: Call) -> Answer:
        return json_answer(200, {"flavor": views.flavor_detailed(self._own_flavor(call), call.base, call.minor)})

    def _create_flavor(self, call: Call) -> Answer:
        body = json_object(call.request, "flavor")
        flavor_id = body.get("id")
        if flavor_id in (None, "", "auto"):
            flavor_id = self._world.uuid()
        flavor = Flavor(
            id=str(flavor_id),
            name=text_of(body, "name"),
            ram_mb=integer_of(body.get("ram"), "ram", low=1, high=2**31 - 1),
            vcpus=integer_of(body.get("vcpus"), "vcpus", low=1, high=2**31 - 1),
            disk_gb=integer_of(body.get("disk"), "disk", low=0, high=2**31 - 1),
            ephemeral_gb=integer_of(body.get("OS-FLV-EXT-DATA:ephemeral", 0), "ephemeral", low=0, high=2**31 - 1),
            swap_mb=integer_of(body.get("swap") or 0, "swap", low=0, high=2**31 - 1),
            rxtx_factor=float(body.get("rxtx_factor") or 1.0),
            is_public=bool(body.get("os-flavor-access:is_public", True)),
            description=body.get("description") if call.minor >= 55 else None,
        )
        self._catalog.add_flavor(flavor)
        return json_answer(200, {"flavor": views.flavor_detailed(flavor, call.base, call.minor)})

    def _delete_flavor(self, call: Call) -> Answer:
        del self._catalog.flavors[self._catalog.flavor(call.params[0]).id]
        return Answer(status=202)

    def _extra_specs(self, call: Call) -> Answer:
        return json_answer(200, {"extra_specs": self._own_flavor(call).extra_specs})

    def _set_extra_specs(self, call: Call) -> Answer:
        flavor = self._catalog.flavor(call.params[0])
        specs = json_object(call.request, "extra_specs")
        flavor.extra_specs.update({str(key): str(value) for key, value in specs.items()})
        return json_answer(200, {"extra_specs": specs})

    def _drop_extra_spec(self, call: Call) -> Answer:
        flavor = self._catalog.flavor(call.params[0])
        if flavor.extra_specs.pop(call.params[1], None) is None:
            raise Refused(404, f"Flavor {flavor.id} has no extra specs with key {call.params[1]}.")
        return Answer(status=200)

    def _access_view(self, flavor: Flavor) -> Answer:
        found = [{"flavor_id": flavor.id, "tenant_id": project} for project in flavor.access]
        return json_answer(200, {"flavor_access": found})

    def _access(self, call: Call) -> Answer:
        flavor = self._catalog.flavor(call.params[0])
        if flavor.is_public:
            raise Refused(404, "Access list not available for public flavors.")
        return self._access_view(flavor)

    def _change_access(self, call: Call) -> Answer:
        flavor = self._catalog.flavor(call.params[0])
        body: Body = msgspec.json.decode(call.request.body, type=dict[str, Any])
        if "addTenantAccess" in body:
            project = str(body["addTenantAccess"].get("tenant"))
            if project in flavor.access:
                raise Refused(409, f"Flavor access already exists for flavor {flavor.id} and project {project} "
                                   "combination.")  # fmt: skip
            flavor.access.append(project)
        elif "removeTenantAccess" in body:
            project = str(body["removeTenantAccess"].get("tenant"))
            if project not in flavor.access:
                raise Refused(404, f"Flavor access not found for {flavor.id} / {project} combination.")
            flavor.access.remove(project)
        else:
            raise Refused(400, "There is no such action")
        return self._access_view(flavor)

    # ---- key pairs

    def _key_user(self, call: Call) -> str:
        wanted = call.request.first("user_id")
        if wanted and call.minor >= 10 and wanted != call.token.user_id:
            if not call.token.is_admin:
                raise Refused(403, "Policy doesn't allow os_compute_api:os-keypairs:index to be performed.")
            return wanted
        return call.token.user_id

    def _key_pairs(self, call: Call) -> Answer:
        pairs = self._catalog.key_pairs.get(self._key_user(call), {}).values()
        return json_answer(200, {"keypairs": [views.key_pair_brief(pair, call.minor) for pair in pairs]})

    def _create_key_pair(self, call: Call) -> Answer:
        body = json_object(call.request, "keypair")
        public_key, private_key = body.get("public_key"), None
        if public_key is None:
            if call.minor >= 92:
                raise Refused(400, "Invalid input for field/attribute keypair. 'public_key' is a required property")
            # No client ever logs in to a simulated server: random bytes in the right frame do.
            data = base64.b64encode(self._world.entropy(192)).decode()
            public_key = f"ssh-rsa {data} Generated-by-Nova"
            secret = base64.b64encode(self._world.entropy(600)).decode()
            private_key = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"
        user_id = str(body.get("user_id") or call.token.user_id)
        pair = self._catalog.add_key_pair(
            user_id=user_id,
            name=text_of(body, "name"),
            kind=str(body.get("type", "ssh")),
            public_key=str(public_key),
            limit=self._servers.limits(call.token.project_id)["key_pairs"],
        )
        view = views.key_pair_brief(pair, call.minor)
        view["keypair"]["user_id"] = user_id
        if private_key is not None:
            view["keypair"]["private_key"] = private_key
        return json_answer(200 if call.minor < 2 else 201, view)

    def _key_pair(self, call: Call) -> Answer:
        pair = self._catalog.key_pair(self._key_user(call), call.params[0])
        return json_answer(200, views.key_pair_detailed(pair, call.minor))

    def _delete_key_pair(self, call: Call) -> Answer:
        pair = self._catalog.key_pair(self._key_user(call), call.params[0])
        del self._catalog.key_pairs[pair.user_id][pair.name]
        return Answer(status=202 if call.minor < 2 else 204)

    # ---- server groups

    def _members(self, group: ServerGroup) -> list[str]:
        servers = self._servers.of_project(group.project_id)
        return [server.id for server in servers if group.id in server.server_groups]

    def _group_view(self, group: ServerGroup, minor: int) -> Body:
        return views.server_group(group, self._members(group), minor)

    def _groups(self, call: Call) -> Answer:
        is_all = call.token.is_admin and any(name == "all_projects" for name, _ in call.request.query)
        found = [
            self._group_view(group, call.minor)
            for group in self._catalog.groups.values()
            if is_all or group.project_id == call.token.project_id
        ]
        return json_answer(200, {"server_groups": found})

    def _create_group(self, call: Call) -> Answer:
        body = json_object(call.request, "server_group")
        policy = body.get("policy") if call.minor >= 64 else (body.get("policies") or [None])[0]
        if policy not in ("affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"):
            raise Refused(400, f"Invalid input for field/attribute policy. Value: {policy}.")
        limit = self._servers.limits(call.token.project_id)["server_groups"]
        mine = [group for group in self._catalog.groups.values() if group.project_id == call.token.project_id]
        if 0 <= limit <= len(mine):
            raise Refused(403, "Quota exceeded, too many server groups.")
        group = ServerGroup(
            id=self._world.uuid(),
            name=text_of(body, "name"),
            policy=policy,
            rules=dict(body.get("rules") or {}),
            project_id=call.token.project_id,
            user_id=call.token.user_id,
        )
        self._catalog.groups[group.id] = group
        return json_answer(200, {"server_group": self._group_view(group, call.minor)})

    def _own_group(self, call: Call) -> ServerGroup:
        return self._catalog.group(None if call.token.is_admin else call.token.project_id, call.params[0])

    def _group(self, call: Call) -> Answer:
        return json_answer(200, {"server_group": self._group_view(self._own_group(call), call.minor)})

    def _delete_group(self, call: Call) -> Answer:
        del self._catalog.groups[self._own_group(call).id]
        return Answer(status=204)

    # ---- limits and quotas

    def _limits(self, call: Call) -> Answer:
        project = call.token.project_id
        wanted = call.request.first("tenant_id")
        if wanted and wanted != project:
            if not call.token.is_admin:
                raise Refused(403, "Policy doesn't allow os_compute_api:limits:other_project to be performed.")
            project = wanted
        limits, used = self._servers.limits(project), self._servers.used
        groups = sum(group.project_id == project for group in self._catalog.groups.values())
        absolute: Body = {
            "maxServerMeta": limits["metadata_items"],
            "maxTotalInstances": limits["instances"],
            "maxTotalCores": limits["cores"],
            "maxTotalRAMSize": limits["ram"],
            "maxTotalKeypairs": limits["key_pairs"],
            "maxServerGroups": limits["server_groups"],
            "maxServerGroupMembers": limits["server_group_members"],
            "totalInstancesUsed": used[project, "instances"],
            "totalCoresUsed": used[project, "cores"],
            "totalRAMUsed": used[project, "ram"],
            "totalServerGroupsUsed": groups,
        }
        if call.minor < 36:
            absolute.update(
                maxSecurityGroups=-1, maxSecurityGroupRules=-1, maxTotalFloatingIps=-1, totalSecurityGroupsUsed=0,
                totalFloatingIpsUsed=0,
            )  # fmt: skip
        if call.minor < 39:
            absolute["maxImageMeta"] = limits["metadata_items"]
        if call.minor < 57:
            absolute.update(maxPersonality=5, maxPersonalitySize=10240)
        return json_answer(200, {"limits": {"rate": [], "absolute": absolute}})

    def _quota_view(self, limits: dict[str, int], minor: int) -> Body:
        view: Body = dict(limits)
        if minor < 36:
            view.update(_QUOTA_OLD)
        elif minor < 57:
            view.update({key: value for key, value in _QUOTA_OLD.items() if key.startswith("injected")})
        return view

    def _quota_project(self, call: Call) -> str:
        (project,) = call.params
        if not call.token.is_admin and project != call.token.project_id:
            raise Refused(403, "Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.")
        return project

    def _quota(self, call: Call) -> Answer:
        project = self._quota_project(call)
        view = self._quota_view(self._servers.limits(project), call.minor)
        return json_answer(200, {"quota_set": {"id": project, **view}})

    def _default_quota(self, call: Call) -> Answer:
        (project,) = call.params
        view = self._quota_view(self._servers.limits(""), call.minor)
        return json_answer(200, {"quota_set": {"id": project, **view}})

    def _quota_detailed(self, call: Call) -> Answer:
        project = self._quota_project(call)
        view = {
            name: {"limit": limit, "in_use": self._servers.used[project, name], "reserved": 0}
            for name, limit in self._quota_view(self._servers.limits(project), call.minor).items()
        }
        return json_answer(200, {"quota_set": {"id": project, **view}})

    def _set_quota(self, call: Call) -> Answer:
        (project,) = call.params
        body = json_object(call.request, "quota_set")
        known = self._servers.limits(project)
        changes = {}
        for name, value in body.items():
            if name in ("force", "tenant_id", "id"):
                continue
            if name in known:
                changes[name] = integer_of(value, name, low=-1, high=2**31 - 1)
            elif name not in _QUOTA_OLD:
                raise Refused(400, f"Invalid input for field/attribute quota_set. Additional properties are not "
                                   f"allowed ('{name}' was unexpected)")  # fmt: skip
        self._servers.quotas.setdefault(project, {}).update(changes)
        return json_answer(200, {"quota_set": self._quota_view(self._servers.limits(project), call.minor)})

    def _reset_quota(self, call: Call) -> Answer:
        self._servers.quotas.pop(call.params[0], None)
        return Answer(status=202)

    # ---- hosts

    def _hosts(self) -> list[str]:
        return [f"rc-compute{number + 1}" for number in range(self._world.spec.hypervisors)]

    def _zones(self, call: Call) -> Answer:
        zone = {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}
        return json_answer(200, {"availabilityZoneInfo": [zone]})

    def _zones_detailed(self, call: Call) -> Answer:
        up = {"active": True, "available": True, "updated_at": self._world.fine_stamp()}
        inside = {"osbench": {"nova-conductor": up, "nova-scheduler": up}}
        hosts = {host: {"nova-compute": up} for host in self._hosts()}
        zones = [
            {"zoneName": "internal", "zoneState": {"available": True}, "hosts": inside},
            {"zoneName": "nova", "zoneState": {"available": True}, "hosts": hosts},
        ]
        return json_answer(200, {"availabilityZoneInfo": zones})

    def _hypervisor_view(self, index: int, host: str, minor: int, *, is_detailed: bool) -> Body:
        record_id: Any = index + 1 if minor < 53 else _stable_uuid("hypervisor", host)
        view: Body = {"id": record_id, "hypervisor_hostname": host, "state": "up", "status": "enabled"}
        if not is_detailed:
            return view
        service_id: Any = index + 1 if minor < 53 else _stable_uuid("service", host)
        view.update(
            hypervisor_type="fake",
            hypervisor_version=1000,
            host_ip="127.0.0.1",
            service={"id": service_id, "host": host, "disabled_reason": None},
        )
        if minor < 88:
            servers = [server for server in self._servers.servers.values() if server.host == host]
            vcpus, ram = sum(s.flavor.vcpus for s in servers), sum(s.flavor.ram_mb for s in servers)
            disk = sum(s.flavor.disk_gb for s in servers)
            view.update(
                vcpus=1000, memory_mb=800_000, local_gb=600_000, vcpus_used=vcpus, memory_mb_used=512 + ram,
                local_gb_used=disk, free_ram_mb=799_488 - ram, free_disk_gb=600_000 - disk, current_workload=0,
                running_vms=len(servers), disk_available_least=0, cpu_info=_CPU if minor >= 28 else "{}",
            )  # fmt: skip
        else:
            view.update(uptime="00:00:00 up 1 day,  0:00,  0 users,  load average: 0.00, 0.00, 0.00")
        return view

    def _hypervisors(self, call: Call) -> Answer:
        return self._hypervisor_list(call, is_detailed=False)

    def _hypervisors_detailed(self, call: Call) -> Answer:
        return self._hypervisor_list(call, is_detailed=True)

    def _hypervisor_list(self, call: Call, *, is_detailed: bool) -> Answer:
        pattern = call.request.first("hypervisor_hostname_pattern")
        found = [
            self._hypervisor_view(index, host, call.minor, is_detailed=is_detailed)
            for index, host in enumerate(self._hosts())
            if pattern in host
        ]
        if pattern and not found:
            raise Refused(404, f"No hypervisor matching '{pattern}' could be found.")
        return json_answer(200, {"hypervisors": found})

    def _hypervisor(self, call: Call) -> Answer:
        for index, host in enumerate(self._hosts()):
            view = self._hypervisor_view(index, host, call.minor, is_detailed=True)
            if str(view["id"]) == call.params[0]:
                return json_answer(200, {"hypervisor": view})
        raise Refused(404, f"Hypervisor with ID '{call.params[0]}' could not be found.")

    def _statistics(self, call: Call) -> Answer:
        hosts = self._hosts()
        servers = self._servers.servers.values()
        vcpus, ram = sum(s.flavor.vcpus for s in servers), sum(s.flavor.ram_mb for s in servers)
        disk, count = sum(s.flavor.disk_gb for s in servers), len(hosts)
        statistics = {
            "count": count,
            "vcpus": 1000 * count,
            "vcpus_used": vcpus,
            "memory_mb": 800_000 * count,
            "memory_mb_used": 512 * count + ram,
            "free_ram_mb": 799_488 * count - ram,
            "local_gb": 600_000 * count,
            "local_gb_used": disk,
            "free_disk_gb": 600_000 * count - disk,
            "disk_available_least": 0,
            "current_workload": 0,
            "running_vms": len(servers),
        }
        return json_answer(200, {"hypervisor_statistics": statistics})

    def _services(self, call: Call) -> Answer:
        rows = [("nova-conductor", "osbench", "internal"), ("nova-scheduler", "osbench", "internal")]
        rows += [("nova-compute", host, "nova") for host in self._hosts()]
        found = []
        for index, (binary, host, zone) in enumerate(rows):
            if call.request.first("binary") not in ("", binary) or call.request.first("host") not in ("", host):
                continue
            record_id: Any = index + 1 if call.minor < 53 else _stable_uuid(binary, host)
            view: Body = {
                "binary": binary,
                "host": host,
                "id": record_id,
                "zone": zone,
                "status": "enabled",
                "state": "up",
                "updated_at": self._world.fine_stamp(),
                "disabled_reason": None,
            }
            if call.minor >= 11:
                view["forced_down"] = False
            found.append(view)
        return json_answer(200, {"services": found})

    def _aggregates(self, call: Call) -> Answer:
        return json_answer(200, {"aggregates": []})

    def _extensions(self, call: Call) -> Answer:
        return json_answer(200, {"extensions": []})


def _stable_uuid(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{name}"))
