"""Cinder's bodies, by microversion.

Rules: admins see more; the numbers at attributes are the microversion that brought them (Cinder's REST API version
history).
"""

from osbench.deploy.simulated.block_storage.store import Backup, Snapshot, Volume, VolumeType
from osbench.deploy.simulated.exchange import Body
from osbench.deploy.simulated.service import Call

#: Of the one cinder-volume there is.
_SERVICE_UUID = "6f0a1c7e-3f0b-4d3e-9d6a-5b8c2f1e7a90"


def links(call: Call, plural: str, item_id: str) -> list[Body]:
    """The `self` and `bookmark` links of a record."""
    project = call.token.project_id
    return [
        {"rel": "self", "href": f"{call.base}/v3/{project}/{plural}/{item_id}"},
        {"rel": "bookmark", "href": f"{call.base}/{project}/{plural}/{item_id}"},
    ]


def volume_view(call: Call, volume: Volume, *, is_new: bool = False) -> Body:
    """A volume; `is_new` as a create or an update answers it, without what extensions add."""
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
        "links": links(call, "volumes", volume.id),
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


def snapshot_view(call: Call, snapshot: Snapshot, *, is_detailed: bool) -> Body:
    """A snapshot; `is_detailed` adds what extensions add."""
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


def backup_view(call: Call, backup: Backup, *, is_detailed: bool) -> Body:
    """A backup; `is_detailed` with all its attributes."""
    view: Body = {"id": backup.id, "name": backup.name, "links": links(call, "backups", backup.id)}
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


def type_view(call: Call, kind: VolumeType) -> Body:
    """A volume type."""
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
