"""Drives runs: what agents, ingest, the clock and the user say goes into the cores, and what those answer is done here.

Rules: nothing is decided here. What a run answers is carried out by coordinator/active_run, in its order.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from osbench.common.clock import NS_PER_MS, Clock
from osbench.common.error import AgentError
from osbench.common.job import Job, pack_job
from osbench.common.messages import (
    ClockProbe,
    Hello,
    Orders,
    Refusal,
    Report,
    RunReport,
    ToCoordinator,
    Welcome,
)
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.active_run import ActiveRun, Admission, Performer
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.ingest import Committed, CommittedBatch, summaries
from osbench.coordinator.ingest_messages import FromIngest, IngestCommitted, IngestRejected, IngestTrouble
from osbench.coordinator.roster import (
    AgentRemembered,
    AgentRevoked,
    AgentStanding,
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
    AgentDrainRequested,
    AgentDrainRevoked,
    AgentLost,
    AgentWelcomed,
    BatchesCommitted,
    BatchRejected,
    DrainRequested,
    JobBuilt,
    RunEvent,
    RunPhase,
    StopRequested,
    Ticked,
    report_received,
)
from osbench.coordinator.run_state import RunState
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import ClockFit, KnownAgent
from osbench.coordinator.stored_batches import stored_by_worker

log = logging.getLogger(__name__)

TICK_S = 0.2
#: Pause between two clock fits kept of one agent in a run.
FIT_EVERY_NS = 5_000 * NS_PER_MS

#: Told of an agent that holds something of a run that is not conducted: its name, its life, the run.
HeldRun = Callable[[str, int, str], None]


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
        #: Agents that get no new work until their operator says otherwise.
        self.drained: set[str] = set()
        self._runs: dict[str, ActiveRun] = {}
        #: What runs are to be told that are about to be conducted: the store is being read for what it holds of them.
        self._untold: dict[str, list[RunEvent]] = {}
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
        is_adopted: bool = False,
        until_delivered: bool = False,
    ) -> Accounting:
        """Drive one run to its end.

        Args:
            state: its core, new or restored.
            job: what agents need. admits: whether an agent may take part, given the names of those that do.
            on_phase, on_committed: told as it goes.
            is_adopted: the run was under way before, and the store may hold batches of it.
            until_delivered: the run is over: go on until no agent that can be heard holds anything of it.

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
        untold = await self._read_stored(active.run) if is_adopted else ()
        self._runs[active.run] = active
        assert self.gateway is not None
        performing = Performer(self._store, self._clock, self.gateway)
        performer = asyncio.create_task(performing.perform_all(active))
        try:
            for entry in self._roster.entries.values():
                if entry.hello is not None:
                    self._introduce(active, entry.hello, self._clock.now_ns())
            for event in untold:
                self._tell(active, event)
            if not is_adopted:
                self._tell(active, JobBuilt(now_ns=self._clock.now_ns()))
            done, _ = await asyncio.wait((active.finished, performer), return_when=asyncio.FIRST_COMPLETED)
            if performer in done:
                performer.result()
            accounting = await active.finished
            while until_delivered and self._is_held(active.run):
                await asyncio.sleep(TICK_S)
                if performer.done():
                    performer.result()
            return active.accounting or accounting
        finally:
            performer.cancel()
            del self._runs[active.run]

    def _is_held(self, run: str) -> bool:
        """Whether an agent that can be heard says that it has something of a run."""
        return any(
            self._roster.standing(agent) is AgentStanding.CONNECTED
            and run in {*(part.run for part in report.runs), *(past.run for past in report.past)}
            for agent, report in self.latest.items()
        )

    async def _read_stored(self, run: str) -> list[RunEvent]:
        """What the store holds of a run, and what it is told meanwhile: a batch may be committed, a user end it."""
        untold = self._untold[run] = []
        try:
            self._hear_stored(await asyncio.to_thread(self._stored_of, run))
        finally:
            del self._untold[run]
        return untold

    async def tell_stored_again(self) -> None:
        """Tell all runs what the store holds of them: the ingest process died, maybe between a commit and its word."""
        for run in [*self._untold, *self._runs]:
            self._hear_stored(await asyncio.to_thread(self._stored_of, run))

    def _stored_of(self, run: str) -> tuple[CommittedBatch, ...]:
        """What the store holds of a run, batch by batch; decoded, since the batches are the authority."""
        return tuple(summaries(self._store.batch_iterate(run)))

    def _hear_stored(self, batches: Iterable[CommittedBatch]) -> None:
        """Tell runs of batches in the store; to be told of one twice does no harm."""
        now_ns = self._clock.now_ns()
        for (run, agent, life, worker), stored in stored_by_worker(batches).items():
            event = BatchesCommitted(now_ns=now_ns, agent=agent, life=life, worker=worker, batches=stored)
            self._tell_run(run, event)

    def remember_agents(self, lives: dict[str, int]) -> None:
        """After a restart: agents that a saved run knows."""
        for agent, life in lives.items():
            self._roster.handle(AgentRemembered(now_ns=self._clock.now_ns(), agent=agent, life=life))

    def drain(self, run: str, reason: str) -> None:
        """End a run: what is in flight may end."""
        self._tell_run(run, DrainRequested(now_ns=self._clock.now_ns(), reason=reason))

    def stop(self, run: str, reason: str) -> None:
        """End a run now."""
        self._tell_run(run, StopRequested(now_ns=self._clock.now_ns(), reason=reason))

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
            self._hear_stored(message.committed.batches)
            for active in self._runs.values():
                active.on_committed(message.committed)
        elif isinstance(message, IngestRejected):
            log.error(
                "batch %d of %s worker %d refused: %s", message.seq, message.agent, message.worker, message.reason
            )
            if message.seq:
                event = BatchRejected(
                    now_ns=now_ns,
                    agent=message.agent,
                    life=message.life,
                    worker=message.worker,
                    seq=message.seq,
                    iterations=message.iterations,
                    reason=message.reason,
                )
                self._tell_run(message.run, event)
        elif isinstance(message, IngestTrouble):
            self.trouble = message.error
            if message.error:
                log.error("the store does not take batches, agents keep them: %s", message.error)

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

    def _tell_run(self, run: str, event: RunEvent) -> None:
        """Tell a run, if it is conducted or about to be."""
        if run in self._untold:
            self._untold[run].append(event)
        elif run in self._runs:
            self._tell(self._runs[run], event)

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
        return run in self._runs or run in self._untold

    def drain_agent(self, agent: str, *, undo: bool) -> None:
        """Have an agent start nothing more, in any run; or let it take part again."""
        now_ns = self._clock.now_ns()
        if undo:
            self.drained.discard(agent)
        else:
            self.drained.add(agent)
        entry = self._roster.entries.get(agent)
        for active in self._runs.values():
            if undo:
                self._tell(active, AgentDrainRevoked(now_ns=now_ns, agent=agent))
                if entry is not None and entry.hello is not None:
                    self._introduce(active, entry.hello, now_ns)
            else:
                self._tell(active, AgentDrainRequested(now_ns=now_ns, agent=agent))

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
            state="drained" if hello.agent in self.drained else "",
        )
        self._in_store(lambda: self._store.agent_upsert(agent))

    def _in_store(self, verb: Callable[[], None]) -> None:
        """Write something that nobody waits for."""
        future = asyncio.get_running_loop().run_in_executor(None, verb)
        future.add_done_callback(_log_failure)


def _welcomed(hello: Hello, now_ns: int) -> AgentWelcomed:
    return AgentWelcomed(now_ns=now_ns, agent=hello.agent, life=hello.life, workers=hello.workers)


def _log_failure(future: "asyncio.Future[None]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("the store refused: %s", error)
