"""What Cinder knows: volumes, snapshots, backups and types, their states, and what each project may have.

Rules: pure. A state that takes time is noted on the agenda with the record's step number; a later change of the record
makes the note worthless. Sizes are whole GiB, as in the API.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from osbench.deploy.simulated.exchange import Refused
from osbench.deploy.simulated.world import World

T = TypeVar("T", bound="Item")

_WORDS = {"volumes": "Volume", "snapshots": "Snapshot", "backups": "Backup"}


@dataclass(slots=True, kw_only=True)
class Attachment:
    """A volume's place in a server."""

    id: str
    server_id: str
    device: str
    attached_at: str
    host: str


@dataclass(slots=True, kw_only=True)
class VolumeType:
    """A volume type."""

    id: str
    name: str
    description: str | None = None
    is_public: bool = True
    extra_specs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Item:
    """What volumes, snapshots and backups share.

    Attributes:
        step: grows with each change of state.
    """

    id: str
    name: str | None
    description: str | None
    project_id: str
    user_id: str
    size_gb: int
    status: str
    created_at: str
    updated_at: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    step: int = 0


@dataclass(slots=True, kw_only=True)
class Volume(Item):
    """A volume."""

    type: VolumeType
    availability_zone: str = "nova"
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    image_metadata: dict[str, Any] | None = None
    is_bootable: bool = False
    is_multiattach: bool = False
    is_readonly: bool = False
    attachments: list[Attachment] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Snapshot(Item):
    """A snapshot of a volume."""

    volume_id: str


@dataclass(slots=True, kw_only=True)
class Backup(Item):
    """A backup of a volume."""

    volume_id: str
    is_incremental: bool = False


