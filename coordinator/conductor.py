"""Drives runs: what agents, ingest, the clock and the user say goes into the cores, and what those answer is done here.

Rules: nothing is decided here. Instructions are carried out in their order, each before the next: what a run saves is
durable before anything behind it is sent. Writing to the store happens in a thread, so that a clock probe is answered at
once whatever the disk does.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from osbench.common.clock import NS_PER_MS, Clock
from osbench.common.error import AgentError, StoreError
from osbench.common.job import Job, pack_job
from osbench.common.messages import (
    ClockProbe,
    Hello,
    Orders,
    Prepare,
    Refusal,
    Report,
    RunReport,
    ToCoordinator,
    Welcome,
)
from osbench.common.outcome import Outcome
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.ingest import Committed, CommittedBatch, summaries
from osbench.coordinator.ingest_messages import FromIngest, IngestCommitted, IngestRejected, IngestTrouble
from osbench.coordinator.roster import (
    AgentRemembered,
    AgentRevoked,
    AnnounceStanding,
    DeclareLost,
    HelloHeard,
    Roster,
    RosterInstruction,
    SendRefusal,
    SendWelcome,
    WordHeard,
)
from osbench.coordinator.run_events import (
    AgentLost,
    AgentWelcomed,
    AnnouncePhase,
    BatchesCommitted,
    BatchRejected,
    DrainRequested,
    FinishRun,
    JobBuilt,
    NoteEvent,
    RunEvent,
    RunInstruction,
    RunPhase,
    SaveRun,
    SendOrders,
    SendPrepare,
    StopRequested,
    StoredBatch,
    Ticked,
    report_received,
)
from osbench.coordinator.run_snapshot import pack_snapshot
from osbench.coordinator.run_state import RunState
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import ClockFit, Event, KnownAgent

log = logging.getLogger(__name__)

TICK_S = 0.2
#: Pause before a store that does not answer is tried again.
STORE_RETRY_S = 1.0
#: Pause between two clock fits kept of one agent in a run.
FIT_EVERY_NS = 5_000 * NS_PER_MS


Admission = Callable[[Hello, Collection[str]], bool]
#: Told of an agent that holds something of a run that is not conducted: its name, its life, the run.
HeldRun = Callable[[str, int, str], None]


@dataclass(slots=True)
class ActiveRun:
    """A run under way.

    Attributes:
        state: its core. job: packed, for agents. admits: whether an agent may take part, given who does.
        todo: instructions not yet carried out.
        finished: set with the accounting when it is over.
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


