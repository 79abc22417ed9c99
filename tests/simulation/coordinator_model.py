"""A model of the coordinator's machine: a store that survives, a process that drives the real Roster and RunState."""

from typing import TYPE_CHECKING, Any

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.messages import Ack, ClockProbe, ClockReply, Hello, Prepare, Refusal, Rejected, Report, Welcome
from osbench.common.plan import Plan
from osbench.common.record import BatchKey
from osbench.coordinator.roster import (
    AgentRemembered,
    DeclareLost,
    HelloHeard,
    Roster,
    RosterEvent,
    RosterSettings,
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
    FinishRun,
    JobBuilt,
    NoteEvent,
    RunEvent,
    RunSettings,
    SaveRun,
    SendOrders,
    SendPrepare,
    StoredBatch,
    Ticked,
    report_received,
)
from osbench.coordinator.run_snapshot import pack_snapshot, unpack_snapshot
from osbench.coordinator.run_state import RunState

from .history import History, SimulatedBatch
from .world import HostClock, Network, World

if TYPE_CHECKING:
    from .agent_host import AgentHost

TICK_NS = 250 * NS_PER_MS


class CoordinatorModel:
    """The coordinator: process, ingest and store."""

    def __init__(
        self,
        world: World,
        network: Network,
        history: History,
        plan: Plan,
        settings: RunSettings,
        roster_settings: RosterSettings,
    ) -> None:
        self.world, self.network, self.history, self.plan = world, network, history, plan
        self.settings, self.roster_settings = settings, roster_settings
        self.agents: dict[str, AgentHost] = {}
        self.clock = HostClock(world, world.random.randrange(3_600 * NS_PER_S, 10_000 * NS_PER_S), 0)
        #: Durable: the last snapshot, and what the clock's zero was when it was made.
        self.saved: tuple[bytes, int] | None = None
        self.state: RunState | None = None
        self.roster = Roster(roster_settings)
        #: Grows with each process, so that what was meant for an earlier one does not reach a later one.
        self.process = 0
        #: World time of the start of the run, as decided.
        self.start_world_ns = 0
        #: Instructions after which the process dies; None: it does not.
        self.dies_after: int | None = None
        #: The same, counted from when the rest of a worker is divided next.
        self.dies_dividing: int | None = None
        self.is_ingest_up = True
        #: Batches received and not committed yet.
        self.waiting: list[tuple[str, SimulatedBatch]] = []
        #: Chance that a batch can never be stored.
        self.reject = 0.0
        self._rejected: dict[BatchKey, bool] = {}

    # The process

    def boot(self) -> None:
        """Start, or start again with what was saved."""
        self.process += 1
        self.dies_after, self.dies_dividing, self.is_ingest_up = None, None, True
        self.roster = Roster(self.roster_settings)
        if self.saved is None:
            self.state = RunState(self.plan, self.settings)
            self.tell(JobBuilt(now_ns=self.clock.now_ns()))
        else:
            packed, offset_ns = self.saved
            snapshot = unpack_snapshot(packed)
            now_ns, shift_ns = self.clock.now_ns(), self.clock.offset_ns - offset_ns
            self.state = RunState.restore(self.plan, self.settings, snapshot, now_ns, shift_ns)
            self.state.validate()
            self.world.note(f"coordinator: restored in {self.state.phase}, {len(self.history.stored)} batches stored")
            for agent, life in snapshot.lives.items():
                if life >= 0:
                    self.roster.handle(AgentRemembered(now_ns=now_ns, agent=agent, life=life))
            self._tell_stored()
        for host in self.agents.values():
            self.world.after(self.world.between_ms(1, 50), host.reconnect)
        self._tick(self.process)
        self._commit(self.process)

    def crash(self) -> None:
        """SIGKILL of the process and of its ingest."""
        self.world.note("coordinator: killed")
        self.state, self.dies_after = None, None
        self.process += 1
        self.waiting.clear()

    def set_clock_anew(self) -> None:
        """The machine was started again: its clock has another zero."""
        self.clock.offset_ns += self.world.random.randrange(-3_000 * NS_PER_S, 3_000 * NS_PER_S)

    def crash_ingest(self) -> None:
        """The ingest process dies: what it had not committed is gone, and nobody was told of its last commit."""
        self.world.note("coordinator: ingest killed")
        self.waiting.clear()
        self.is_ingest_up = False

    def boot_ingest(self) -> None:
        """The ingest process is there again; the run is told of all that is stored."""
        if not self.is_ingest_up and self.state is not None:
            self.is_ingest_up = True
            self._tell_stored()

    def _tell_stored(self) -> None:
        for key, batch in list(self.history.stored.items()):
            self._tell_committed(key, batch)

    def _tick(self, process: int) -> None:
        if self.state is None or self.process != process:
            return
        now_ns = self.clock.now_ns()
        self._tell_roster(Ticked(now_ns=now_ns))
        self.tell(Ticked(now_ns=now_ns))
        self.world.after(TICK_NS, lambda: self._tick(process))

    def tell(self, event: RunEvent) -> None:
        """An event for the run; what it answers is carried out, in order, unless the process dies in between."""
        if self.state is None:
            return
        said = self.state.handle(event)
        self.state.validate()
        if self.dies_dividing is not None and any(self._divides(instruction) for instruction in said):
            self.dies_after, self.dies_dividing = self.dies_dividing, None
        for instruction in said:
            if self.dies_after is not None:
                if self.dies_after == 0:
                    self.crash()
                    return
                self.dies_after -= 1
            self._obey(instruction)

    @staticmethod
    def _divides(said: Any) -> bool:
        return isinstance(said, NoteEvent) and said.kind in ("rest_divided", "shares_moving")

    def _obey(self, said: Any) -> None:
        match said:
            case SaveRun():
                self.saved = (pack_snapshot(said.snapshot), self.clock.offset_ns)
                if said.snapshot.start_ns:
                    self.start_world_ns = self.clock.world_ns(said.snapshot.start_ns)
            case SendPrepare():
                self._down(said.agent, Prepare(run=self.plan.run, revision=said.revision, job=b""))
            case SendOrders():
                self._down(said.agent, said.orders)
            case FinishRun():
                self.history.accountings.append(said.accounting)
                self.world.note(f"coordinator: finished, {said.accounting}")
            case NoteEvent():
                self.history.note(said.kind, said.agent)
                self.world.note(f"coordinator: {said.kind} {said.text}")
            case AnnouncePhase():
                self.world.note(f"coordinator: {said.phase}")

    # Control

    def receive(self, agent: str, message: Any) -> None:
        """A message of an agent arrives at the gateway."""
        if self.state is None:
            return
        now_ns = self.clock.now_ns()
        match message:
            case Hello():
                self._tell_roster(HelloHeard(now_ns=now_ns, hello=message))
            case ClockProbe():
                self._tell_roster(WordHeard(now_ns=now_ns, agent=agent))
                reply = ClockReply(probe_sent_ns=message.sent_ns, received_ns=now_ns, replied_ns=now_ns)
                self._down(agent, reply)
            case Report():
                self._tell_roster(WordHeard(now_ns=now_ns, agent=agent, life=message.life))
                if self.roster.is_current(agent, message.life):
                    self.tell(report_received(message, self.plan.run, now_ns))

    def _tell_roster(self, event: RosterEvent) -> None:
        for said in self.roster.handle(event):
            match said:
                case SendWelcome():
                    self._down(said.agent, Welcome(life=said.life, lease_ns=said.lease_ns))
                    self.tell(
                        AgentWelcomed(now_ns=event.now_ns, agent=said.agent, life=said.life, workers=said.workers)
                    )
                case SendRefusal():
                    self._down(said.agent, Refusal(reason=said.reason))
                case DeclareLost():
                    self.tell(AgentLost(now_ns=event.now_ns, agent=said.agent))
                case _:
                    self.world.note(f"roster: {said.agent} is {said.standing.value}")
        self.roster.validate()

    def _down(self, agent: str, message: Any) -> None:
        self.network.send(agent, "down", message, self.agents[agent].receive)

    # Ingest and store

    def ingest(self, agent: str, batch: SimulatedBatch) -> None:
        """A batch arrives."""
        if self.state is not None and self.is_ingest_up:
            self.waiting.append((agent, batch))

    def _commit(self, process: int) -> None:
        """Group commit: all that waits, in one transaction; then the run is told, then it is acknowledged."""
        if self.state is None or self.process != process:
            return
        batches, self.waiting = self.waiting, []
        news = []
        for agent, batch in batches:
            if self._is_rejected(batch.key):
                self._reject(agent, batch)
            elif batch.key not in self.history.stored:
                self.history.stored[batch.key] = batch
                news.append(batch)
        for batch in news:
            self._tell_committed(batch.key, batch)
        for agent, batch in batches:
            if self.process == process and batch.key in self.history.stored:
                run, _, life, worker, seq = batch.key
                self._down(agent, Ack(run=run, life=life, worker=worker, seqs=(seq,), credit=3))
        self.world.after(self.world.between_ms(20, 120), lambda: self._commit(process))

    def _is_rejected(self, key: BatchKey) -> bool:
        if key not in self._rejected:
            self._rejected[key] = key not in self.history.stored and self.world.random.random() < self.reject
        return self._rejected[key]

    def _reject(self, agent: str, batch: SimulatedBatch) -> None:
        run, _, life, worker, seq = batch.key
        self.history.rejected.add(batch.key)
        self.tell(
            BatchRejected(
                now_ns=self.clock.now_ns(),
                agent=agent,
                life=life,
                worker=worker,
                seq=seq,
                iterations=len(batch.rows),
                reason="broken",
            )
        )
        self._down(agent, Rejected(run=run, life=life, worker=worker, seq=seq, reason="broken"))

    def _tell_committed(self, key: BatchKey, batch: SimulatedBatch) -> None:
        outcomes = [outcome for _, outcome in batch.rows]
        stored = StoredBatch(
            seq=key.seq,
            ok=outcomes.count("ok"),
            failed=outcomes.count("failed"),
            unknown=outcomes.count("unknown"),
            dropped=outcomes.count("dropped"),
            first_ns=batch.first_ns,
            last_ns=batch.last_ns,
        )
        self.tell(
            BatchesCommitted(
                now_ns=self.clock.now_ns(), agent=key.agent, life=key.life, worker=key.worker, batches=(stored,)
            )
        )
