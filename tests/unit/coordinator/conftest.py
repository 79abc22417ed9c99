"""A task with two runs, made of records as agents write them and put through the real store: an open loop that meets
failures and a stalled worker, and a closed loop in which all is well."""

from collections import defaultdict
from pathlib import Path
from random import Random

import msgspec
import pytest

from osbench.common.clock import NS_PER_MS, NS_PER_S, ManualClock
from osbench.common.outcome import Outcome
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, RateStage, Schedule
from osbench.common.record import (
    CALL_RENEWAL,
    SUPERVISOR,
    ActionRow,
    BatchIdentity,
    CallRow,
    HealthRow,
    HostRow,
    IterationRow,
    Rows,
    encode_batch,
)
from osbench.common.task import RunnerSpec, Subtask, TaskSpec, Workload
from osbench.coordinator.accounting import Accounting, Loss, WorkerAccount
from osbench.coordinator.columns import decode_columns
from osbench.coordinator.derive import derive
from osbench.coordinator.result import TaskResult
from osbench.coordinator.result_reader import read_run, read_task
from osbench.coordinator.store.sql import SqlStore, open_store
from osbench.coordinator.store.values import ClockFit, Event, StoredBatch
from osbench.coordinator.task_state import TaskStatus

BOOT_RUN = "11111111-1111-4111-8111-111111111111"
LIST_RUN = "22222222-2222-4222-8222-222222222222"
TASK = "33333333-3333-4333-8333-333333333333"
NAMES = {
    1: "nova.boot_server",
    2: "nova.delete_server",
    3: "nova POST /servers",
    4: "nova GET /servers/{id}",
    5: "nova DELETE /servers/{id}",
    6: "nova.list_servers",
    7: "nova GET /servers/detail",
    8: "keystone POST /auth/tokens",
    9: "nova.create_server",
    10: "nova.wait_active",
}
ERRORS = {
    1: ("ServerError", "Server 9f1c went to ERROR: No valid host was found. <script>alert('boo')</script> & more"),
    2: ("HTTP 503", 'nova POST /servers answered 503: <html><body onload="alert(1)">Service Unavailable</body></html>'),
}


def workload(position: int, scenario: str, runner: RunnerSpec) -> Workload:
    return Workload(
        scenario=scenario,
        position=position,
        arguments={"flavor": {"name": "m1.tiny"}, "image": {"name": "^cirros.*-disk$"}, "admin_password": "swordfish"},
        runner=runner,
        contexts={"users": {"tenants": 3, "users_per_tenant": 2}},
        sla={"failure_rate": {"max": 5}, "max_seconds_per_iteration": 30},
    )


