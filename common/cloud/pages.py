"""Lists that come in pages: followed to their end, within a bound.

Rules: a next page is asked for by its marker at the service's own URL, never at a URL the answer names, which may lead
elsewhere.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from osbench.common.error import CloudError

PAGE_SIZE = 1_000
PAGE_LIMIT = 1_000


class Identified(Protocol):
    """Has an id, which serves as marker."""

    @property
    def id(self) -> str:
        """The id."""
        ...


Item = TypeVar("Item", bound=Identified)


async def all_pages(what: str, fetch: Callable[[str | None], Awaitable[tuple[list[Item], bool]]]) -> list[Item]:
    """All items of a list.

    Args:
        what: for the message, e.g. `images`.
        fetch: gets the page after a marker (None: the first), and says whether there are more.

    Raises:
        CloudError: more than PAGE_LIMIT pages, or pages that go in a circle.
    """
    found: list[Item] = []
    marker: str | None = None
    for _ in range(PAGE_LIMIT):
        page, has_more = await fetch(marker)
        found.extend(page)
        if not has_more or not page:
            return found
        if page[-1].id == marker:
            raise CloudError(f"the list of {what} goes in a circle: its page after {marker!r} ends with the same")
        marker = page[-1].id
    raise CloudError(f"the list of {what} has more than {PAGE_LIMIT} pages ({len(found)} read)")
