"""Cinder: volumes, one short method per call.

Rules: bodies are built here and answers become typed values here; of an answer only what is used is decoded.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.pages import PAGE_SIZE, all_pages
from osbench.common.cloud.paths import query, segment
from osbench.common.cloud.route import Route
from osbench.common.cloud.session import Session
from osbench.common.record import CALL_WAITING

CREATE_VOLUME = Route("block-storage", "POST", "/volumes", frozenset({202}))
GET_VOLUME = Route("block-storage", "GET", "/volumes/{id}")
LIST_VOLUMES = Route("block-storage", "GET", "/volumes")
LIST_VOLUMES_DETAILED = Route("block-storage", "GET", "/volumes/detail")
DELETE_VOLUME = Route("block-storage", "DELETE", "/volumes/{id}", frozenset({202}))

_FOUND_OR_GONE = frozenset({200, 404})


class Volume(msgspec.Struct, frozen=True):
    """A volume; size in GiB, 0 and no status where a list was asked for without details."""

    id: str
    name: str | None = None
    status: str = ""
    size: int = 0
    #: Only an administrator is told.
    project_id: str = msgspec.field(default="", name="os-vol-tenant-attr:tenant_id")


class _VolumeReply(msgspec.Struct):
    volume: Volume


class _VolumesReply(msgspec.Struct):
    volumes: list[Volume]
    volumes_links: list[dict[str, str]] = []


_decode_volume = msgspec.json.Decoder(_VolumeReply).decode
_decode_volumes = msgspec.json.Decoder(_VolumesReply).decode


def is_available(volume: Volume) -> bool:
    """Whether a new volume can be used.

    Raises:
        CallFailed: it went to an error status.
    """
    if volume.status.startswith("error"):
        raise in_error(volume)
    return volume.status == "available"


def is_gone(volume: Volume | None) -> bool:
    """Whether a volume whose deletion was asked for is no more; None is a volume that was not found.

    Raises:
        CallFailed: its deletion failed.
    """
    if volume is None:
        return True
    if volume.status == "error_deleting":
        raise in_error(volume)
    return False


def in_error(volume: Volume) -> CallFailed:
    """The failure of a volume that is in an error status; Cinder gives no reason with it."""
    return CallFailed(GET_VOLUME.name, status=200, kind="volume_in_error", message=f"its status is {volume.status}")


class Cinder:
    """Block storage calls of one session."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    async def create_volume(
        self, name: str, size_gib: int, *, image: str | None = None, more: Mapping[str, Any] | None = None
    ) -> Volume:
        """Ask for a volume; it is being made when this returns.

        Args:
            name: of the volume. size_gib: its size. image: id of the image it is filled with.
            more: further keys of Cinder's `volume`, e.g. {"volume_type": …, "availability_zone": …}.
        """
        volume: dict[str, Any] = {"name": name, "size": size_gib, **(more or {})}
        if image is not None:
            volume["imageRef"] = image
        exchange = await self.session.call(CREATE_VOLUME, "/volumes", orjson.dumps({"volume": volume}))
        return self.session.decoded(CREATE_VOLUME, exchange, _decode_volume).volume

    async def poll_volume(self, volume_id: str) -> Volume | None:
        """One volume, asked for while waiting for a state; None if it is no more."""
        path = "/volumes/" + segment(volume_id)
        exchange = await self.session.call(GET_VOLUME, path, expected=_FOUND_OR_GONE, flags=CALL_WAITING)
        if exchange.status == 404:
            return None
        return self.session.decoded(GET_VOLUME, exchange, _decode_volume).volume

    async def list_volumes(self, detailed: bool = True, **parameters: Any) -> list[Volume]:
        """One page of volumes, as Cinder cuts it.

        Args:
            detailed: all of each volume, or only ids and names.
            parameters: Cinder's own: limit, marker, name, status, all_tenants, …
        """
        return (await self._page(detailed, parameters))[0]

    async def list_all_volumes(self, detailed: bool = True, **parameters: Any) -> list[Volume]:
        """All pages of volumes."""

        async def fetch(marker: str | None) -> tuple[list[Volume], bool]:
            return await self._page(detailed, {"limit": PAGE_SIZE, **parameters, "marker": marker})

        return await all_pages("volumes", fetch)

    async def _page(self, detailed: bool, parameters: Mapping[str, Any]) -> tuple[list[Volume], bool]:
        route = LIST_VOLUMES_DETAILED if detailed else LIST_VOLUMES
        exchange = await self.session.call(route, route.path + query(parameters))
        reply = self.session.decoded(route, exchange, _decode_volumes)
        return reply.volumes, any(link.get("rel") == "next" for link in reply.volumes_links)

    async def delete_volume(self, volume_id: str) -> None:
        """Ask for a volume's removal."""
        await self.session.call(DELETE_VOLUME, "/volumes/" + segment(volume_id))
