"""A model of a load host: a disk, a supervisor that drives the real AgentState, worker models, an uplink."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from osbench.agent.agent_events import (
    AgentEvent,
    AgentSettings,
    ClockReplied,
    Connected,
    DeleteRun,
    ExtendLease,
    KillWorker,
    LifeFound,
    OrdersReceived,
    OrderWorker,
    PrepareReceived,
    Refused,
    SendHello,
    SendProbe,
    SendReport,
    SpawnWorkers,
    SpoolChanged,
    TimePassed,
    Welcomed,
    WorkerEnded,
    WorkerExited,
    WorkerFailed,
    WorkerLoss,
    WorkerPrepared,
    WorkerProgressed,
)
from osbench.agent.agent_state import AgentState
from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.messages import (
    PROTOCOL_VERSION,
    Ack,
    ClockProbe,
    ClockReply,
    Hello,
    LostBatches,
    Orders,
    PastWorker,
    Prepare,
    Refusal,
    Rejected,
    Welcome,
    WorkerReport,
)
from osbench.common.plan import Plan
from osbench.common.record import BatchKey

from .history import History
from .worker_model import WorkerFiles, WorkerModel
from .world import HostClock, Network, World

if TYPE_CHECKING:
    from .coordinator_model import CoordinatorModel

TICK_NS = 200 * NS_PER_MS
RESEND_NS = 1_500 * NS_PER_MS
CREDIT = 3


class AgentHost:
    """One load host.

    Args:
        is_eager: of its workers, see WorkerModel. fails_to_prepare: its workers cannot be made ready.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        history: History,
        plan: Plan,
        name: str,
        workers: int,
        *,
        is_eager: bool,
        fails_to_prepare: bool = False,
    ) -> None:
        self.world, self.network, self.history, self.plan, self.name = world, network, history, plan, name
        offset_ns = world.random.randrange(3_600 * NS_PER_S, 10_000 * NS_PER_S)
        self.clock = HostClock(world, offset_ns, world.random.randrange(-20, 21))
        self.settings = AgentSettings(
            workers=workers,
            report_every_ns=NS_PER_S,
            hello_every_ns=NS_PER_S,
            kill_after_ns=3 * NS_PER_S,
            stalled_after_ns=4 * NS_PER_S,
        )
        self.is_eager, self.fails_to_prepare = is_eager, fails_to_prepare
        self.coordinator: CoordinatorModel | None = None
        #: What survives this host's processes.
        self.disk: dict[tuple[str, int, int], WorkerFiles] = {}
        self.life = 0
        self.state: AgentState | None = None
        self.workers: dict[int, WorkerModel] = {}
        #: Events that wait for a frozen supervisor; None when it is not frozen.
        self.frozen: list[Callable[[], None]] | None = None
        self._sent: dict[BatchKey, int] = {}
        self._spool_told: tuple[int, int] = (0, 0)
        self._has_start = False

    # Processes

    def boot(self) -> None:
        """A new life."""
        self.life += 1
        self._has_start = False
        self.state = AgentState(self.name, self.life, self.settings)
        self.workers, self.frozen, self._sent, self._spool_told = {}, None, {}, (0, 0)
        self.world.note(f"{self.name}: life {self.life} begins")
        past = tuple(
            PastWorker(run=files.run, life=files.life, worker=self._final_report(files)) for files in self.disk.values()
        )
        self._tell(LifeFound(now_ns=self.clock.now_ns(), past=past))
        self._tell(Connected(now_ns=self.clock.now_ns()))
        self.world.after(self.world.between_ms(0, 200), self._in_life(self._tick))

    def reconnect(self) -> None:
        """The other end was another process: its sockets were closed, and are open again."""
        if self.state is not None:
            self._in_life(lambda: self._tell(Connected(now_ns=self.clock.now_ns())))()

    def crash(self) -> None:
        """The whole host's processes are gone; what is on the disk stays."""
        self.world.note(f"{self.name}: crash of life {self.life}")
        for worker in self.workers.values():
            worker.kill()
        self.state, self.workers, self.frozen = None, {}, None

    def freeze(self) -> None:
        """SIGSTOP of the supervisor; its workers go on."""
        if self.state is not None and self.frozen is None:
            self.world.note(f"{self.name}: supervisor frozen")
            self.frozen = []

    def thaw(self) -> None:
        """SIGCONT."""
        if self.frozen is not None:
            self.world.note(f"{self.name}: supervisor goes on")
            waiting, self.frozen = self.frozen, None
            for action in waiting:
                action()

    def crash_worker(self, number: int) -> None:
        """SIGKILL of one worker; the supervisor notices a little later."""
        worker = self.workers.get(number)
        if worker is not None and not worker.is_dead:
            self.world.note(f"{self.name}: worker {number} killed")
            worker.kill()
            self._exit_later(number)

    def lose_spool(self) -> None:
        """Somebody deletes a segment: some batches are gone."""
        for files in self.disk.values():
            if files.spool:
                seq = self.world.random.choice(sorted(files.spool))
                batch = files.spool.pop(seq)
                files.gone.append(batch)
                self.history.vanished.add(batch.key)
                self.world.note(f"{self.name}: batch {batch.key} vanishes")
                return

    def _in_life(self, action: Callable[[], None]) -> Callable[[], None]:
        """Only if this life still lasts by then; after the thaw if it is frozen."""
        life = self.life

        def act() -> None:
            if self.state is None or self.life != life:
                return
            if self.frozen is not None:
                self.frozen.append(act)
                return
            action()

        return act

    def _exit_later(self, number: int) -> None:
        self.world.after(self.world.between_ms(1, 40), self._in_life(lambda: self._reap(number)))

    def _reap(self, number: int) -> None:
        files = self.disk.get((self.plan.run, self.life, number))
        if files is not None:
            report = self._final_report(files)
            self._tell(WorkerExited(now_ns=self.clock.now_ns(), run=self.plan.run, report=report))

    def _final_report(self, files: WorkerFiles) -> WorkerReport:
        return WorkerReport(
            worker=files.worker,
            state="ended" if files.has_ended else "died",
            shares=files.progress(),
            revision=files.revision,
            slots=files.slots,
            last_seq=files.last_seq,
            iterations_written=files.iterations,
            lost=self._losses(files),
            error="" if files.has_ended else "killed",
        )

    @staticmethod
    def _losses(files: WorkerFiles) -> tuple[LostBatches, ...]:
        return tuple(
            LostBatches(
                first_seq=batch.key.seq,
                last_seq=batch.key.seq,
                iterations=len(batch.rows),
                first_ns=batch.first_ns,
                last_ns=batch.last_ns,
            )
            for batch in files.gone
        )

    # The supervisor

    def receive(self, message: Any) -> None:
        """A message of the coordinator arrives, whatever life it was meant for."""
        if self.state is None:
            return
        if self.frozen is not None:
            self.frozen.append(lambda: self.receive(message))
            return
        now_ns = self.clock.now_ns()
        match message:
            case Welcome():
                self._tell(Welcomed(now_ns=now_ns, life=message.life, lease_ns=message.lease_ns))
            case Refusal():
                self._tell(Refused(now_ns=now_ns, reason=message.reason))
            case ClockReply():
                self._tell(
                    ClockReplied(
                        now_ns=now_ns,
                        probe_sent_ns=message.probe_sent_ns,
                        received_ns=message.received_ns,
                        replied_ns=message.replied_ns,
                    )
                )
            case Prepare():
                self._tell(
                    PrepareReceived(
                        now_ns=now_ns, run=message.run, revision=message.revision, drain_ns=self.plan.drain_ns
                    )
                )
            case Orders():
                self._tell(OrdersReceived(now_ns=now_ns, orders=message))
            case Ack():
                self._on_ack(message)
            case Rejected():
                files = self.disk.get((message.run, message.life, message.worker))
                if files is not None:
                    files.spool.pop(message.seq, None)
                    self._tell_spool()

    def _tick(self) -> None:
        now_ns = self.clock.now_ns()
        for worker in self.workers.values():
            if not worker.is_dead and not worker.has_ended:
                report = worker.report()
                alive_ns = worker.frozen_ns or now_ns
                event = WorkerProgressed(now_ns=now_ns, run=self.plan.run, report=report, alive_ns=alive_ns)
                self._tell(event)
        self._tell(TimePassed(now_ns=now_ns))
        self._ship()
        self._tell_spool()
        self.world.after(TICK_NS, self._in_life(self._tick))

    def _tell(self, event: AgentEvent) -> None:
        assert self.state is not None, "a dead supervisor is told nothing"
        for said in self.state.handle(event):
            self._obey(said)
        self.state.validate()

    def _up(self, message: Any) -> None:
        coordinator = self.coordinator
        assert coordinator is not None
        self.network.send(self.name, "up", message, lambda sent: coordinator.receive(self.name, sent))

    def _obey(self, said: Any) -> None:
        match said:
            case SendHello():
                self._up(self._hello(said.runs))
            case SendProbe():
                self._up(ClockProbe(sent_ns=self.clock.now_ns()))
            case SendReport():
                self._up(said.report)
            case SpawnWorkers():
                for number in said.workers:
                    self._spawn(number)
            case OrderWorker():
                self.world.note(f"{self.name}: orders worker {said.worker} to {said.goal}, {len(said.shares)} shares")
                worker = self.workers.get(said.worker)
                if worker is not None:
                    self._note_start(said)
                    worker.obey(said)
            case ExtendLease():
                for worker in self.workers.values():
                    worker.extend_lease(said.until_ns)
            case KillWorker():
                self.crash_worker(said.worker)
            case DeleteRun():
                self._delete(said.run)
            case _:
                self.world.note(f"{self.name}: {said}")

    def _note_start(self, order: OrderWorker) -> None:
        """The start is turned into this host's time once in a life, by the first orders to run."""
        assert self.state is not None
        clock = self.state.fit.estimate(self.clock.now_ns())
        if order.goal == "run" and clock is not None and not self._has_start:
            self._has_start = True
            self.history.believed_starts.append((self.clock.world_ns(order.start_ns), clock.error_ns))

    def _hello(self, runs: tuple[str, ...]) -> Hello:
        return Hello(
            agent=self.name,
            life=self.life,
            protocol=PROTOCOL_VERSION,
            version="0",
            workers=self.settings.workers,
            cores=1,
            memory_bytes=1,
            nofile=1,
            runs=runs,
        )

    def _spawn(self, number: int) -> None:
        files = WorkerFiles(self.name, self.plan.run, self.life, number)
        key = (files.run, files.life, files.worker)
        assert key not in self.disk, f"worker number {number} is used again"
        self.disk[key] = files
        if self.fails_to_prepare:
            self.world.after(50 * NS_PER_MS, self._in_life(lambda: self._fail(number)))
        self.workers[number] = WorkerModel(
            self.world,
            self.clock,
            self.history,
            files,
            self.plan,
            lambda word: self.world.after(0, self._in_life(lambda: self._on_worker(number, word))),
            is_eager=self.is_eager,
        )

    def _fail(self, number: int) -> None:
        error = "unknown scenario"
        self._tell(WorkerFailed(now_ns=self.clock.now_ns(), run=self.plan.run, worker=number, error=error))

    def _on_worker(self, number: int, word: str) -> None:
        worker = self.workers[number]
        now_ns, run = self.clock.now_ns(), self.plan.run
        if self.fails_to_prepare:
            return
        if word == "prepared":
            self._tell(WorkerPrepared(now_ns=now_ns, run=run, worker=number))
        elif word == "progressed":
            self._tell(WorkerProgressed(now_ns=now_ns, run=run, report=worker.report()))
        elif not worker.is_dead:
            self._tell(WorkerEnded(now_ns=now_ns, run=run, report=worker.report("ended")))
            worker.is_dead = True
            self._exit_later(number)

    def _delete(self, run: str) -> None:
        self.world.note(f"{self.name}: deletes {run}")
        for key in [key for key in self.disk if key[0] == run]:
            files = self.disk.pop(key)
            stored = self.history.stored.keys() | self.history.rejected
            self.history.deleted |= {batch.key for batch in files.spool.values()} - stored

    # The uplink

    def _ship(self) -> None:
        """Send what is not acknowledged, within the credit, oldest first; again after a while."""
        waiting = [batch for files in self.disk.values() for _, batch in sorted(files.spool.items())]
        now_ns, coordinator = self.world.now_ns, self.coordinator
        assert coordinator is not None
        for batch in waiting[:CREDIT]:
            sent_ns = self._sent.get(batch.key)
            if sent_ns is None or now_ns >= sent_ns + RESEND_NS:
                self._sent[batch.key] = now_ns
                self.network.send(self.name, "up", batch, partial(coordinator.ingest, self.name))

    def _on_ack(self, ack: Ack) -> None:
        files = self.disk.get((ack.run, ack.life, ack.worker))
        for seq in ack.seqs:
            self.history.acked.add(BatchKey(ack.run, self.name, ack.life, ack.worker, seq))
            if files is not None:
                files.spool.pop(seq, None)
        self._ship()
        self._tell_spool()

    def _tell_spool(self) -> None:
        unacked = sum(len(files.spool) for files in self.disk.values())
        gone = sum(len(files.gone) for files in self.disk.values())
        if (unacked, gone) == self._spool_told:
            return
        self._spool_told = (unacked, gone)
        losses = tuple(
            WorkerLoss(life=files.life, worker=files.worker, lost=self._losses(files))
            for files in self.disk.values()
            if files.gone
        )
        self._tell(
            SpoolChanged(
                now_ns=self.clock.now_ns(), run=self.plan.run, unacked=unacked, spool_bytes=unacked, losses=losses
            )
        )
