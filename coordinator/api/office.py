"""What the routes work with: the desk, the store behind the service, threads; and a request that was taken apart.

Rules: the daemon's loop answers clock probes, so nothing of the store and no cloud is touched on it. Two pools, both
small: reading a large task takes a second of a core, and a cloud that does not answer must not keep lists waiting.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from osbench.coordinator.desk import Desk
from osbench.coordinator.service.local import LocalService
from osbench.coordinator.task_file.catalog import Catalog

T = TypeVar("T")

READERS = 3
CLOUD_THREADS = 3
#: Event streams at once.
MAX_WATCHERS = 64


@dataclass(slots=True, kw_only=True)
class Office:
    """The collaborators of all routes.

    Attributes:
        service: for all that the store tells. closing: set when the API is about to end, which ends event streams.
        watchers: event streams that are open.
    """

    desk: Desk
    service: LocalService
    catalog: Catalog
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: int = 0
    _readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS, "api-store"))
    _clouds: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(CLOUD_THREADS, "api-cloud"))

    async def read(self, verb: Callable[[], T]) -> T:
        """Run something that asks the store, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, verb)

    async def reach(self, verb: Callable[[], T]) -> T:
        """Run something that asks a cloud, in a thread; may take minutes."""
        return await asyncio.get_running_loop().run_in_executor(self._clouds, verb)

    def close(self) -> None:
        """End what has not begun; what is under way ends by itself."""
        self.closing.set()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._clouds.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request, decoded: `path` has the names in it; `query` and `body` are of the types its operation says."""

    path: Mapping[str, str]
    query: Any
    body: Any
    last_event_id: int = 0

    def query_as(self, kind: type[T]) -> T:
        """The query; its operation says that it is of this type."""
        assert isinstance(self.query, kind), f"the query is {type(self.query)}, not {kind}"
        return self.query

    def body_as(self, kind: type[T]) -> T:
        """The body; its operation says that it is of this type."""
        assert isinstance(self.body, kind), f"the body is {type(self.body)}, not {kind}"
        return self.body
