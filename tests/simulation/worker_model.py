"""A small model of a worker process: slots and arrivals, marks that outlive it, batches on the disk."""

from collections.abc import Callable
from dataclasses import dataclass, field

from osbench.agent.agent_events import OrderWorker
from osbench.common.clock import NS_PER_MS
from osbench.common.messages import ShareProgress, WorkerReport
from osbench.common.plan import ClosedLoop, OpenLoop, Plan
from osbench.common.record import BatchKey
from osbench.common.share import Share

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
    #: Epoch to ranks started.
    marks: dict[int, int] = field(default_factory=dict)
    has_ended: bool = False
    last_seq: int = 0
    iterations: int = 0
    #: Batches not acknowledged yet, by number.
    spool: dict[int, SimulatedBatch] = field(default_factory=dict)
    #: Batches gone from the spool.
    gone: list[SimulatedBatch] = field(default_factory=list)

    def progress(self) -> tuple[ShareProgress, ...]:
        return tuple(ShareProgress(epoch=epoch, started=started) for epoch, started in sorted(self.marks.items()))


@dataclass(slots=True)
class HeldSlots:
    """A share at work."""

    share: Share
    started: int = 0
    in_flight: int = 0


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
        self.goal = "prepare"
        self.start_ns = 0
        self.lease_ns = 0
        self.held: dict[int, HeldSlots] = {}
        self.rows: list[tuple[int, str]] = []
        self.first_row_ns = 0
        self.in_flight: dict[int, HeldSlots] = {}
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
        )

    # Told by its supervisor

    def obey(self, order: OrderWorker) -> None:
        """Do what is ordered, unless it is over."""
        if self.is_dead or self.is_frozen or self.has_ended:
            return
        first = self.goal == "prepare" and order.goal == "run"
        self.goal = order.goal
        if order.goal == "run":
            if first:
                self.start_ns = order.start_ns
                self.world.after(BATCH_EVERY_NS, self._when_alive(self._beat))
            for share in order.shares:
                if share.epoch not in self.held:
                    self._take(share)
        elif order.goal == "stop":
            for index in list(self.in_flight):
                self._finish(index, "unknown")
        self._see_end()

    def extend_lease(self, until_ns: int) -> None:
        self.lease_ns = max(self.lease_ns, until_ns)

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

    def _take(self, share: Share) -> None:
        held = self.held[share.epoch] = HeldSlots(share)
        self.files.marks[share.epoch] = 0
        if isinstance(self.plan.schedule, ClosedLoop):
            assert share.slots is not None, "a closed loop has slots"
            for _ in range(share.slots):
                self._at_local(self.start_ns, lambda: self._next_in_slot(held))
        else:
            self._await_arrival(held)

    def _at_local(self, local_ns: int, action: Callable[[], None]) -> None:
        self.world.at(self.clock.world_ns(local_ns), self._when_alive(action))

    def _may_start(self) -> bool:
        now_ns = self.clock.now_ns()
        schedule = self.plan.schedule
        is_over = (
            isinstance(schedule, ClosedLoop)
            and schedule.duration_ns is not None
            and now_ns - self.start_ns >= schedule.duration_ns
        )
        if now_ns >= self.lease_ns and self.goal == "run":
            # Fenced, for good.
            self.goal = "drain"
        return self.goal == "run" and not is_over

    def _begin(self, held: HeldSlots, index: int, *, is_dropped: bool = False) -> None:
        held.started += 1
        self.files.marks[held.share.epoch] = held.started
        relative_ns = self.clock.now_ns() - self.start_ns
        who = f"{self.files.agent}.{self.files.life}.{self.files.worker}"
        self.history.start(index, self.world.now_ns, relative_ns, who, is_dropped=is_dropped)
        if is_dropped:
            self._row(index, "dropped")
            return
        held.in_flight += 1
        self.in_flight[index] = held
        outcome = self.world.random.choice(("ok", "ok", "ok", "failed", "unknown"))
        self.world.after(self.world.between_ms(60, 900), self._when_alive(lambda: self._finish(index, outcome)))

    def _next_in_slot(self, held: HeldSlots) -> None:
        index = held.share.index(held.started) if self._may_start() else None
        if index is not None:
            self._begin(held, index)
        self._see_end()

    def _await_arrival(self, held: HeldSlots) -> None:
        assert isinstance(self.plan.schedule, OpenLoop)
        index = held.share.index(held.started)
        if index is not None:
            due_ns = self.start_ns + self.plan.schedule.intended_start_ns(index)
            self._at_local(due_ns, lambda: self._arrive(held, index))

    def _arrive(self, held: HeldSlots, index: int) -> None:
        if self._may_start():
            is_full = held.share.slots is not None and held.in_flight >= held.share.slots
            self._begin(held, index, is_dropped=is_full)
            self._await_arrival(held)
        self._see_end()

    def _finish(self, index: int, outcome: str) -> None:
        held = self.in_flight.pop(index, None)
        if held is None:
            return
        held.in_flight -= 1
        self.history.end()
        self._row(index, outcome)
        if isinstance(self.plan.schedule, ClosedLoop):
            self._next_in_slot(held)
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
        return not self.in_flight and all(held.share.index(held.started) is None for held in self.held.values())

    def _see_end(self) -> None:
        """End when there is nothing more to do, and say so; or say that there is nothing more to start."""
        if self.has_ended:
            return
        over = self.goal in ("drain", "stop") and not self.in_flight
        used_up = self.goal == "run" and self.held and self._is_used_up()
        if over or (used_up and self.is_eager):
            self._write()
            self.has_ended = self.files.has_ended = True
            self._tell("ended")
        elif used_up:
            self._write()
            self._tell("progressed")