class Loader:
    """Plays the agents of a run: collects rows by worker and second, and stores them as batches."""

    def __init__(self, run: str, seed: int) -> None:
        self.run = run
        self.random = Random(seed)
        self.start_ns = 5_000 * NS_PER_S
        self.tables: dict[tuple[str, int, int], dict[str, list[tuple[int, ...]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.workers: dict[tuple[str, int], int] = defaultdict(int)
        self.pending: list[tuple[tuple[str, int], str, tuple[int, ...]]] = []

    def add(self, agent: str, worker: int, table: str, row: tuple[int, ...], end_ns: int) -> None:
        self.tables[agent, worker, end_ns // NS_PER_S][table].append(row)

    def call(
        self, key: tuple[str, int], index: int, action: int, name: int, begin_ns: int, took_ns: int, **more: int
    ) -> None:
        row = CallRow(
            iteration=index,
            action=action,
            name=name,
            started_ns=self.start_ns + begin_ns,
            ended_ns=self.start_ns + begin_ns + took_ns,
            outcome=more.get("outcome", Outcome.OK),
            status=more.get("status", 200),
            error=more.get("error", 0),
            attempt=1,
            flags=more.get("flags", 0),
            wait_us=20,
            lookup_us=0,
            connect_us=0,
            tls_us=0,
            first_byte_us=took_ns // 1_100,
            sent_bytes=300,
            received_bytes=1500,
        )
        self.pending.append((key, "calls", row))

    def action(self, key: tuple[str, int], row: ActionRow) -> None:
        shifted = row._replace(started_ns=self.start_ns + row.started_ns, ended_ns=self.start_ns + row.ended_ns)
        self.pending.append((key, "actions", shifted))

    def iteration(self, key: tuple[str, int], index: int, due_ns: int, begin_ns: int, end_ns: int, error: int) -> None:
        """The iteration, and with it in one batch all that it did: an action and the one around it stay together."""
        self.workers[key] += 1
        row = IterationRow(
            iteration=index,
            scheduled_ns=self.start_ns + due_ns if due_ns >= 0 else -1,
            started_ns=self.start_ns + begin_ns,
            ended_ns=self.start_ns + end_ns,
            idle_ns=0,
            outcome=Outcome.FAILED if error else Outcome.OK,
            error=error,
        )
        self.add(*key, "iterations", row, end_ns)
        for whose, table, pending in self.pending:
            self.add(*whose, table, pending, end_ns)
        self.pending.clear()

    def watch(self, seconds: int, stalled: dict[tuple[str, int, int], int]) -> None:
        """Health of all workers and of their hosts, healthy but for the stalls given in ms."""
        for (agent, worker), owned in list(self.workers.items()):
            for second in range(seconds):
                stall_ns = stalled.get((agent, worker, second), self.random.randint(1, 12)) * NS_PER_MS
                row = HealthRow(
                    stamp_ns=self.start_ns + (second + 1) * NS_PER_S,
                    span_ns=NS_PER_S,
                    stall_ns=stall_ns,
                    run_queue_ns=self.random.randint(5, 90) * NS_PER_MS,
                    cpu_ns=200 * NS_PER_MS,
                    gc_ns=0,
                    lag_max_ns=stall_ns,
                    in_flight=3 if second < seconds - 1 else 0,
                    started=owned * (second + 1) // seconds,
                    ended=owned * (second + 1) // seconds,
                )
                self.add(agent, worker, "health", row, second * NS_PER_S)
        for agent in sorted({agent for agent, _ in self.workers}):
            for second in range(seconds):
                busy = 250 + self.random.randint(0, 200)
                host = HostRow(
                    stamp_ns=self.start_ns + second * NS_PER_S + NS_PER_S // 2,
                    core_max_permille=min(busy * 2, 1000),
                    cpu_permille=busy,
                    memory_permille=412,
                    sent_bytes=120_000,
                    received_bytes=800_000,
                    steal_permille=0,
                    spool_bytes=4096,
                )
                self.add(agent, SUPERVISOR, "hosts", host, second * NS_PER_S)

    def store(self, store: SqlStore) -> None:
        seqs: dict[tuple[str, int], int] = defaultdict(int)
        batches = []
        for (agent, worker, _), tables in sorted(self.tables.items(), key=lambda item: (item[0][2], item[0])):
            seqs[agent, worker] += 1
            identity = BatchIdentity(run=self.run, agent=agent, life=1, worker=worker, start_ns=self.start_ns)
            rows = Rows(
                iterations=tables["iterations"],
                actions=tables["actions"],
                calls=tables["calls"],
                health=tables["health"],
                hosts=tables["hosts"],
                names=NAMES,
                errors=ERRORS,
                request_ids={},
            )
            batch = encode_batch(identity, seqs[agent, worker], rows)
            batches.append(StoredBatch(batch.header, batch.body))
        columns = [decode_columns(batch.header, batch.body) for batch in batches]
        store.batches_add(batches, lambda new: derive([columns[at] for at in new]))


def play_boots(loader: Loader, schedule: OpenLoop) -> None:
    """Boots and deletes: slower in the middle of the run, some failing."""
    random = loader.random
    for index in range(schedule.iterations):
        key = (f"load-{index % 2 + 1}", index // 2 % 2)
        if index == 0:
            loader.call(key, index, -1, 8, 0, 120 * NS_PER_MS, status=201, flags=CALL_RENEWAL)
        due_ns = schedule.intended_start_ns(index)
        begin_ns = due_ns + random.randint(50, 3_000) * 1_000
        slow = 1.0 + 1.5 * (20 <= due_ns // NS_PER_S < 35)
        post_ns = round(random.lognormvariate(0, 0.3) * 90 * NS_PER_MS * slow)
        loader.call(key, index, 1, 3, begin_ns, post_ns, status=202)
        active_ns = begin_ns + post_ns
        for _ in range(4):
            poll_ns = random.randint(12, 40) * NS_PER_MS
            active_ns += round(random.lognormvariate(0, 0.4) * 300 * NS_PER_MS * slow)
            loader.call(key, index, 2, 4, active_ns - poll_ns, poll_ns)
        error = 1 if random.random() < 0.03 else 0
        outcome = Outcome.FAILED if error else Outcome.OK
        not_ready_ns = loader.start_ns + active_ns - NS_PER_S // 10
        posted_ns = begin_ns + post_ns
        loader.action(key, ActionRow(index, 0, -1, 1, begin_ns, active_ns, -1, outcome))
        loader.action(key, ActionRow(index, 1, 0, 9, begin_ns, posted_ns, -1, Outcome.OK))
        loader.action(key, ActionRow(index, 2, 0, 10, posted_ns, active_ns, not_ready_ns, outcome))
        end_ns = active_ns
        if not error:
            gone_ns = round(random.lognormvariate(0, 0.3) * 60 * NS_PER_MS)
            loader.call(key, index, 3, 5, active_ns, gone_ns, status=204)
            end_ns = active_ns + gone_ns * 3
            loader.action(key, ActionRow(index, 3, -1, 2, active_ns, end_ns, -1, Outcome.OK))
        loader.iteration(key, index, due_ns, begin_ns, end_ns, error)


def play_lists(loader: Loader, iterations: int, slots: int) -> None:
    """Lists by a fixed number of slots; one call in the whole run is refused, and its iteration fails."""
    random = loader.random
    free_ns = [0] * slots
    for index in range(iterations):
        slot = min(range(slots), key=lambda one: free_ns[one])
        key = (f"load-{slot % 2 + 1}", 0)
        begin_ns = free_ns[slot]
        took_ns = round(random.lognormvariate(0, 0.5) * 40 * NS_PER_MS)
        error = 2 if index == 100 else 0
        outcome, status = (Outcome.FAILED, 503) if error else (Outcome.OK, 200)
        loader.call(key, index, 0, 7, begin_ns, took_ns, outcome=outcome, status=status, error=error)
        free_ns[slot] = begin_ns + took_ns + 100_000
        loader.action(key, ActionRow(index, 0, -1, 6, begin_ns, begin_ns + took_ns, -1, outcome))
        loader.iteration(key, index, -1, begin_ns, free_ns[slot], error)


def plan(run: str, scenario: str, schedule: Schedule) -> Plan:
    return Plan(run=run, task=TASK, scenario=scenario, arguments={}, schedule=schedule, seed=1)


def conclude(store: SqlStore, loader: Loader, lost: int) -> None:
    """End a run: account for it, with some iterations of load-2 lost, and judge it."""
    run = loader.run
    accounts = tuple(
        WorkerAccount(agent=agent, life=1, worker=worker, state="ended", owned=owned, ok=owned)
        for (agent, worker), owned in sorted(loader.workers.items())
    )
    ok = failed = 0
    for row in store.counter_list(run):
        if row.kind == "iteration":
            ok, failed = (ok + row.n, failed) if row.outcome == Outcome.OK else (ok, failed + row.n)
    losses: tuple[Loss, ...] = ()
    if lost:
        losses = (
            Loss(
                kind="lost",
                agent="load-2",
                life=1,
                worker=1,
                count=lost,
                first_second=41,
                last_second=42,
                reason="batches 42-43 are gone from its spool",
            ),
        )
    accounting = Accounting(
        planned=ok + failed + lost, ok=ok, failed=failed, lost=lost, workers=accounts, losses=losses
    )
    fits = [
        ClockFit(agent=agent, life=1, at_ns=0, offset_ns=12_345, error_ns=180_000 + n, start_error_ns=900_000)
        for n, agent in enumerate(("load-1", "load-2"))
    ]
    store.clock_fit_add(run, fits)
    verdict = read_run(store, run, accounting=accounting).verdict
    store.run_update(
        run,
        phase="done",
        accounting=msgspec.to_builtins(accounting),
        verdict=msgspec.to_builtins(verdict),
        start_wall_ns=1_700_000_100 * NS_PER_S,
        ended_ns=1_700_000_090 * NS_PER_S,
    )


def build_sample(path: Path) -> TaskResult:
    """The sample task, read back from a store at `path`."""
    rps = RunnerSpec(kind="rps", options={"times": 1200, "rps": 20})
    boot = workload(0, "NovaServers.boot_and_delete_server", rps)
    listing = workload(
        1, "NovaServers.list_servers", RunnerSpec(kind="constant", options={"times": 3000, "concurrency": 8})
    )
    subtasks = (Subtask(title="boots", workloads=(boot,)), Subtask(title="lists", workloads=(listing,)))
    spec = TaskSpec(title="Nova under <load> & more", subtasks=subtasks, format_version=2, description="A sample.")
    clock = ManualClock()
    store = open_store(path / "sample.sqlite", clock=clock)
    try:
        deployment = store.deployment_create(name="sim", engine="simulated", spec={})
        task = store.task_create(deployment=deployment.id, spec=spec, tags=("nightly",))
        stages = (RateStage(numerator=20, denominator=1),)
        open_loop = OpenLoop(stages=stages, iterations=1200)
        closed_loop = ClosedLoop(concurrency=8, iterations=3000)
        for run, work, schedule in ((BOOT_RUN, boot, open_loop), (LIST_RUN, listing, closed_loop)):
            store.run_create(task=task.id, workload=work, run=run)
            store.run_update(run, plan=plan(run, work.scenario, schedule))
        boots = Loader(BOOT_RUN, seed=7)
        play_boots(boots, open_loop)
        boots.watch(63, {("load-2", 1, 44): 612, ("load-2", 1, 45): 340})
        boots.store(store)
        event = Event(kind="worker_died", text="killed by signal 9", at_ns=41 * NS_PER_S, agent="load-2", worker=1)
        store.event_add(BOOT_RUN, [event])
        conclude(store, boots, lost=3)
        lists = Loader(LIST_RUN, seed=8)
        play_lists(lists, 3000, 8)
        lists.watch(17, {})
        lists.store(store)
        conclude(store, lists, lost=0)
        for status in (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING, TaskStatus.FINISHED):
            store.task_update_status(task.id, status)
        result = read_task(store, task.id)
    finally:
        store.close()
    runs = tuple(msgspec.structs.replace(run, task=TASK) for run in result.runs)
    return msgspec.structs.replace(result, task=TASK, runs=runs)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> TaskResult:
    """Built once: it is frozen, so no test can spoil it for another."""
    return build_sample(tmp_path_factory.mktemp("sample"))
