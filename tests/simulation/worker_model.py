"""A small model of a worker process around the real pacer: marks that outlive it, batches on the disk."""

from collections.abc import Callable
from dataclasses import dataclass, field

from osbench.agent.agent_events import OrderWorker
from osbench.agent.pacer import Pacer, ShareState
from osbench.common.clock import NS_PER_MS
from osbench.common.messages import ShareProgress, WorkerReport
from osbench.common.plan import ClosedLoop, OpenLoop, Plan
from osbench.common.record import BatchKey

from .history import History, SimulatedBatch
from .world import HostClock, World

BATCH_EVERY_NS = 700 * NS_PER_MS


@dataclass(slots=True)
class WorkerFiles:
    """What a worker leaves on the disk of its host."""

    agent: str
    run: str
    life: int
    worker: int
    #: Epoch to ranks started, and to limits obeyed.
    marks: dict[int, int] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    revision: int = 0
    slots: int = -1
    has_ended: bool = False
    last_seq: int = 0
    iterations: int = 0
    #: Batches not acknowledged yet, by number.
    spool: dict[int, SimulatedBatch] = field(default_factory=dict)
    #: Batches gone from the spool.
    gone: list[SimulatedBatch] = field(default_factory=list)

    def progress(self) -> tuple[ShareProgress, ...]:
        return tuple(
            ShareProgress(epoch=epoch, started=started, limit=self.limits.get(epoch, -1))
            for epoch, started in sorted(self.marks.items())
        )


