"""Cinder's other routes: volume types, limits and quotas, zones and services.

Rules: a list of straight handlers; what they show is made in views.py.
"""

from typing import Any

from osbench.deploy.simulated.block_storage import views
from osbench.deploy.simulated.block_storage.store import BlockStorageStore, VolumeType
from osbench.deploy.simulated.exchange import Answer, Body, Refused, integer_of, json_answer, json_object
from osbench.deploy.simulated.service import Call, Service
from osbench.deploy.simulated.world import World


class AdminRoutes:
    """What is neither a volume nor made of one."""

    def __init__(self, world: World, store: BlockStorageStore) -> None:
        self._world = world
        self._store = store

    def add_to(self, service: Service) -> None:
        """Add the routes to Cinder's."""
        route, base = service.route, "/v3/{project}"
        manage: dict[str, Any] = {"is_admin": True, "rule": "volume_extension:type_create"}
        route("GET", base + "/types", self._types)
        route("POST", base + "/types", self._create_type, **manage)
        route("GET", base + "/types/{id}", self._type)
        route("PUT", base + "/types/{id}", self._update_type, **manage)
        route("DELETE", base + "/types/{id}", self._delete_type, **manage)
        route("GET", base + "/types/{id}/extra_specs", self._extra_specs)
        route("POST", base + "/types/{id}/extra_specs", self._set_extra_specs, **manage)
        route("GET", base + "/limits", self._limits)
        quota = base + "/os-quota-sets/{target}"
        change: dict[str, Any] = {"is_admin": True, "rule": "volume_extension:quotas:update"}
        route("GET", quota, self._quota)
        route("GET", quota + "/defaults", self._default_quota)
        route("PUT", quota, self._set_quota, **change)
        route("DELETE", quota, self._reset_quota, **change)
        route("GET", base + "/os-availability-zone", self._zones)
        route("GET", base + "/os-services", self._services, is_admin=True, rule="volume_extension:services:index")
        route("GET", base + "/extensions", self._extensions)
        route("GET", base + "/os-volume-transfer", self._no_transfers)
        route("GET", base + "/os-volume-transfer/detail", self._no_transfers)
        route("GET", base + "/attachments", self._attachments, since=27)

    # ---- types

    def _types(self, call: Call) -> Answer:
        kinds = [kind for kind in self._store.types.values() if kind.is_public or call.token.is_admin]
        return json_answer(200, {"volume_types": [views.type_view(call, kind) for kind in kinds]})

    def _own_type(self, call: Call) -> VolumeType:
        if call.params[1] == "default":
            return self._store.type_named(None)
        kind = self._store.types.get(call.params[1])
        if kind is None:
            raise Refused(404, f"Volume type {call.params[1]} could not be found.")
        return kind

    def _type(self, call: Call) -> Answer:
        return json_answer(200, {"volume_type": views.type_view(call, self._own_type(call))})

    def _create_type(self, call: Call) -> Answer:
        body = json_object(call.request, "volume_type")
        name = body.get("name")
        if not isinstance(name, str) or not name.strip():
            raise Refused(400, "Invalid input for field/attribute name.")
        kind = self._store.create_type(
            name,
            body.get("description"),
            bool(body.get("os-volume-type-access:is_public", True)),
            dict(body.get("extra_specs") or {}),
        )
        return json_answer(200, {"volume_type": views.type_view(call, kind)})

    def _update_type(self, call: Call) -> Answer:
        kind, body = self._own_type(call), json_object(call.request, "volume_type")
        kind.name = str(body.get("name") or kind.name)
        kind.description = body.get("description", kind.description)
        kind.is_public = bool(body.get("is_public", kind.is_public))
        return json_answer(200, {"volume_type": views.type_view(call, kind)})

    def _delete_type(self, call: Call) -> Answer:
        self._store.delete_type(self._own_type(call).id)
        return Answer(status=202)

    def _extra_specs(self, call: Call) -> Answer:
        return json_answer(200, {"extra_specs": self._own_type(call).extra_specs})

    def _set_extra_specs(self, call: Call) -> Answer:
        kind, specs = self._own_type(call), json_object(call.request, "extra_specs")
        kind.extra_specs.update({str(key): str(value) for key, value in specs.items()})
        return json_answer(200, {"extra_specs": specs})

    # ---- limits, quotas, places

    def _limits(self, call: Call) -> Answer:
        project = call.token.project_id
        limits, used = self._store.limits(project), self._store.used
        absolute = {
            "maxTotalVolumes": limits["volumes"],
            "maxTotalVolumeGigabytes": limits["gigabytes"],
            "maxTotalSnapshots": limits["snapshots"],
            "maxTotalBackups": limits["backups"],
            "maxTotalBackupGigabytes": limits["backup_gigabytes"],
            "totalVolumesUsed": used[project, "volumes"],
            "totalGigabytesUsed": used[project, "gigabytes"],
            "totalSnapshotsUsed": used[project, "snapshots"],
            "totalBackupsUsed": used[project, "backups"],
            "totalBackupGigabytesUsed": used[project, "backup_gigabytes"],
        }
        return json_answer(200, {"limits": {"rate": [], "absolute": absolute}})

    def _quota_view(self, project: str) -> Body:
        view: Body = dict(self._store.limits(project))
        for kind in self._store.types.values():
            for resource in ("volumes", "gigabytes", "snapshots"):
                view.setdefault(f"{resource}_{kind.name}", -1)
        return view

    def _quota(self, call: Call) -> Answer:
        target = call.params[1]
        if not call.token.is_admin and target != call.token.project_id:
            raise Refused(403, "Policy doesn't allow volume_extension:quotas:show to be performed.")
        view = self._quota_view(target)
        if call.request.first("usage").lower() == "true":
            used = self._store.used
            view = {name: {"limit": limit, "in_use": used[target, name], "reserved": 0} for name, limit in view.items()}
        return json_answer(200, {"quota_set": {**view, "id": target}})

    def _default_quota(self, call: Call) -> Answer:
        return json_answer(200, {"quota_set": {**self._quota_view(""), "id": call.params[1]}})

    def _set_quota(self, call: Call) -> Answer:
        target, known = call.params[1], self._quota_view(call.params[1])
        changes = {}
        for name, value in json_object(call.request, "quota_set").items():
            if name in ("tenant_id", "project_id", "id", "skip_validation", "force"):
                continue
            if name not in known:
                raise Refused(400, f"Bad key(s) in quota set: {name}")
            changes[name] = integer_of(value, name, low=-1, high=2**31 - 1)
        self._store.quotas.setdefault(target, {}).update(changes)
        return json_answer(200, {"quota_set": self._quota_view(target)})

    def _reset_quota(self, call: Call) -> Answer:
        self._store.quotas.pop(call.params[1], None)
        return Answer(status=200)

    def _zones(self, call: Call) -> Answer:
        return json_answer(200, {"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}}]})

    def _services(self, call: Call) -> Answer:
        now = self._world.fine_stamp()
        services = [
            {
                "binary": binary,
                "host": host,
                "zone": "nova",
                "status": "enabled",
                "state": "up",
                "updated_at": now,
                "disabled_reason": None,
            }
            for binary, host in (("cinder-scheduler", "osbench"), ("cinder-volume", "osbench@fake"))
        ]
        return json_answer(200, {"services": services})

    def _extensions(self, call: Call) -> Answer:
        return json_answer(200, {"extensions": []})

    def _no_transfers(self, call: Call) -> Answer:
        return json_answer(200, {"transfers": []})

    def _attachments(self, call: Call) -> Answer:
        found = [
            {"id": held.id, "volume_id": volume.id, "instance": held.server_id, "status": "attached"}
            for volume in self._store.volumes.values()
            if volume.project_id == call.token.project_id
            for held in volume.attachments
        ]
        return json_answer(200, {"attachments": found})