@dataclass(slots=True)
class BlockStorageStore:
    """All records by id."""

    world: World
    volumes: dict[str, Volume] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    backups: dict[str, Backup] = field(default_factory=dict)
    types: dict[str, VolumeType] = field(default_factory=dict)
    quotas: dict[str, dict[str, int]] = field(default_factory=dict)
    #: (project, resource) to what is used of it.
    used: Counter[tuple[str, str]] = field(default_factory=Counter)

    # ---- quotas

    def limits(self, project_id: str) -> dict[str, int]:
        """The limits of a project; -1 is unlimited."""
        defaults: dict[str, int] = msgspec.structs.asdict(self.world.spec.quotas.block_storage)
        return {**defaults, **self.quotas.get(project_id, {})}

    def _reserve(self, project_id: str, wanted: dict[str, int]) -> None:
        limits = self.limits(project_id)
        for resource, amount in wanted.items():
            limit, used = limits.get(resource, -1), self.used[project_id, resource]
            if limit >= 0 and used + amount > limit:
                raise _over_quota(resource, limit, used, amount)
        for resource, amount in wanted.items():
            self.used[project_id, resource] += amount

    def _release(self, project_id: str, held: dict[str, int]) -> None:
        for resource, amount in held.items():
            self.used[project_id, resource] -= amount

    # ---- states that take time

    def _later(self, item: Item, operation: str, during: str, then: Callable[[], None], failed: str) -> None:
        """Put `item` into state `during`; when the delay is over run `then`, or go to the state `failed`."""
        item.step += 1
        item.status = during
        step = item.step
        chances = self.world.chances
        is_error, is_stuck = chances.is_error(operation), chances.is_stuck(operation)

        def over(at_ns: int) -> None:
            if item.step != step:
                return
            item.updated_at = self.world.fine_stamp(at_ns)
            if is_error:
                item.status = failed
            else:
                then()

        if not is_stuck:
            self.world.agenda.note(self.world.now_ns() + chances.delay_ns(operation), over)

    # ---- types

    def type_named(self, wanted: str | None) -> VolumeType:
        """The type with this id or name; the first of all when none is named.

        Raises:
            Refused: 404.
        """
        if wanted is None:
            return next(iter(self.types.values()))
        for kind in self.types.values():
            if wanted in (kind.id, kind.name):
                return kind
        raise Refused(404, f"Volume type with name {wanted} could not be found.")

    def create_type(
        self, name: str, description: str | None = None, is_public: bool = True, specs: dict[str, str] | None = None
    ) -> VolumeType:
        """A new volume type.

        Raises:
            Refused: 409 when the name is taken.
        """
        if any(kind.name == name for kind in self.types.values()):
            raise Refused(409, f"Volume Type {name} already exists.")
        kind = VolumeType(
            id=self.world.uuid(), name=name, description=description, is_public=is_public, extra_specs=specs or {}
        )
        self.types[kind.id] = kind
        return kind

    def delete_type(self, type_id: str) -> None:
        """Remove a type.

        Raises:
            Refused: 404, or 400 while volumes are of it.
        """
        if type_id not in self.types:
            raise Refused(404, f"Volume type {type_id} could not be found.")
        if any(volume.type.id == type_id for volume in self.volumes.values()):
            raise Refused(400, "Target volume type is still in use.")
        del self.types[type_id]

    # ---- volumes

    def volume(self, project_id: str | None, volume_id: str) -> Volume:
        """A volume of a project (of any, when None).

        Raises:
            Refused: 404.
        """
        return _one(self.volumes, project_id, volume_id, "volumes")

    def create_volume(
        self,
        *,
        project_id: str,
        user_id: str,
        size_gb: int,
        name: str | None = None,
        description: str | None = None,
        kind: VolumeType | None = None,
        metadata: dict[str, str] | None = None,
        snapshot_id: str | None = None,
        source_volume_id: str | None = None,
        image: dict[str, Any] | None = None,
        availability_zone: str = "nova",
        is_multiattach: bool = False,
    ) -> Volume:
        """A new volume, `creating` until its delay is over.

        Raises:
            Refused: 413 over quota.
        """
        per_volume = self.limits(project_id).get("per_volume_gigabytes", -1)
        if 0 <= per_volume < size_gb:
            raise Refused(
                413, f"VolumeSizeExceedsLimit: Requested volume size {size_gb} is larger than maximum allowed limit "
                     f"{per_volume}.")  # fmt: skip
        self._reserve(project_id, {"volumes": 1, "gigabytes": size_gb})
        image_metadata = None
        if image is not None:
            keys = ("name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size")
            image_metadata = {"image_id": image["id"], **{key: str(image.get(key)) for key in keys}}
            image_metadata["image_name"] = image_metadata.pop("name")
        volume = Volume(
            id=self.world.uuid(),
            name=name,
            description=description,
            project_id=project_id,
            user_id=user_id,
            size_gb=size_gb,
            status="creating",
            created_at=self.world.fine_stamp(),
            metadata=metadata or {},
            type=kind or self.type_named(None),
            availability_zone=availability_zone,
            snapshot_id=snapshot_id,
            source_volume_id=source_volume_id,
            image_metadata=image_metadata,
            is_bootable=image is not None,
            is_multiattach=is_multiattach,
        )
        self.volumes[volume.id] = volume
        self._later(volume, "volume_create", "creating", lambda: _settle(volume, "available"), "error")
        return volume

    def delete_volume(self, volume: Volume, *, is_forced: bool = False) -> None:
        """Let a volume go, `deleting` until its delay is over.

        Raises:
            Refused: 400 in a state that does not allow it, or while it has snapshots.
        """
        allowed = ("available", "error", "error_restoring", "error_extending", "error_deleting")
        if not is_forced and (volume.status not in allowed or volume.attachments):
            raise Refused(
                400,
                "Invalid volume: Volume status must be available or error or error_restoring or error_extending or "
                "error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a "
                "transfer, or be disassociated from snapshots after volume transfer.",
            )
        if any(snapshot.volume_id == volume.id for snapshot in self.snapshots.values()):
            raise Refused(
                400,
                "Invalid volume: Volume status must be available or error or error_restoring or error_extending or "
                "error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a "
                "transfer, or be disassociated from snapshots after volume transfer.",
            )

        def gone() -> None:
            del self.volumes[volume.id]
            self._release(volume.project_id, {"volumes": 1, "gigabytes": volume.size_gb})

        self._later(volume, "volume_delete", "deleting", gone, "error_deleting")

    def extend(self, volume: Volume, size_gb: int) -> None:
        """Make a volume larger, `extending` until its delay is over.

        Raises:
            Refused: 400 in a wrong state or to a size not larger, 413 over quota.
        """
        if volume.status not in ("available", "in-use"):
            raise Refused(
                400,
                f"Invalid volume: Volume {volume.id} status must be '{{'status': 'available'}}' to extend, "
                f"but current status is: {volume.status}.",
            )
        if size_gb <= volume.size_gb:
            raise Refused(
                400,
                f"Invalid input received: New size for extend must be greater than current size. "
                f"(current: {volume.size_gb}, extended: {size_gb}).",
            )
        before = volume.status
        self._reserve(volume.project_id, {"gigabytes": size_gb - volume.size_gb})

        def larger() -> None:
            volume.size_gb = size_gb
            volume.status = before

        self._later(volume, "volume_extend", "extending", larger, "error_extending")

    def begin_attach(self, volume: Volume) -> None:
        """Reserve a volume for a server.

        Raises:
            Refused: 400 when it is not available.
        """
        if volume.status != "available" and not (volume.is_multiattach and volume.status == "in-use"):
            raise Refused(
                400,
                f"Invalid volume: Volume {volume.id} status must be available or downloading to reserve, "
                f"but the current status is {volume.status}.",
            )
        volume.step += 1
        volume.status = "reserved"

    def attach(self, volume: Volume, server_id: str, device: str, host: str) -> None:
        """Put a volume into a server, `attaching` until its delay is over."""
        attachment = Attachment(
            id=self.world.uuid(), server_id=server_id, device=device, attached_at=self.world.fine_stamp(), host=host
        )

        def attached() -> None:
            volume.attachments.append(attachment)
            volume.status = "in-use"

        self._later(volume, "volume_attach", "attaching", attached, "error_attaching")

    def detach(self, volume: Volume, server_id: str, *, is_at_once: bool = False) -> None:
        """Take a volume out of a server, `detaching` until its delay is over unless at once."""

        def detached() -> None:
            volume.attachments = [held for held in volume.attachments if held.server_id != server_id]
            volume.status = "in-use" if volume.attachments else "available"

        if is_at_once:
            volume.step += 1
            detached()
        else:
            self._later(volume, "volume_detach", "detaching", detached, "error_detaching")

    def upload(self, volume: Volume, fill: Callable[[], None]) -> None:
        """Copy a volume to an image, `uploading` until its delay is over; `fill` gives the image its data.

        Raises:
            Refused: 400 in a wrong state.
        """
        if volume.status not in ("available", "in-use"):
            raise Refused(400, f"Invalid volume: Volume {volume.id} status must be available or in-use, but current "
                               f"status is: {volume.status}.")  # fmt: skip
        before = volume.status

        def done() -> None:
            volume.status = before
            fill()

        self._later(volume, "image_upload", "uploading", done, before)

    # ---- snapshots and backups

    def snapshot(self, project_id: str | None, snapshot_id: str) -> Snapshot:
        """A snapshot of a project (of any, when None).

        Raises:
            Refused: 404.
        """
        return _one(self.snapshots, project_id, snapshot_id, "snapshots")

    def create_snapshot(
        self,
        volume: Volume,
        *,
        user_id: str,
        name: str | None,
        description: str | None,
        is_forced: bool,
        metadata: dict[str, str],
    ) -> Snapshot:
        """A new snapshot, `creating` until its delay is over.

        Raises:
            Refused: 400 when the volume is not available (or in use, when forced), 413 over quota.
        """
        if volume.status != "available" and not (is_forced and volume.status == "in-use"):
            raise Refused(
                400,
                f"Invalid volume: Volume {volume.id} status must be available, but current status is: {volume.status}.",
            )
        self._reserve(volume.project_id, {"snapshots": 1, "gigabytes": volume.size_gb})
        snapshot = Snapshot(
            id=self.world.uuid(),
            name=name,
            description=description,
            project_id=volume.project_id,
            user_id=user_id,
            size_gb=volume.size_gb,
            status="creating",
            created_at=self.world.fine_stamp(),
            metadata=metadata,
            volume_id=volume.id,
        )
        self.snapshots[snapshot.id] = snapshot
        self._later(snapshot, "snapshot_create", "creating", lambda: _settle(snapshot, "available"), "error")
        return snapshot

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Let a snapshot go, `deleting` until its delay is over.

        Raises:
            Refused: 400 in a state that does not allow it.
        """
        if snapshot.status not in ("available", "error", "error_deleting"):
            raise Refused(400, "Invalid snapshot: Snapshot status must be available or error.")

        def gone() -> None:
            del self.snapshots[snapshot.id]
            self._release(snapshot.project_id, {"snapshots": 1, "gigabytes": snapshot.size_gb})

        self._later(snapshot, "snapshot_delete", "deleting", gone, "error_deleting")

    def backup(self, project_id: str | None, backup_id: str) -> Backup:
        """A backup of a project (of any, when None).

        Raises:
            Refused: 404.
        """
        return _one(self.backups, project_id, backup_id, "backups")

    def create_backup(
        self, volume: Volume, *, user_id: str, name: str | None, description: str | None, is_incremental: bool
    ) -> Backup:
        """A new backup, `creating` until its delay is over; the volume is `backing-up` as long.

        Raises:
            Refused: 400 when the volume is not available, 413 over quota.
        """
        if volume.status not in ("available", "in-use"):
            raise Refused(
                400,
                f"Invalid volume: The volume to be backed up should be in available or in-use, but the current "
                f'status is "{volume.status}".',
            )
        self._reserve(volume.project_id, {"backups": 1, "backup_gigabytes": volume.size_gb})
        backup = Backup(
            id=self.world.uuid(),
            name=name,
            description=description,
            project_id=volume.project_id,
            user_id=user_id,
            size_gb=volume.size_gb,
            status="creating",
            created_at=self.world.fine_stamp(),
            volume_id=volume.id,
            is_incremental=is_incremental,
        )
        self.backups[backup.id] = backup
        before = volume.status
        volume.step += 1
        volume.status = "backing-up"

        def done() -> None:
            backup.status = "available"
            volume.status = before

        self._later(backup, "backup_create", "creating", done, "error")
        return backup

    def delete_backup(self, backup: Backup) -> None:
        """Let a backup go, `deleting` until its delay is over.

        Raises:
            Refused: 400 in a state that does not allow it.
        """
        if backup.status not in ("available", "error"):
            raise Refused(400, "Invalid backup: Backup status must be available or error")

        def gone() -> None:
            del self.backups[backup.id]
            self._release(backup.project_id, {"backups": 1, "backup_gigabytes": backup.size_gb})

        self._later(backup, "backup_delete", "deleting", gone, "error_deleting")


def _settle(item: Item, status: str) -> None:
    item.status = status


def _one(items: dict[str, T], project_id: str | None, item_id: str, plural: str) -> T:
    item = items.get(item_id)
    if item is None or (project_id is not None and item.project_id != project_id):
        raise Refused(404, f"{_WORDS[plural]} {item_id} could not be found.")
    return item


def _over_quota(resource: str, limit: int, used: int, amount: int) -> Refused:
    """Cinder's words for each resource (cinder.exception: VolumeLimitExceeded and its siblings)."""
    match resource:
        case "gigabytes":
            message = (
                f"VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. "
                f"Requested {amount}G, quota is {limit}G and {used}G has been consumed."
            )
        case "snapshots":
            message = f"SnapshotLimitExceeded: Maximum number of snapshots allowed ({limit}) exceeded"
        case "backups":
            message = f"BackupLimitExceeded: Maximum number of backups allowed ({limit}) exceeded"
        case _:
            message = f"VolumeLimitExceeded: Maximum number of volumes allowed ({limit}) exceeded for quota 'volumes'."
    return Refused(413, message, headers=(("Retry-After", "0"),))