class WorkerModel:
    """One worker process.

    Args:
        is_eager: it ends by itself when its shares are used up, instead of waiting for orders.
        tell: called with `prepared`, `progressed` or `ended`.
    """

    def __init__(
        self,
        world: World,
        clock: HostClock,
        history: History,
        files: WorkerFiles,
        plan: Plan,
        tell: Callable[[str], None],
        *,
        is_eager: bool,
    ) -> None:
        self.world, self.clock, self.history, self.files, self.plan = world, clock, history, files, plan
        self.is_eager = is_eager
        self.who = f"{files.agent}.{files.life}.{files.worker}"
        self.goal = "prepare"
        self.start_ns = 0
        self.lease_ns = 0
        self.pacer: Pacer | None = None
        self.rows: list[tuple[int, str]] = []
        self.first_row_ns = 0
        self.in_flight: set[int] = set()
        self.is_dead = False
        self.is_frozen = False
        self.frozen_ns = 0
        self.has_ended = False
        self._tell = tell
        world.after(world.between_ms(5, 250), self._when_alive(lambda: self._tell("prepared")))

    def _when_alive(self, action: Callable[[], None]) -> Callable[[], None]:
        def act() -> None:
            if not self.is_dead and not self.is_frozen and not self.has_ended:
                action()

        return act

    def report(self, state: str = "running") -> WorkerReport:
        """What its marks tell."""
        return WorkerReport(
            worker=self.files.worker,
            state=state,
            shares=self.files.progress(),
            in_flight=len(self.in_flight),
            last_seq=self.files.last_seq,
            iterations_written=self.files.iterations,
            revision=self.files.revision,
            slots=self.files.slots,
        )

    # Told by its supervisor

    def obey(self, order: OrderWorker) -> None:
        """Do what is ordered, unless it is over."""
        if self.is_dead or self.is_frozen or self.has_ended:
            return
        first = self.goal == "prepare" and order.goal == "run"
        self.goal = order.goal
        if first:
            self.start_ns = order.start_ns
            self.pacer = Pacer(schedule=self.plan.schedule, start_ns=self.start_ns, lease_ns=self.lease_ns)
            self.world.after(BATCH_EVERY_NS, self._when_alive(self._beat))
        if self.pacer is not None:
            self.pacer.is_draining |= order.goal != "run"
            if order.goal == "run":
                self._share_out(self.pacer, order)
            self._mark()
        self.files.revision = order.revision
        if order.goal == "stop":
            for index in list(self.in_flight):
                self._finish(index, "unknown")
        self._see_end()

    def _share_out(self, pacer: Pacer, order: OrderWorker) -> None:
        known = {state.share.epoch for state in pacer.shares}
        for share in order.shares:
            if share.epoch not in known and not pacer.is_draining:
                state = pacer.add(share)
                self.files.marks[share.epoch] = 0
                if isinstance(self.plan.schedule, OpenLoop):
                    self._await_arrival(state)
        for bound in order.limits:
            pacer.limit(bound.epoch, bound.limit)
        pacer.allow(order.slots)
        if isinstance(self.plan.schedule, ClosedLoop):
            for _ in range(pacer.idle_slots):
                self._at_local(self.start_ns, self._next_in_slot)

    def _mark(self) -> None:
        """Note what it obeys."""
        assert self.pacer is not None
        self.pacer.settle()
        for state in self.pacer.shares:
            if state.limit is not None:
                self.files.limits[state.share.epoch] = state.limit
        if self.pacer.held is not None:
            self.files.slots = self.pacer.held

    def extend_lease(self, until_ns: int) -> None:
        self.lease_ns = max(self.lease_ns, until_ns)
        if self.pacer is not None:
            self.pacer.lease_ns = self.lease_ns

    def freeze(self) -> None:
        """SIGSTOP, for good."""
        self.is_frozen, self.frozen_ns = True, self.frozen_ns or self.clock.now_ns()

    def kill(self) -> None:
        """SIGKILL: what is in memory is gone, with what is in flight."""
        if not self.is_dead:
            self.is_dead = True
            self.history.end(len(self.in_flight))
            self.in_flight.clear()

    # The load

    def _at_local(self, local_ns: int, action: Callable[[], None]) -> None:
        self.world.at(self.clock.world_ns(local_ns), self._when_alive(action))

    def _begin(self, state: ShareState, index: int, *, is_dropped: bool = False) -> None:
        self.files.marks[state.share.epoch] = state.started
        relative_ns = self.clock.now_ns() - self.start_ns
        self.history.start(index, self.world.now_ns, relative_ns, self.who, is_dropped=is_dropped)
        if is_dropped:
            self._row(index, "dropped")
            return
        self.in_flight.add(index)
        outcome = self.world.random.choice(("ok", "ok", "ok", "failed", "unknown"))
        self.world.after(self.world.between_ms(60, 900), self._when_alive(lambda: self._finish(index, outcome)))

    def _next_in_slot(self) -> None:
        assert self.pacer is not None
        found = self.pacer.next_in_slot(self.clock.now_ns())
        if found is not None:
            self._begin(*found)
        self._see_end()

    def _await_arrival(self, state: ShareState) -> None:
        if state.next_due_ns is not None:
            self._at_local(state.next_due_ns, lambda: self._arrive(state))

    def _arrive(self, state: ShareState) -> None:
        assert self.pacer is not None
        for arrival in self.pacer.due(state, self.clock.now_ns()):
            self._begin(state, arrival.iteration, is_dropped=arrival.is_dropped)
        if not self.pacer.is_draining:
            self._await_arrival(state)
        self._see_end()

    def _finish(self, index: int, outcome: str) -> None:
        if index not in self.in_flight:
            return
        assert self.pacer is not None
        self.in_flight.remove(index)
        self.pacer.ended()
        self.history.end()
        self._row(index, outcome)
        if isinstance(self.plan.schedule, ClosedLoop):
            self._next_in_slot()
        else:
            self._see_end()

    # Records

    def _row(self, index: int, outcome: str) -> None:
        if not self.rows:
            self.first_row_ns = self.clock.now_ns() - self.start_ns
        self.rows.append((index, outcome))

    def _write(self) -> None:
        if not self.rows:
            return
        files = self.files
        files.last_seq += 1
        key = BatchKey(files.run, files.agent, files.life, files.worker, files.last_seq)
        now_ns = self.clock.now_ns() - self.start_ns
        batch = SimulatedBatch(key, tuple(self.rows), self.first_row_ns, now_ns)
        files.spool[files.last_seq] = self.history.written[key] = batch
        files.iterations += len(self.rows)
        self.rows.clear()

    def _beat(self) -> None:
        self._write()
        self._see_end()
        self.world.after(BATCH_EVERY_NS, self._when_alive(self._beat))

    def _is_used_up(self) -> bool:
        return not self.in_flight and self.pacer is not None and all(s.next_index() is None for s in self.pacer.shares)

    def _see_end(self) -> None:
        """End when there is nothing more to do, and say so; or say that there is nothing more to start."""
        if self.has_ended:
            return
        if self.pacer is not None:
            if self.pacer.is_draining and self.goal == "run":
                self.goal = "drain"
            self._mark()
        over = self.goal in ("drain", "stop") and not self.in_flight
        used_up = self.goal == "run" and self.pacer is not None and self.pacer.shares and self._is_used_up()
        if over or (used_up and self.is_eager):
            self._write()
            self.has_ended = self.files.has_ended = True
            self._tell("ended")
        elif used_up:
            self._write()
            self._tell("progressed")
