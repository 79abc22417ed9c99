"""Cinder's routes and bodies.

Rules: the project in the path must be the caller's; admins see more attributes; a list with `all_tenants` is the
admin's. Numbers at attributes are the microversion that brought them (Cinder's REST API version history).
"""

from typing import Any
from urllib.parse import urlencode

from osbench.deploy.simulated.block_storage.store import Backup, BlockStorageStore, Item, Snapshot, Volume, VolumeType
from osbench.deploy.simulated.exchange import (
    Answer,
    Body,
    Refused,
    Request,
    integer_of,
    json_answer,
    json_body,
    json_object,
    webob_page,
)
from osbench.deploy.simulated.identity.tokens import Token, TokenBook
from osbench.deploy.simulated.image.store import ImageStore
from osbench.deploy.simulated.microversions import refused_version, requested_minor
from osbench.deploy.simulated.routing import Handler
from osbench.deploy.simulated.service import Call, Service, Stage
from osbench.deploy.simulated.world import World

MAX_MINOR = 71
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
    501: "notImplemented",
    503: "serviceUnavailable",
}
_MAX_SIZE_GB = 2**31 - 1
#: Of the one cinder-volume there is.
_SERVICE_UUID = "6f0a1c7e-3f0b-4d3e-9d6a-5b8c2f1e7a90"


