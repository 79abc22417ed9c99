"""Cinder's service: version documents, microversions, error bodies, and the routes of volumes, snapshots and backups.

Rules: the project in the path must be the caller's; a list with `all_tenants` is the admin's. The rest of Cinder's
routes is in admin.py.
"""

from typing import Any

from osbench.deploy.simulated.block_storage import views
from osbench.deploy.simulated.block_storage.admin import AdminRoutes
from osbench.deploy.simulated.block_storage.paging import page_of
from osbench.deploy.simulated.block_storage.store import Backup, BlockStorageStore, Snapshot, Volume, VolumeType
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
        AdminRoutes(self.world, self.store).add_to(self)

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

    def _listed(self, call: Call, plural: str, items: list[Any], view: Any) -> Answer:
        page, following = page_of(call, items)
        body: Body = {plural: [view(item) for item in page]}
        if following:
            body[f"{plural}_links"] = following
        if call.minor >= 45 and call.request.first("with_count").lower() == "true":
            body["count"] = len(page)
        return json_answer(200, body)

    # ---- volumes

    def _list_volumes(self, *, is_detailed: bool) -> Handler:
        def handle(call: Call) -> Answer:
            def view(volume: Volume) -> Body:
                if is_detailed:
                    return views.volume_view(call, volume)
                return {"id": volume.id, "name": volume.name, "links": views.links(call, "volumes", volume.id)}

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
        return json_answer(202, {"volume": views.volume_view(call, volume, is_new=True)})

    def _own_volume(self, call: Call) -> Volume:
        return self.store.volume(self._project(call), call.params[1])

    def _show_volume(self, call: Call) -> Answer:
        return json_answer(200, {"volume": views.volume_view(call, self._own_volume(call))})

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
        return json_answer(200, {"volume": views.volume_view(call, volume, is_new=True)})

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

    def _list_snapshots(self, *, is_detailed: bool) -> Handler:
        def handle(call: Call) -> Answer:
            def view(snapshot: Snapshot) -> Body:
                return views.snapshot_view(call, snapshot, is_detailed=is_detailed)

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
        return json_answer(202, {"snapshot": views.snapshot_view(call, snapshot, is_detailed=False)})

    def _show_snapshot(self, call: Call) -> Answer:
        snapshot = self.store.snapshot(self._project(call), call.params[1])
        return json_answer(200, {"snapshot": views.snapshot_view(call, snapshot, is_detailed=True)})

    def _delete_snapshot(self, call: Call) -> Answer:
        self.store.delete_snapshot(self.store.snapshot(self._project(call), call.params[1]))
        return Answer(status=202)

    # ---- backups

    def _list_backups(self, *, is_detailed: bool) -> Handler:
        def handle(call: Call) -> Answer:
            def view(backup: Backup) -> Body:
                return views.backup_view(call, backup, is_detailed=is_detailed)

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
        view = {**views.backup_view(call, backup, is_detailed=False), "volume_id": volume.id}
        return json_answer(202, {"backup": view})

    def _show_backup(self, call: Call) -> Answer:
        backup = self.store.backup(self._project(call), call.params[1])
        return json_answer(200, {"backup": views.backup_view(call, backup, is_detailed=True)})

    def _delete_backup(self, call: Call) -> Answer:
        self.store.delete_backup(self.store.backup(self._project(call), call.params[1]))
        return Answer(status=202)
