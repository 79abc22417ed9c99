"""Glance: what it takes to find an image."""

from typing import Any

import msgspec

from osbench.common.cloud.pages import PAGE_SIZE, all_pages
from osbench.common.cloud.paths import query, segment
from osbench.common.cloud.route import Route
from osbench.common.cloud.session import Session

LIST_IMAGES = Route("image", "GET", "/images")
GET_IMAGE = Route("image", "GET", "/images/{id}")
DELETE_IMAGE = Route("image", "DELETE", "/images/{id}", frozenset({204}))


class Image(msgspec.Struct, frozen=True):
    """An image; sizes in MiB of memory (min_ram), GiB of disk (min_disk) and bytes (size, None while it is unknown)."""

    id: str
    name: str | None = None
    status: str = ""
    visibility: str = ""
    size: int | None = None
    min_ram: int = 0
    min_disk: int = 0


class _ImagesReply(msgspec.Struct):
    images: list[Image]
    next: str | None = None


_decode_image = msgspec.json.Decoder(Image).decode
_decode_images = msgspec.json.Decoder(_ImagesReply).decode


class Glance:
    """Image calls of one session."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    async def list_images(self, **parameters: Any) -> list[Image]:
        """One page of images, as Glance cuts it (25 unless `limit` says more)."""
        return (await self._page(parameters))[0]

    async def list_all_images(self, **parameters: Any) -> list[Image]:
        """All pages of images."""

        async def fetch(marker: str | None) -> tuple[list[Image], bool]:
            return await self._page({"limit": PAGE_SIZE, **parameters, "marker": marker})

        return await all_pages("images", fetch)

    async def _page(self, parameters: dict[str, Any]) -> tuple[list[Image], bool]:
        exchange = await self.session.call(LIST_IMAGES, "/images" + query(parameters))
        reply = self.session.decoded(LIST_IMAGES, exchange, _decode_images)
        return reply.images, bool(reply.next)

    async def get_image(self, image_id: str) -> Image:
        """One image."""
        exchange = await self.session.call(GET_IMAGE, "/images/" + segment(image_id))
        return self.session.decoded(GET_IMAGE, exchange, _decode_image)

    async def delete_image(self, image_id: str) -> None:
        """Remove an image."""
        await self.session.call(DELETE_IMAGE, "/images/" + segment(image_id))