class BlockStorageService(Service):
    """Cinder."""

    def __init__(self, world: World, tokens: TokenBook, images: ImageStore) -> None:
        super().__init__("block-storage", world, tokens)
        self.store = BlockStorageStore(world)
        self._images = images
        self.store.create_type("__DEFAULT__", "Default Volume Type")
        for name in world.spec.volume_types:
            self.store.create_type(name, specs={"volume_backend_name": name})
        # The first type is the default: the first of the configuration where there is one.
        if world.spec.volume_types:
            default = next(iter(self.store.types))
            self.store.types[default] = self.store.types.pop(default)
        self._add_routes()

    def _add_routes(self) -> None:
        route = self.route
        route("GET", "/", self._versions, is_open=True)
        route("GET", "/v3", self._versions_ok, is_open=True)
        base = "/v3/{project}"
        for plural, list_all, create, show, delete in (
            ("volumes", self._list_volumes, self._create_volume, self._show_volume, self._delete_volume),
            ("snapshots", self._list_snapshots, self._create_snapshot, self._show_snapshot, self._delete_snapshot),
            ("backups", self._list_backups, self._create_backup, self._show_backup, self._delete_backup),
        ):
            path = f"{base}/{plural}"
            route("GET", path, list_all(is_detailed=False))
            route("GET", path + "/detail", list_all(is_detailed=True))
            route("POST", path, create)
            route("GET", path + "/{id}", show)
            route("DELETE", path + "/{id}", delete)
        route("PUT", base + "/volumes/{id}", self._update_volume)
        route("POST", base + "/volumes/{id}/action", self._act)
        route("GET", base + "/volumes/{id}/metadata", self._metadata)
        route("POST", base + "/volumes/{id}/metadata", self._add_metadata)
        route("PUT", base + "/volumes/{id}/metadata", self._replace_metadata)
        route("DELETE", base + "/volumes/{id}/metadata/{key}", self._drop_metadata)
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

    # ---- habits

    def negotiate(self, request: Request) -> int:
        return requested_minor(
            request, service="volume", legacy_header="", major=3, default=0, least=0, maximum=MAX_MINOR
        )

    def admit(self, request: Request, token: Token) -> None:
        # "/block-storage/v3/<project>/…": Cinder refuses a project that is not the token's, an admin's call too.
        segments = request.path.split("/")
        if len(segments) > 4 and segments[3] != token.project_id:
            raise Refused(400, "Malformed request url")

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
            if header == "Retry-After" and refused.status == 413:
                fault["retryAfter"] = value
        return json_answer(refused.status, {name: fault})

    def dress(self, answer: Answer, request: Request, minor: int, stage: Stage) -> None:
        headers = answer.headers
        if stage in (Stage.HANDLED, Stage.DOCUMENT):
            # Deletes and what else answers with a bare status come as webob's empty page.
            is_bare = not answer.body and not any(name == "Content-Type" for name, _ in headers)
            if is_bare:
                headers.append(("Content-Type", "text/html; charset=UTF-8"))
            else:
                headers.append(("x-compute-request-id", request.request_id))
            version = refused_version(request, "volume", answer.status) or f"3.{minor}"
            headers.append(("OpenStack-API-Version", f"volume {version}"))
            headers.append(("Vary", "OpenStack-API-Version"))
        headers.append(("x-openstack-request-id", request.request_id))

    # ---- documents

    def _version_list(self, call: Call) -> Body:
        version = {
            "id": "v3.0",
            "status": "CURRENT",
            "version": f"3.{MAX_MINOR}",
            "min_version": "3.0",
            "updated": "2023-08-31T00:00:00Z",
            "links": [
                {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
                {"rel": "self", "href": f"{call.base}/v3/"},
            ],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
        }
        return {"versions": [version]}

    def _versions(self, call: Call) -> Answer:
        return json_answer(300, self._version_list(call))

    def _versions_ok(self, call: Call) -> Answer:
        return json_answer(200, self._version_list(call))

    # ---- what volumes, snapshots and backups share

    def _project(self, call: Call) -> str | None:
        return None if call.token.is_admin else call.token.project_id

    def _page(self, call: Call, plural: str, items: list[Any]) -> tuple[list[Any], list[Body]]:
        """The items of the page asked for, and the link to the next."""
        request = call.request
        is_all = request.first("all_tenants", "0").lower() in ("1", "true", "yes")
        if not (is_all and call.token.is_admin):
            items = [item for item in items if item.project_id == call.token.project_id]
        elif wanted := request.first("project_id"):
            items = [item for item in items if item.project_id == wanted]
        items = [item for item in reversed(items) if _fits(request, item)]
        items = _sorted(request, items)
        marker = request.first("marker")
        if marker:
            places = [index for index, item in enumerate(items) if item.id == marker]
            if not places:
                raise Refused(404, f"Marker {marker} could not be found.")
            items = items[places[0] + 1 :]
        offset = integer_of(request.first("offset", "0"), "offset", low=0, high=2**31)
        items = items[offset:]
        text = request.first("limit")
        limit = min(integer_of(text, "limit", low=0, high=2**31), MAX_PAGE) if text else MAX_PAGE
        if len(items) <= limit and not (text and len(items) == limit and items):
            return items, []
        items = items[:limit]
        if not items:
            return items, []
        kept = [(name, value) for name, value in request.query if name not in ("marker", "offset")]
        path = call.request.path.removeprefix("/block-storage")
        href = f"{call.base}{path}?" + urlencode([*kept, ("marker", items[-1].id)])
        return items, [{"rel": "next", "href": href}]

    def _listed(self, call: Call, plural: str, items: list[Any], view: Any) -> Answer:
        page, following = self._page(call, plural, items)
        body: Body = {plural: [view(item) for item in page]}
        if following:
            body[f"{plural}_links"] = following
        if call.minor >= 45 and call.request.first("with_count").lower() == "true":
            body["count"] = len(page)
        return json_answer(200, body)

    def _links(self, call: Call, plural: str, item_id: str) -> list[Body]:
        project = call.token.project_id
        return [
            {"rel": "self", "href": f"{call.base}/v3/{project}/{plural}/{item_id}"},
            {"rel": "bookmark", "href": f"{call.base}/{project}/{plural}/{item_id}"},
        ]

    # ---- volumes

    def _volume_view(self, call: Call, volume: Volume, *, is_new: bool = False) -> Body:
        view: Body = {
            "id": volume.id,
            "status": volume.status,
            "size": volume.size_gb,
            "availability_zone": volume.availability_zone,
            "created_at": volume.created_at,
            "updated_at": volume.updated_at,
            "name": volume.name,
            "description": volume.description,
            "volume_type": volume.type.name,
            "snapshot_id": volume.snapshot_id,
            "source_volid": volume.source_volume_id,
            "metadata": volume.metadata,
            "links": self._links(call, "volumes", volume.id),
            "user_id": volume.user_id,
            "bootable": str(volume.is_bootable).lower(),
            "encrypted": False,
            "replication_status": None,
            "consistencygroup_id": None,
            "multiattach": volume.is_multiattach,
            "attachments": [
                {
                    "id": volume.id,
                    "attachment_id": held.id,
                    "volume_id": volume.id,
                    "server_id": held.server_id,
                    "host_name": held.host if call.token.is_admin else None,
                    "device": held.device,
                    "attached_at": held.attached_at,
                }
                for held in volume.attachments
            ],
        }
        is_admin = call.token.is_admin
        if is_admin:
            view["migration_status"] = None
        for since, key, value in (
            (13, "group_id", None),
            (21 if is_admin else 999, "provider_id", None),
            (48, "shared_targets", volume.status == "creating" and is_new),
            (48, "service_uuid", None if is_new else _SERVICE_UUID),
            (61 if is_admin else 999, "cluster_name", None),
            (63, "volume_type_id", volume.type.id),
            (65, "consumes_quota", True),
        ):
            if call.minor >= since:
                view[key] = value
        if is_new:
            return view
        # Extensions add these to what is shown and listed, not to what a create answers.
        view["os-vol-tenant-attr:tenant_id"] = volume.project_id
        if is_admin:
            host = None if volume.status == "creating" else f"osbench@{volume.type.name}#{volume.type.name}"
            view["os-vol-host-attr:host"] = host
            view["os-vol-mig-status-attr:migstat"] = None
            view["os-vol-mig-status-attr:name_id"] = None
        if volume.image_metadata is not None:
            view["volume_image_metadata"] = volume.image_metadata
        return view

    def _list_volumes(self, *, is_detailed: bool) -> Handler:
        def handle(call: Call) -> Answer:
            def view(volume: Volume) -> Body:
                if is_detailed:
                    return self._volume_view(call, volume)
                return {"id": volume.id, "name": volume.name, "links": self._links(call, "volumes", volume.id)}

            return self._listed(call, "volumes", list(self.store.volumes.values()), view)

        return handle

    def _create_volume(self, call: Call) -> Answer:
        body = json_object(call.request, "volume")
        snapshot_id, source_id, image_id = (body.get(key) for key in ("snapshot_id", "source_volid", "imageRef"))
        size = body.get("size")
        kind: VolumeType | None = None
        if snapshot_id is not None:
            snapshot = self.store.snapshot(self._project(call), str(snapshot_id))
            if snapshot.status != "available":
                raise Refused(400, "Invalid snapshot: Originating snapshot status must be one of 'available' values")
            size = size if size is not None else snapshot.size_gb
            kind = self.store.volume(None, snapshot.volume_id).type
        if source_id is not None:
            source = self.store.volume(self._project(call), str(source_id))
            size, kind = size if size is not None else source.size_gb, source.type
        image = None
        if image_id:
            image = self._images.images.get(str(image_id))
            if image is None:
                raise Refused(400, "Invalid image identifier or unable to access requested image.")
        if size is None:
            raise Refused(
                400,
                "The server could not comply with the request since it is either malformed or otherwise incorrect.",
            )
        if body.get("volume_type") is not None:
            kind = self.store.type_named(str(body["volume_type"]))
        volume = self.store.create_volume(
            project_id=call.token.project_id,
            user_id=call.token.user_id,
            size_gb=integer_of(size, "size", low=1, high=_MAX_SIZE_GB),
            name=body.get("name"),
            description=body.get("description"),
            kind=kind,
            metadata=dict(body.get("metadata") or {}),
            snapshot_id=snapshot_id,
            source_volume_id=source_id,
            image=image,
            availability_zone=str(body.get("availability_zone") or "nova"),
            is_multiattach=bool(body.get("multiattach", False)),
        )
        return json_answer(202, {"volume": self._volume_view(call, volume, is_new=True)})

    def _own_volume(self, call: Call) -> Volume:
        return self.store.volume(self._project(call), call.params[1])

    def _show_volume(self, call: Call) -> Answer:
        return json_answer(200, {"volume": self._volume_view(call, self._own_volume(call))})

    def _delete_volume(self, call: Call) -> Answer:
        volume = self._own_volume(call)
        is_forced = call.minor >= 23 and call.request.first("force").lower() == "true" and call.token.is_admin
        if call.request.first("cascade").lower() == "true":
            for snapshot in [item for item in self.store.snapshots.values() if item.volume_id == volume.id]:
                del self.store.snapshots[snapshot.id]
        self.store.delete_volume(volume, is_forced=is_forced)
        return Answer(status=202)

    def _update_volume(self, call: Call) -> Answer:
        volume, body = self._own_volume(call), json_object(call.request, "volume")
        if "name" in body:
            volume.name = body["name"]
        if "description" in body:
            volume.description = body["description"]
        if "metadata" in body:
            volume.metadata = dict(body["metadata"])
        volume.updated_at = self.world.fine_stamp()
        return json_answer(200, {"volume": self._volume_view(call, volume, is_new=True)})

    def _act(self, call: Call) -> Answer:
        volume = self._own_volume(call)
        document = json_body(call.request)
        name = next(iter(document), "")
        argument: Body = document[name] if isinstance(document.get(name), dict) else {}
        match name:
            case "os-extend":
                size = integer_of(argument.get("new_size"), "new_size", low=1, high=_MAX_SIZE_GB)
                self.store.extend(volume, size)
            case "os-force_delete":
                if not call.token.is_admin:
                    raise self.forbidden("volume_extension:volume_admin_actions:force_delete")
                self.store.delete_volume(volume, is_forced=True)
            case "os-reset_status":
                if not call.token.is_admin:
                    raise self.forbidden("volume_extension:volume_admin_actions:reset_status")
                volume.step += 1
                volume.status = str(argument.get("status"))
            case "os-update_readonly_flag":
                volume.is_readonly = bool(argument.get("readonly"))
                volume.metadata["readonly"] = str(volume.is_readonly)
            case "os-set_bootable":
                volume.is_bootable = argument.get("bootable") in (True, "True", "true", 1)
                return Answer(status=200)
            case "os-attach":
                self.store.begin_attach(volume)
                self.store.attach(volume, str(argument.get("instance_uuid")), str(argument.get("mountpoint")), "")
            case "os-detach":
                for held in list(volume.attachments):
                    self.store.detach(volume, held.server_id)
            case "os-reserve":
                self.store.begin_attach(volume)
            case "os-unreserve":
                volume.status = "available"
            case "os-volume_upload_image":
                return self._upload(call, volume, argument)
            case _:
                raise Refused(400, f"There is no such action: {name}")
        return Answer(status=202, headers=[("Content-Type", "application/json")])

    def _upload(self, call: Call, volume: Volume, argument: Body) -> Answer:
        record = self._images.create(
            call.token.project_id,
            {
                "name": argument.get("image_name"),
                "disk_format": argument.get("disk_format", "raw"),
                "container_format": argument.get("container_format", "bare"),
                "visibility": "shared",
            },
        )
        self.store.upload(volume, lambda: self._images.fill(record, volume.id.encode()))
        view = {
            "id": volume.id,
            "updated_at": volume.updated_at,
            "status": "uploading",
            "display_description": volume.description,
            "size": volume.size_gb,
            "volume_type": {"id": volume.type.id, "name": volume.type.name},
            "image_id": record["id"],
            "container_format": record["container_format"],
            "disk_format": record["disk_format"],
            "image_name": record["name"],
        }
        return json_answer(202, {"os-volume_upload_image": view})

    def _metadata(self, call: Call) -> Answer:
        return json_answer(200, {"metadata": self._own_volume(call).metadata})

    def _add_metadata(self, call: Call) -> Answer:
        volume = self._own_volume(call)
        volume.metadata.update(json_object(call.request, "metadata"))
        return json_answer(200, {"metadata": volume.metadata})

    def _replace_metadata(self, call: Call) -> Answer:
        volume = self._own_volume(call)
        volume.metadata = dict(json_object(call.request, "metadata"))
        return json_answer(200, {"metadata": volume.metadata})

    def _drop_metadata(self, call: Call) -> Answer:
        volume = self._own_volume(call)
        if volume.metadata.pop(call.params[2], None) is None:
            raise Refused(404, f"Volume {volume.id} has no metadata with key {call.params[2]}.")
        return Answer(status=200)

    # ---- snapshots

    def _snapshot_view(self, call: Call, snapshot: Snapshot, *, is_detailed: bool) -> Body:
        view: Body = {
            "id": snapshot.id,
            "name": snapshot.name,
            "description": snapshot.description,
            "created_at": snapshot.created_at,
            "updated_at": snapshot.updated_at,
            "volume_id": snapshot.volume_id,
            "status": snapshot.status,
            "size": snapshot.size_gb,
            "metadata": snapshot.metadata,
        }
        if call.minor >= 14:
            view["group_snapshot_id"] = None
        if call.minor >= 41:
            view["user_id"] = snapshot.user_id
        if call.minor >= 65:
            view["consumes_quota"] = True
        if is_detailed:
            view["os-extended-snapshot-attributes:progress"] = "100%" if snapshot.status == "available" else "0%"
            view["os-extended-snapshot-attributes:project_id"] = snapshot.project_id
        return view

    def _list_snapshots(self, *, is_detailed: bool) -> Handler:
        def handle(call: Call) -> Answer:
            def view(snapshot: Snapshot) -> Body:
                return self._snapshot_view(call, snapshot, is_detailed=is_detailed)

            return self._listed(call, "snapshots", list(self.store.snapshots.values()), view)

        return handle

    def _create_snapshot(self, call: Call) -> Answer:
        body = json_object(call.request, "snapshot")
        volume = self.store.volume(self._project(call), str(body.get("volume_id")))
        is_forced = call.minor >= 66 or body.get("force") in (True, "True", "true", 1)
        snapshot = self.store.create_snapshot(
            volume,
            user_id=call.token.user_id,
            name=body.get("name"),
            description=body.get("description"),
            is_forced=is_forced,
            metadata=dict(body.get("metadata") or {}),
        )
        return json_answer(202, {"snapshot": self._snapshot_view(call, snapshot, is_detailed=False)})

    def _show_snapshot(self, call: Call) -> Answer:
        snapshot = self.store.snapshot(self._project(call), call.params[1])
        return json_answer(200, {"snapshot": self._snapshot_view(call, snapshot, is_detailed=True)})

    def _delete_snapshot(self, call: Call) -> Answer:
        self.store.delete_snapshot(self.store.snapshot(self._project(call), call.params[1]))
        return Answer(status=202)

    # ---- backups

    def _backup_view(self, call: Call, backup: Backup, *, is_detailed: bool) -> Body:
        view: Body = {"id": backup.id, "name": backup.name, "links": self._links(call, "backups", backup.id)}
        if is_detailed:
            view.update(
                status=backup.status,
                size=backup.size_gb,
                object_count=0,
                availability_zone="nova",
                container="volumebackups",
                created_at=backup.created_at,
                updated_at=backup.updated_at,
                description=backup.description,
                fail_reason=None,
                volume_id=backup.volume_id,
                is_incremental=backup.is_incremental,
                has_dependent_backups=False,
                snapshot_id=None,
                data_timestamp=backup.created_at,
            )
        return view

    def _list_backups(self, *, is_detailed: bool) -> Handler:
        def handle(call: Call) -> Answer:
            def view(backup: Backup) -> Body:
                return self._backup_view(call, backup, is_detailed=is_detailed)

            return self._listed(call, "backups", list(self.store.backups.values()), view)

        return handle

    def _create_backup(self, call: Call) -> Answer:
        body = json_object(call.request, "backup")
        volume = self.store.volume(self._project(call), str(body.get("volume_id")))
        backup = self.store.create_backup(
            volume,
            user_id=call.token.user_id,
            name=body.get("name"),
            description=body.get("description"),
            is_incremental=bool(body.get("incremental", False)),
        )
        view = {**self._backup_view(call, backup, is_detailed=False), "volume_id": volume.id}
        return json_answer(202, {"backup": view})

    def _show_backup(self, call: Call) -> Answer:
        backup = self.store.backup(self._project(call), call.params[1])
        return json_answer(200, {"backup": self._backup_view(call, backup, is_detailed=True)})

    def _delete_backup(self, call: Call) -> Answer:
        self.store.delete_backup(self.store.backup(self._project(call), call.params[1]))
        return Answer(status=202)

    # ---- types

    def _type_view(self, call: Call, kind: VolumeType) -> Body:
        view: Body = {
            "id": kind.id,
            "name": kind.name,
            "is_public": kind.is_public,
            "description": kind.description,
            "extra_specs": kind.extra_specs if call.token.is_admin else {},
        }
        if call.token.is_admin:
            view["qos_specs_id"] = None
        view["os-volume-type-access:is_public"] = kind.is_public
        return view

    def _types(self, call: Call) -> Answer:
        kinds = [kind for kind in self.store.types.values() if kind.is_public or call.token.is_admin]
        return json_answer(200, {"volume_types": [self._type_view(call, kind) for kind in kinds]})

    def _own_type(self, call: Call) -> VolumeType:
        if call.params[1] == "default":
            return self.store.type_named(None)
        kind = self.store.types.get(call.params[1])
        if kind is None:
            raise Refused(404, f"Volume type {call.params[1]} could not be found.")
        return kind

    def _type(self, call: Call) -> Answer:
        return json_answer(200, {"volume_type": self._type_view(call, self._own_type(call))})

    def _create_type(self, call: Call) -> Answer:
        body = json_object(call.request, "volume_type")
        name = body.get("name")
        if not isinstance(name, str) or not name.strip():
            raise Refused(400, "Invalid input for field/attribute name.")
        kind = self.store.create_type(
            name,
            body.get("description"),
            bool(body.get("os-volume-type-access:is_public", True)),
            dict(body.get("extra_specs") or {}),
        )
        return json_answer(200, {"volume_type": self._type_view(call, kind)})

    def _update_type(self, call: Call) -> Answer:
        kind, body = self._own_type(call), json_object(call.request, "volume_type")
        kind.name = str(body.get("name") or kind.name)
        kind.description = body.get("description", kind.description)
        kind.is_public = bool(body.get("is_public", kind.is_public))
        return json_answer(200, {"volume_type": self._type_view(call, kind)})

    def _delete_type(self, call: Call) -> Answer:
        self.store.delete_type(self._own_type(call).id)
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
        limits, used = self.store.limits(project), self.store.used
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
        view: Body = dict(self.store.limits(project))
        for kind in self.store.types.values():
            for resource in ("volumes", "gigabytes", "snapshots"):
                view.setdefault(f"{resource}_{kind.name}", -1)
        return view

    def _quota(self, call: Call) -> Answer:
        target = call.params[1]
        if not call.token.is_admin and target != call.token.project_id:
            raise self.forbidden("volume_extension:quotas:show")
        view = self._quota_view(target)
        if call.request.first("usage").lower() == "true":
            used = self.store.used
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
        self.store.quotas.setdefault(target, {}).update(changes)
        return json_answer(200, {"quota_set": self._quota_view(target)})

    def _reset_quota(self, call: Call) -> Answer:
        self.store.quotas.pop(call.params[1], None)
        return Answer(status=200)

    def _zones(self, call: Call) -> Answer:
        return json_answer(200, {"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}}]})

    def _services(self, call: Call) -> Answer:
        now = self.world.fine_stamp()
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
            for volume in self.store.volumes.values()
            if volume.project_id == call.token.project_id
            for held in volume.attachments
        ]
        return json_answer(200, {"attachments": found})


def _fits(request: Request, item: Item) -> bool:
    for name, value in request.query:
        match name:
            case "name" | "status":
                if value != getattr(item, name):
                    return False
            case "name~":
                if value not in (item.name or ""):
                    return False
            case "volume_id":
                if value != getattr(item, "volume_id", value):
                    return False
            case "bootable" if isinstance(item, Volume):
                if (value.lower() == "true") != item.is_bootable:
                    return False
            case _:
                pass
    return True


def _sorted(request: Request, items: list[Any]) -> list[Any]:
    attributes = {"name": "name", "size": "size_gb", "status": "status", "id": "id", "created_at": "created_at"}
    for part in reversed([part for part in request.first("sort").split(",") if part]):
        key, _, direction = part.partition(":")
        if key in attributes:
            items = sorted(items, key=lambda item: getattr(item, attributes[key]) or "", reverse=direction != "asc")
    return items
