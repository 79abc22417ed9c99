"""A run under way, and how what its core says is carried out.

Rules: instructions are carried out in their order, each before the next: what a run saves is durable before anything behind
it is sent. Writing to the store happens in a thread, so that a clock probe is answered at once whatever the disk does.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from osbench.common.clock import Clock
from osbench.common.error import StoreError
from osbench.common.messages import Hello, Prepare, RunReport
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.ingest import Committed
from osbench.coordinator.run_events import (
    AnnouncePhase,
    FinishRun,
    NoteEvent,
    RunInstruction,
    RunPhase,
    SaveRun,
    SendOrders,
    SendPrepare,
)
from osbench.coordinator.run_snapshot import pack_snapshot
from osbench.coordinator.run_state import RunState
from osbench.coordinator.store.contract import Runs
from osbench.coordinator.store.values import Event

log = logging.getLogger(__name__)

#: Pause before a store that does not answer is tried again.
STORE_RETRY_S = 1.0

#: Whether an agent may take part, given the names of those that do.
Admission = Callable[[Hello, Collection[str]], bool]


@dataclass(slots=True)
class ActiveRun:
    """A run under way.

    Attributes:
        state: its core. job: packed, for agents. admits: whether an agent may take part, given who does.
        todo: instructions not yet carried out.
        finished: set with the accounting when it is over. accounting: the newest; late records change it.
        reports: the last one of each agent, for whoever watches.
        fits_ns: when the last clock fit of an agent was kept. started: agents whose start error was.
    """

    run: str
    state: RunState
    job: bytes
    admits: Admission
    todo: asyncio.Queue[RunInstruction]
    finished: "asyncio.Future[Accounting]"
    on_phase: Callable[[RunPhase], None]
    on_committed: Callable[[Committed], None]
    reports: dict[str, RunReport] = field(default_factory=dict)
    fits_ns: dict[str, int] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    accounting: Accounting | None = None


class Performer:
    """Carries out what runs say.

    Args:
        store: where runs are kept. clock: the coordinator's. gateway: to the agents.
    """

    def __init__(self, store: Runs, clock: Clock, gateway: Gateway) -> None:
        self._store = store
        self._clock = clock
        self._gateway = gateway

    async def perform_all(self, active: ActiveRun) -> None:
        """One after another, for ever."""
        while True:
            await self._perform(active, await active.todo.get())

    async def _perform(self, active: ActiveRun, said: RunInstruction) -> None:
        run, store = active.run, self._store
        if isinstance(said, SendOrders):
            await self._gateway.send(said.agent, said.orders)
        elif isinstance(said, SendPrepare):
            await self._gateway.send(said.agent, Prepare(run=run, revision=said.revision, job=active.job))
        elif isinstance(said, SaveRun):
            snapshot = pack_snapshot(said.snapshot)
            await self._keep(lambda: store.run_update(run, snapshot=snapshot))
        elif isinstance(said, NoteEvent):
            event = Event(kind=said.kind, text=said.text, at_ns=said.at_ns, agent=said.agent, worker=said.worker)
            await self._keep(lambda: store.event_add(run, [event]))
        elif isinstance(said, AnnouncePhase):
            await self._announce(active, said.phase)
        else:
            assert isinstance(said, FinishRun)
            accounting = msgspec.to_builtins(said.accounting)
            await self._keep(lambda: store.run_update(run, accounting=accounting))
            active.accounting = said.accounting
            if not active.finished.done():
                active.finished.set_result(said.accounting)

    async def _keep(self, verb: Callable[[], None]) -> None:
        """Write something that must be durable before the run goes on: as often as it takes."""
        while True:
            try:
                await asyncio.to_thread(verb)
                return
            except StoreError as error:
                log.error("the store does not answer, the run waits for it: %s", error)
                await asyncio.sleep(STORE_RETRY_S)

    async def _announce(self, active: ActiveRun, phase: RunPhase) -> None:
        start_ns = active.state.start_ns
        start: int | UnsetType = UNSET
        if phase is RunPhase.RUNNING:
            start = self._clock.wall_ns() - (self._clock.now_ns() - start_ns)
        await self._keep(lambda: self._store.run_update(active.run, phase=phase.value, start_wall_ns=start))
        active.on_phase(phase)