class Conductor:
    """All runs of one coordinator.

    Args:
        store: where runs are kept. clock: the coordinator's. roster: of agents.
        on_held: told, again and again, of each agent that holds something of a run nobody conducts.
    """

    def __init__(
        self, store: Store, clock: Clock, roster: Roster, on_held: HeldRun = lambda agent, life, run: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._roster = roster
        self._on_held = on_held
        #: The newest report of each agent, whatever it is about.
        self.latest: dict[str, Report] = {}
        self._runs: dict[str, ActiveRun] = {}
        self._outbox: asyncio.Queue[tuple[str, Welcome | Refusal]] = asyncio.Queue()
        self.gateway: Gateway | None = None
        self.trouble = ""

    # Runs.

    async def conduct(
        self,
        state: RunState,
        job: Job,
        *,
        admits: Admission,
        on_phase: Callable[[RunPhase], None],
        on_committed: Callable[[Committed], None],
        stored: Iterable[CommittedBatch] = (),
        is_adopted: bool = False,
    ) -> Accounting:
        """Drive one run to its end.

        Args:
            state: its core, new or restored.
            job: what agents need. admits: whether an agent may take part, given the names of those that do.
            stored: what the store holds of the run already. on_phase, on_committed: told as it goes.
            is_adopted: the run was under way when an earlier coordinator died.

        Returns:
            What became of every index.
        """
        active = ActiveRun(
            run=state.plan.run,
            state=state,
            job=pack_job(job),
            admits=admits,
            todo=asyncio.Queue(),
            finished=asyncio.get_running_loop().create_future(),
            on_phase=on_phase,
            on_committed=on_committed,
        )
        self._runs[active.run] = active
        performer = asyncio.create_task(self._perform_all(active))
        try:
            for entry in self._roster.entries.values():
                if entry.hello is not None:
                    self._introduce(active, entry.hello, self._clock.now_ns())
            for event in self._committed_before(stored):
                self._tell(active, event)
            if not is_adopted:
                self._tell(active, JobBuilt(now_ns=self._clock.now_ns()))
            done, _ = await asyncio.wait((active.finished, performer), return_when=asyncio.FIRST_COMPLETED)
            if performer in done:
                performer.result()
            return await active.finished
        finally:
            performer.cancel()
            del self._runs[active.run]

    async def tell_stored_again(self) -> None:
        """Tell all runs what the store holds of them: the ingest process died, maybe between a commit and its word."""
        for run, active in list(self._runs.items()):
            stored = await asyncio.to_thread(self.stored_of, run)
            for event in self._committed_before(stored):
                self._tell(active, event)

    def stored_of(self, run: str) -> tuple[CommittedBatch, ...]:
        """What the store holds of a run, batch by batch; decoded, since the batches are the authority."""
        return tuple(summaries(self._store.batch_iterate(run)))

    def _committed_before(self, batches: Iterable[CommittedBatch]) -> Iterator[BatchesCommitted]:
        for (_, agent, life, worker), stored in group_stored(batches).items():
            yield BatchesCommitted(now_ns=self._clock.now_ns(), agent=agent, life=life, worker=worker, batches=stored)

    def remember_agents(self, lives: dict[str, int]) -> None:
        """After a restart: agents that a saved run knows."""
        for agent, life in lives.items():
            self._roster.handle(AgentRemembered(now_ns=self._clock.now_ns(), agent=agent, life=life))

    def drain(self, run: str, reason: str) -> None:
        """End a run: what is in flight may end."""
        if run in self._runs:
            self._tell(self._runs[run], DrainRequested(now_ns=self._clock.now_ns(), reason=reason))

    def stop(self, run: str, reason: str) -> None:
        """End a run now."""
        if run in self._runs:
            self._tell(self._runs[run], StopRequested(now_ns=self._clock.now_ns(), reason=reason))

    def reports(self, run: str) -> list[RunReport]:
        """The last report of each agent about a run."""
        return list(self._runs[run].reports.values()) if run in self._runs else []

    def loop_ended(self, loop: "asyncio.Task[None]") -> None:
        """A loop that must not end has ended: every run ends with its error."""
        error = None if loop.cancelled() else loop.exception()
        for active in self._runs.values():
            if not active.finished.done():
                active.finished.set_exception(error or AgentError("a part of the coordinator ended unasked"))

    # What comes in.

    def hear_agent(self, agent: str, message: ToCoordinator, now_ns: int) -> None:
        """A message of an agent (the gateway's callback)."""
        if isinstance(message, Hello):
            self._answer(self._roster.handle(HelloHeard(now_ns=now_ns, hello=message)))
            return
        life = message.life if isinstance(message, Report) else None
        self._answer(self._roster.handle(WordHeard(now_ns=now_ns, agent=agent, life=life)))
        if isinstance(message, ClockProbe) or not self._roster.is_current(agent, message.life):
            return
        self.latest[agent] = message
        for held in {*(part.run for part in message.runs), *(past.run for past in message.past)}:
            self._mention(agent, message.life, held)
        for active in self._runs.values():
            if agent not in active.state.parts:
                continue
            event = report_received(message, active.run, now_ns)
            if event.run is not None:
                active.reports[agent] = event.run
            self._keep_fit(active, message, now_ns)
            self._tell(active, event)

    def hear_ingest(self, message: FromIngest) -> None:
        """A message of the ingest process."""
        now_ns = self._clock.now_ns()
        if isinstance(message, IngestCommitted):
            self._hear_committed(message, now_ns)
        elif isinstance(message, IngestRejected):
            log.error(
                "batch %d of %s worker %d refused: %s", message.seq, message.agent, message.worker, message.reason
            )
            if message.run in self._runs and message.seq:
                event = BatchRejected(
                    now_ns=now_ns,
                    agent=message.agent,
                    life=message.life,
                    worker=message.worker,
                    seq=message.seq,
                    iterations=message.iterations,
                    reason=message.reason,
                )
                self._tell(self._runs[message.run], event)
        elif isinstance(message, IngestTrouble):
            self.trouble = message.error
            if message.error:
                log.error("the store does not take batches, agents keep them: %s", message.error)

    def _hear_committed(self, message: IngestCommitted, now_ns: int) -> None:
        for (run, agent, life, worker), batches in group_stored(message.committed.batches).items():
            if run in self._runs:
                event = BatchesCommitted(now_ns=now_ns, agent=agent, life=life, worker=worker, batches=batches)
                self._tell(self._runs[run], event)
        for active in self._runs.values():
            active.on_committed(message.committed)

    def _keep_fit(self, active: ActiveRun, report: Report, now_ns: int) -> None:
        mine = active.reports.get(report.agent)
        errors = [worker.start_error_ns for worker in mine.workers if worker.start_error_ns >= 0] if mine else []
        is_news = bool(errors) and report.agent not in active.started
        is_due = now_ns - active.fits_ns.get(report.agent, -FIT_EVERY_NS) >= FIT_EVERY_NS
        if report.offset_error_ns < 0 or not (is_news or is_due):
            return
        active.fits_ns[report.agent] = now_ns
        if errors:
            active.started.add(report.agent)
        fit = ClockFit(
            agent=report.agent,
            life=report.life,
            at_ns=now_ns - active.state.start_ns if active.state.start_ns else 0,
            offset_ns=report.offset_ns,
            error_ns=report.offset_error_ns,
            start_error_ns=max(errors, default=-1),
        )
        self._in_store(lambda: self._store.clock_fit_add(active.run, [fit]))

    # What goes out.

    async def work(self) -> None:
        """Send what the roster says and tell the time, for ever."""
        await asyncio.gather(self._tick(), self._speak())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_ns = self._clock.now_ns()
            self._answer(self._roster.handle(Ticked(now_ns=now_ns)))
            for active in list(self._runs.values()):
                self._tell(active, Ticked(now_ns=now_ns))

    async def _speak(self) -> None:
        assert self.gateway is not None
        while True:
            agent, message = await self._outbox.get()
            await self.gateway.send(agent, message)

    def _tell(self, active: ActiveRun, event: RunEvent) -> None:
        for instruction in active.state.handle(event):
            active.todo.put_nowait(instruction)

    def _introduce(self, active: ActiveRun, hello: Hello, now_ns: int) -> None:
        """Tell a run of an agent that has part in it, or may have."""
        if hello.agent in active.state.parts or active.admits(hello, active.state.parts):
            self._tell(active, _welcomed(hello, now_ns))

    def _mention(self, agent: str, life: int, run: str) -> None:
        if run not in self._runs:
            self._on_held(agent, life, run)

    async def order(self, agent: str, orders: Orders) -> None:
        """Say something to an agent about a run that nobody conducts."""
        assert self.gateway is not None
        await self.gateway.send(agent, orders)

    def is_conducted(self, run: str) -> bool:
        """Whether a run is under way here."""
        return run in self._runs

    def revoke(self, agent: str) -> None:
        """An agent's key was taken away: it is forgotten, and runs take it for lost."""
        self._answer(self._roster.handle(AgentRevoked(now_ns=self._clock.now_ns(), agent=agent)))
        self.latest.pop(agent, None)

    def _answer(self, instructions: list[RosterInstruction]) -> None:
        now_ns = self._clock.now_ns()
        for said in instructions:
            if isinstance(said, SendWelcome):
                self._outbox.put_nowait(
                    (said.agent, Welcome(life=said.life, lease_ns=said.lease_ns, protocol=said.protocol))
                )
                hello = self._roster.entries[said.agent].hello
                assert hello is not None, "who is welcomed has said hello"
                self._keep_agent(hello)
                for active in self._runs.values():
                    self._introduce(active, hello, now_ns)
                for run in hello.runs:
                    self._mention(hello.agent, hello.life, run)
            elif isinstance(said, SendRefusal):
                self._outbox.put_nowait((said.agent, Refusal(reason=said.reason)))
            elif isinstance(said, DeclareLost):
                for active in self._runs.values():
                    self._tell(active, AgentLost(now_ns=now_ns, agent=said.agent))
            else:
                assert isinstance(said, AnnounceStanding)
                log.info("agent %s is %s", said.agent, said.standing.value)

    def _keep_agent(self, hello: Hello) -> None:
        agent = KnownAgent(
            name=hello.agent,
            life=hello.life,
            version=hello.version,
            protocol=hello.protocol,
            workers=hello.workers,
            cores=hello.cores,
            memory_bytes=hello.memory_bytes,
            nofile=hello.nofile,
            labels=hello.labels,
            state="connected",
        )
        self._in_store(lambda: self._store.agent_upsert(agent))

    def _in_store(self, verb: Callable[[], None]) -> None:
        """Write something that nobody waits for."""
        future = asyncio.get_running_loop().run_in_executor(None, verb)
        future.add_done_callback(_log_failure)

    async def _perform_all(self, active: ActiveRun) -> None:
        while True:
            await self._perform(active, await active.todo.get())

    async def _perform(self, active: ActiveRun, said: RunInstruction) -> None:
        assert self.gateway is not None
        run, store = active.run, self._store
        if isinstance(said, SendOrders):
            await self.gateway.send(said.agent, said.orders)
        elif isinstance(said, SendPrepare):
            await self.gateway.send(said.agent, Prepare(run=run, revision=said.revision, job=active.job))
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


def group_stored(
    batches: Iterable[CommittedBatch],
) -> dict[tuple[str, str, int, int], tuple[StoredBatch, ...]]:
    """Batches in the store by run, agent, life and worker, as a run wants to know them."""
    grouped: dict[tuple[str, str, int, int], list[StoredBatch]] = {}
    for batch in batches:
        counts = dict(enumerate(batch.outcomes))
        stored = StoredBatch(
            seq=batch.seq,
            ok=counts.get(Outcome.OK, 0),
            failed=counts.get(Outcome.FAILED, 0),
            unknown=counts.get(Outcome.UNKNOWN, 0),
            dropped=counts.get(Outcome.DROPPED, 0),
            first_ns=batch.first_ns,
            last_ns=batch.last_ns,
        )
        grouped.setdefault((batch.run, batch.agent, batch.life, batch.worker), []).append(stored)
    return {key: tuple(stored) for key, stored in grouped.items()}


def _welcomed(hello: Hello, now_ns: int) -> AgentWelcomed:
    return AgentWelcomed(now_ns=now_ns, agent=hello.agent, life=hello.life, workers=hello.workers)


def _log_failure(future: "asyncio.Future[None]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("the store refused: %s", error)
