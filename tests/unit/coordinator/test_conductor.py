"""What the conductor tells a run that is taken up again: all the store holds, also what comes while that is read."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq.asyncio
from unit.coordinator.run_fleet import CLOSED, S, fleet, plan, worker

from osbench.common.clock import ManualClock
from osbench.common.job import Job
from osbench.common.record import Batch, BatchIdentity, IterationRow, Rows, encode_batch
from osbench.common.sockets import control_router
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.ingest import Ingest
from osbench.coordinator.ingest_messages import IngestCommitted
from osbench.coordinator.peers import NamedPeers
from osbench.coordinator.roster import Roster, RosterSettings
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.run_state import RunState
from osbench.coordinator.store.sql import SqlStore, open_store

RUN = "r"
START = 10**15


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(tmp_path / "store.db", clock=ManualClock())
    deployment = opened.deployment_create(name="cloud", engine="existing", spec={})
    workload = Workload(scenario="Dummy.dummy", position=0)
    spec = TaskSpec(title="t", format_version=2, subtasks=(Subtask(title="s", workloads=(workload,)),))
    task = opened.task_create(deployment=deployment.id, spec=spec)
    opened.run_create(task=task.id, workload=workload, run=RUN)
    yield opened
    opened.close()


def batch(seq: int, iterations: int) -> Batch:
    row = IterationRow(0, -1, START, START + S, 0, 0, 0)
    rows = Rows(iterations=[row] * iterations, names={}, errors={}, request_ids={})
    return encode_batch(BatchIdentity(run=RUN, agent="a", life=1, worker=0, start_ns=START), seq, rows)


def commit(store: SqlStore, seq: int, iterations: int) -> IngestCommitted:
    """A batch into the store; what the ingest process says of it."""
    one = batch(seq, iterations)
    ingest = Ingest(store)
    try:
        return IngestCommitted(committed=ingest.commit([(one.header, one.header_bytes, one.body)]).committed)
    finally:
        ingest.close()


class BusyStore:
    """A store in which something happens each time all batches of a run were read, and before the reader has them."""

    def __init__(self, store: SqlStore, meanwhile: Callable[[], None]) -> None:
        self._store = store
        self._meanwhile = meanwhile

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._store, verb)

    def batch_iterate(self, run: str) -> Iterator[Any]:
        yield from tuple(self._store.batch_iterate(run))
        self._meanwhile()


class Conducted:
    """A run whose batch 1 is in the store and that a conductor takes up; something happens while the store is read."""

    def __init__(self, store: SqlStore, meanwhile: Callable[[Conductor], None]) -> None:
        commit(store, seq=1, iterations=2)
        agents = fleet(expected="a")
        agents.running("a")
        agents.report("a", 3 * S, "ended", worker("ended", 5, last_seq=2), unacked=2)
        snapshot = agents.state.snapshot()
        self.state = RunState.restore(plan(CLOSED), RunSettings(expected=("a",)), snapshot, 3 * S)
        self._store = store
        self._meanwhile = meanwhile

    async def take_up(self) -> None:
        """To the moment when the run was told what is in the store."""
        loop = asyncio.get_running_loop()

        def happen() -> None:
            is_done = threading.Event()

            def do() -> None:
                self._meanwhile(conductor)
                is_done.set()

            loop.call_soon_threadsafe(do)
            assert is_done.wait(10)

        clock = ManualClock(current_ns=3 * S)
        conductor = Conductor(BusyStore(self._store, happen), clock, Roster(RosterSettings()))
        context = zmq.asyncio.Context()
        socket = control_router(context, "inproc://control")
        conductor.gateway = Gateway(socket, clock, conductor.hear_agent, NamedPeers())
        told = asyncio.create_task(
            conductor.conduct(
                self.state,
                Job(plan=plan(CLOSED)),
                admits=lambda hello, taking: False,
                is_adopted=True,
                on_phase=lambda _: None,
                on_committed=lambda _: None,
            )
        )
        try:
            async with asyncio.timeout(10):
                while not self.state.accounting(3 * S).ok and not told.done():
                    await asyncio.sleep(0)
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
            context.destroy(linger=0)


def test_a_run_that_is_taken_up_is_told_what_the_store_holds(store: SqlStore) -> None:
    run = Conducted(store, meanwhile=lambda conductor: None)

    asyncio.run(run.take_up())

    assert [(account.batches, account.ok) for account in run.state.accounting(3 * S).workers] == [(1, 2)]


def test_a_batch_that_is_committed_while_the_store_is_read_is_told_as_well(store: SqlStore) -> None:
    run = Conducted(store, meanwhile=lambda conductor: conductor.hear_ingest(commit(store, seq=2, iterations=3)))

    asyncio.run(run.take_up())

    assert [(account.batches, account.ok) for account in run.state.accounting(3 * S).workers] == [(2, 5)]


def test_a_user_who_ends_a_run_while_the_store_is_read_is_heard(store: SqlStore) -> None:
    run = Conducted(store, meanwhile=lambda conductor: conductor.drain(RUN, "enough"))

    asyncio.run(run.take_up())

    assert run.state.aborted == "enough"
