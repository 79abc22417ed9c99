"""A service of the command line on a real store, straight or through the API without a socket; nobody runs tasks."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from osbench.common.clock import SystemClock
from osbench.coordinator.api.access import ApiAccess
from osbench.coordinator.api.app import build_app
from osbench.coordinator.api.client import ApiClient
from osbench.coordinator.api.office import Office
from osbench.coordinator.api.rehearsal import RehearsedDesk
from osbench.coordinator.cli.rehearsal import RehearsedEngine
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.known import known_catalog
from osbench.coordinator.service.contract import OsbenchService
from osbench.coordinator.service.local import LocalService
from osbench.coordinator.service.remote import RemoteService
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.task_file.reader import LoadedTask, load_rendered
from osbench.coordinator.task_state import TaskStatus

ACCESS = ApiAccess(url="http://127.0.0.1:7760", token="a-token", origin="the tests")
SOURCE = "version: 2\ntitle: A task\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {sleep: 1}}}\n"
TO_THE_END = (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING, TaskStatus.FINISHED)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A service, what is behind it, and `finish`: leaves a task as whoever runs it would."""

    service: OsbenchService
    store: Store
    home: Home
    desk: RehearsedDesk
    finish: Callable[[str], None]

    def loaded(self, text: str = SOURCE, title: str = "t") -> LoadedTask:
        return load_rendered(text, title=title, catalog=known_catalog())


class SharedClient(TestClient):
    """Outlives the clients that are made of it, as the server behind it does."""

    def close(self) -> None:
        return None


@contextmanager
def open_bench(kind: str, folder: Path) -> Iterator[Bench]:
    """A bench.

    Args:
        kind: `local` or `remote`.
    """
    home = open_home(str(folder / "home"), {})
    with closing(open_store(home.database, clock=SystemClock(), key_file=home.key_file)) as store:
        local = LocalService(store=store, home=home, engines={"nowhere": RehearsedEngine()})
        desk = RehearsedDesk(store=store)

        def finish(task: str) -> None:
            if task in desk.queue:
                desk.queue.remove(task)
            for status in TO_THE_END:
                store.task_update_status(task, status)

        parts: dict[str, Any] = {"store": store, "home": home, "desk": desk, "finish": finish}
        if kind == "local":
            yield Bench(service=local, **parts)
            return
        office = Office(desk=desk, service=local, catalog=known_catalog())
        app = build_app(office, token=ACCESS.token, hosts=[], version="1")
        with SharedClient(app, base_url=ACCESS.url, raise_server_exceptions=False) as http:
            remote = RemoteService(
                lambda: ApiClient(ACCESS, release="1", http=http), clock=SystemClock(), sleep=lambda _: None
            )
            yield Bench(service=remote, **parts)
            office.close()
