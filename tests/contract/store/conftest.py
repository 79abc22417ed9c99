"""One store of every adapter, and what its derived rows should be, worked out the slow way."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lab.database_servers import NoServer, Server, running

from osbench.common.clock import ManualClock
from osbench.common.histogram import bucket_of
from osbench.common.record import CALL_RENEWAL, ActionRow, BatchHeader, CallRow, IterationRow, decode_rows
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.store.values import StoredBatch

S = 10**9

SPEC = TaskSpec(
    title="Boot and delete",
    format_version=2,
    tags=("nightly",),
    subtasks=(Subtask(title="one", workloads=(Workload(scenario="Dummy.dummy", position=0),)),),
)

DATABASES = (
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.slow),
    pytest.param("mariadb", marks=pytest.mark.slow),
)


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], Server]]:
    """The server of a kind, started when it is first asked for; skips where it is not installed."""
    servers: dict[str, Server] = {}
    with ExitStack() as stack:

        def of(kind: str) -> Server:
            if kind not in servers:
                try:
                    servers[kind] = stack.enter_context(running(kind))
                except NoServer as error:
                    pytest.skip(str(error))
            return servers[kind]

        yield of


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, server_of: Callable[[str], Server], tmp_path: Path) -> str:
    """Of a new, empty database of each kind."""
    return str(tmp_path / "store.db") if kind == "sqlite" else server_of(kind).new_database()


@pytest.fixture
def reopen(url: str, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same database anew."""
    opened: list[Store] = []

    def open_again() -> Store:
        opened.append(open_store(url, clock=ManualClock(), key_file=tmp_path / "key"))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    return reopen()


@pytest.fixture
def spec() -> TaskSpec:
    return SPEC


def begin_run(store: Store, name: str = "cloud") -> str:
    deployment = store.deployment_create(name=name, engine="existing", spec={})
    task = store.task_create(deployment=deployment.id, spec=SPEC)
    return store.run_create(task=task.id, workload=SPEC.workloads[0]).id


@pytest.fixture
def new_run() -> Callable[..., str]:
    """Makes a deployment, a task and a run in a store; gives the run's id."""
    return begin_run


class Slow:
    """All derived rows from the blobs, one row at a time."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, int, int], list[int]] = defaultdict(list)
        self.given_up: dict[tuple[str, str, int, int], list[tuple[int, int, int, Counter[int]]]] = defaultdict(list)
        self.ordinals: dict[tuple[str, str, int], int] = {}
        self.counters: Counter[tuple[str, str, int, int]] = Counter()
        self.seconds: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.errors: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)

    def iteration(self, header: BatchHeader, row: IterationRow, errors: dict[int, tuple[str, str]]) -> None:
        start = header.start_ns
        second = (row.ended_ns - start) // S
        self.counters["iteration", "", row.outcome, 0] += 1
        if row.error:
            self.errors["iteration", *errors[row.error]].append((second, row.iteration))
        if row.outcome == 4:
            self.seconds[second][3] += 1
            return
        began = (row.started_ns - start) // S
        self.seconds[began][0] += 1
        self.seconds[second][1] += 1
        self.seconds[second][2] += row.outcome != 0
        spans = {
            ("total", second): row.ended_ns - row.started_ns,
            ("iteration", second): row.ended_ns - row.started_ns - row.idle_ns,
            ("idle", second): row.idle_ns,
        }
        if row.scheduled_ns >= 0:
            spans["response", second] = row.ended_ns - row.scheduled_ns
            spans["lag", began] = row.started_ns - row.scheduled_ns
        for (kind, at), span_ns in spans.items():
            self.values[kind, "", row.outcome, at].append(max(span_ns // 1000, 0))

    def action(self, header: BatchHeader, row: ActionRow, path: str) -> None:
        second = (row.ended_ns - header.start_ns) // S
        self.values["action", path, row.outcome, second].append(max((row.ended_ns - row.started_ns) // 1000, 0))
        key = ("action", path, row.outcome)
        self.ordinals[key] = min(self.ordinals.get(key, 99), row.ordinal)

    def call(self, header: BatchHeader, row: CallRow, name: str, errors: dict[int, tuple[str, str]]) -> None:
        second = (row.ended_ns - header.start_ns) // S
        kind = "renewal" if row.flags & CALL_RENEWAL else "call"
        self.counters[kind, name, row.outcome, row.status] += 1
        self.values[kind, name, row.outcome, second].append(max((row.ended_ns - row.started_ns) // 1000, 0))
        if row.first_byte_us and kind == "call":
            self.values["call_first_byte", name, row.outcome, second].append(row.first_byte_us)
        if row.error:
            self.errors["call", *errors[row.error]].append((second, row.iteration))

    def batch(self, stored: StoredBatch) -> None:
        header = stored.header
        rows = decode_rows(header, stored.body)
        paths: dict[tuple[int, int], str] = {}
        for iteration in rows.iterations:
            self.iteration(header, IterationRow(*iteration), rows.errors)
        for action in map(ActionRow._make, rows.actions):
            outer = paths[action.iteration, action.parent] + "/" if action.parent >= 0 else ""
            paths[action.iteration, action.ordinal] = outer + rows.names[action.name]
            self.action(header, action, paths[action.iteration, action.ordinal])
        for call in map(CallRow._make, rows.calls):
            self.call(header, call, rows.names[call.name], rows.errors)
        for left in rows.histograms:
            counts = Counter(dict(zip(left.spans[::2], left.spans[1::2], strict=True)))
            name = rows.names[left.name]
            self.counters["call", name, left.outcome, -1] += counts.total()
            key = ("call", name, left.outcome, left.second)
            self.given_up[key].append((left.sum_us, left.min_us, left.max_us, counts))

    def histograms(self) -> dict[tuple[str, str, int, int], tuple[Any, ...]]:
        found: dict[tuple[str, str, int, int], tuple[Any, ...]] = {}
        for key in self.values.keys() | self.given_up.keys():
            values, left = self.values[key], self.given_up[key]
            counts = Counter(map(bucket_of, values))
            for entry in left:
                counts += entry[3]
            low = min(values + [entry[1] for entry in left])
            high = max(values + [entry[2] for entry in left])
            total = sum(values) + sum(entry[0] for entry in left)
            found[key] = (counts.total(), total, low, high, dict(counts))
        return found


@pytest.fixture
def worked_out() -> Callable[[Iterable[StoredBatch]], Slow]:
    """Derives everything from blobs, one row at a time."""

    def from_blobs(batches: Iterable[StoredBatch]) -> Slow:
        slow = Slow()
        for batch in batches:
            slow.batch(batch)
        return slow

    return from_blobs
