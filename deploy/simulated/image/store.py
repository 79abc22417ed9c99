"""What Glance knows: images and when their data became active.

Rules: pure. A record is a dictionary, because an image carries whatever properties its owner gives it. Of uploaded
data only size and checksums are kept.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from osbench.deploy.simulated.exchange import Refused
from osbench.deploy.simulated.identity.tokens import Token
from osbench.deploy.simulated.world import World

Record = dict[str, Any]

_FIXED = frozenset(
    {"id", "status", "checksum", "os_hash_algo", "os_hash_value", "size", "created_at", "updated_at", "self", "file",
     "schema", "virtual_size", "direct_url", "locations"}
)  # fmt: skip


@dataclass(slots=True)
class ImageStore:
    """All images by id."""

    world: World
    images: dict[str, Record] = field(default_factory=dict)

    def create(self, owner: str, body: Record) -> Record:
        """A queued image.

        Raises:
            Refused: 403 on an attribute only Glance sets, 409 on an id that is taken.
        """
        for name in body:
            if name in _FIXED and name != "id":
                raise Refused(403, f"Attribute '{name}' is read-only.")
        image_id = str(body.get("id") or self.world.uuid())
        if image_id in self.images:
            raise Refused(409, f"Image ID {image_id} already exists!")
        now = self.world.stamp()
        record: Record = {
            "name": None,
            "disk_format": None,
            "container_format": None,
            "visibility": "shared",
            "size": None,
            "virtual_size": None,
            "status": "queued",
            "checksum": None,
            "protected": False,
            "min_ram": 0,
            "min_disk": 0,
            "owner": owner,
            "os_hidden": False,
            "os_hash_algo": None,
            "os_hash_value": None,
            **body,
            "id": image_id,
            "created_at": now,
            "updated_at": now,
            "tags": list(body.get("tags", ())),
        }
        self.images[image_id] = record
        return record

    def visible(self, token: Token, image_id: str) -> Record:
        """An image the caller may see.

        Raises:
            Refused: 404.
        """
        record = self.images.get(image_id)
        if record is None or not _may_see(token, record):
            raise Refused(404, f"No image found with ID {image_id}")
        return record

    def all_visible(self, token: Token) -> list[Record]:
        """All images the caller may see in a list, newest first as Glance sorts them."""
        return [record for record in reversed(self.images.values()) if _may_see(token, record)]

    def owned(self, token: Token, image_id: str) -> Record:
        """An image the caller may change.

        Raises:
            Refused: 404 or 403.
        """
        record = self.visible(token, image_id)
        if not token.is_admin and record["owner"] != token.project_id:
            raise Refused(403, "You are not authorized to complete this action.")
        return record

    def upload(self, token: Token, image_id: str, data: bytes) -> None:
        """Take the data; the image is `saving` until its delay is over.

        Raises:
            Refused: 404, 403, or 409 when it has data.
        """
        record = self.owned(token, image_id)
        if record["status"] != "queued":
            raise Refused(409, f"Image status transition from {record['status']} to saving is not allowed")
        self.fill(record, data)

    def fill(self, record: Record, data: bytes) -> None:
        """Give a queued image its data, active after the delay of `image_upload`."""
        record["status"] = "saving"
        size, md5, sha512 = len(data), hashlib.md5(data).hexdigest(), hashlib.sha512(data).hexdigest()

        def arrived(at_ns: int) -> None:
            record.update(
                status="active",
                stores="fs",
                size=size,
                virtual_size=size,
                checksum=md5,
                os_hash_algo="sha512",
                os_hash_value=sha512,
                updated_at=self.world.stamp(at_ns),
            )

        now_ns = self.world.now_ns()
        delay_ns = self.world.chances.delay_ns("image_upload")
        if self.world.chances.is_stuck("image_upload"):
            return
        if delay_ns == 0:
            arrived(now_ns)
        else:
            self.world.agenda.note(now_ns + delay_ns, arrived)

    def change(self, token: Token, image_id: str, operations: list[Record]) -> Record:
        """Apply a JSON patch of `add`, `replace` and `remove` on first-level attributes.

        Raises:
            Refused: 400, 403, 404 or 409.
        """
        record = self.owned(token, image_id)
        changed = dict(record)
        for operation in operations:
            name = str(operation.get("path", "")).lstrip("/").replace("~1", "/").replace("~0", "~")
            if not name or name in _FIXED:
                raise Refused(403, f"Attribute '{name}' is read-only.")
            match operation.get("op"):
                case "add" | "replace":
                    changed[name] = operation.get("value")
                case "remove":
                    if name not in changed:
                        raise Refused(409, f"Property {name} does not exist.")
                    del changed[name]
                case other:
                    raise Refused(400, f"Operations must be JSON objects with op add, replace or remove, not {other!r}")
        changed["updated_at"] = self.world.stamp()
        record.clear()
        record.update(changed)
        return record

    def delete(self, token: Token, image_id: str) -> None:
        """Remove an image.

        Raises:
            Refused: 404, or 403 for another's or a protected one.
        """
        record = self.owned(token, image_id)
        if record["protected"]:
            raise Refused(403, f"Image {image_id} is protected and cannot be deleted.")
        del self.images[image_id]


def _may_see(token: Token, record: Record) -> bool:
    return token.is_admin or record["owner"] == token.project_id or record["visibility"] in ("public", "community")
