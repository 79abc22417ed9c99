"""What happened in a simulated run, as only somebody who sees all can know it, and what must be true of it."""

from collections import Counter
from dataclasses import dataclass, field

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, Plan
from osbench.common.record import BatchKey
from osbench.coordinator.accounting import Accounting


@dataclass(slots=True)
class SimulatedBatch:
    """A batch: its key and the (index, outcome) of its iterations."""

    key: BatchKey
    rows: tuple[tuple[int, str], ...]
    first_ns: int = 0
    last_ns: int = 0


@dataclass(slots=True)
class History:
    """The run as it was."""

    plan: Plan
    #: Index to all its starts: (world time, after the start of the run by the worker's clock, who).
    starts: dict[int, list[tuple[int, int, str]]] = field(default_factory=dict)
    in_flight: int = 0
    peak: int = 0
    #: Agents that started something; those that are drained now; what they started all the same.
    busy: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    undrained: list[tuple[int, str]] = field(default_factory=list)
    #: Batches ever written, stored, acknowledged, rejected, and gone from a spool.
    written: dict[BatchKey, SimulatedBatch] = field(default_factory=dict)
    stored: dict[BatchKey, SimulatedBatch] = field(default_factory=dict)
    acked: set[BatchKey] = field(default_factory=set)
    rejected: set[BatchKey] = field(default_factory=set)
    vanished: set[BatchKey] = field(default_factory=set)
    #: Deleted with their run while nobody had stored them.
    deleted: set[BatchKey] = field(default_factory=set)
    #: World time at which each worker believed the run to start, and how far off its agent took that to be at most.
    believed_starts: list[tuple[int, int]] = field(default_factory=list)
    accountings: list[Accounting] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def start(self, index: int, world_ns: int, relative_ns: int, who: str, *, is_dropped: bool = False) -> None:
        """An iteration starts, or is dropped when it is due."""
        self.starts.setdefault(index, []).append((world_ns, relative_ns, who))
        agent = who.split(".")[0]
        self.busy.add(agent)
        if agent in self.drained:
            self.undrained.append((index, who))
        if not is_dropped:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)

    def end(self, count: int = 1) -> None:
        """Iterations are over, whatever became of them."""
        self.in_flight -= count

    def note(self, kind: str, agent: str) -> None:
        """The coordinator notes something of an agent."""
        self.kinds[kind] += 1
        if kind == "agent_drained":
            self.drained.add(agent)
        elif kind == "agent_undrained":
            self.drained.discard(agent)

    # What must be true

    def check(self, start_world_ns: int, *, is_undisturbed: bool) -> None:
        """All invariants of a run that has ended."""
        self._check_starts(start_world_ns)
        self._check_batches()
        self._check_account()
        self._check_peak(is_undisturbed=is_undisturbed)
        if is_undisturbed:
            self._check_nothing_is_missing()

    def _check_starts(self, start_world_ns: int) -> None:
        twice = {index: starts for index, starts in self.starts.items() if len(starts) != 1}
        assert not twice, f"started more than once: {twice}"
        assert not self.undrained, f"started by agents that were drained: {self.undrained}"
        schedule = self.plan.schedule
        for index, starts in self.starts.items():
            assert schedule.iterations is None or index < schedule.iterations, f"{index} is not planned"
            relative_ns = starts[0][1]
            due_ns = schedule.intended_start_ns(index) if isinstance(schedule, OpenLoop) else 0
            assert relative_ns >= due_ns, f"{index} started at {relative_ns}, before its time {due_ns}"
            if isinstance(schedule, ClosedLoop) and schedule.duration_ns is not None:
                assert relative_ns <= schedule.duration_ns, f"{index} started at {relative_ns}, after the end"
        for believed_ns, bound_ns in self.believed_starts:
            error_ns = abs(believed_ns - start_world_ns)
            assert error_ns <= bound_ns + NS_PER_MS, f"the start is off by {error_ns} ns, bound {bound_ns}"

    def _check_batches(self) -> None:
        indices = [index for batch in self.stored.values() for index, _ in batch.rows]
        assert len(indices) == len(set(indices)), "an iteration is stored twice"
        assert set(indices) <= self.starts.keys(), "stored what was never started"
        assert self.acked <= self.stored.keys(), f"acknowledged, not stored: {self.acked - self.stored.keys()}"
        assert self.stored.keys() <= self.written.keys(), "stored what nobody wrote"
        assert not self.deleted, f"deleted before they were stored: {self.deleted}"

    def _check_account(self) -> None:
        account = self.accountings[-1]
        outcomes = Counter(outcome for batch in self.stored.values() for _, outcome in batch.rows)
        for outcome in ("ok", "failed", "unknown", "dropped"):
            assert getattr(account, outcome) == outcomes[outcome], f"{outcome}: {account} / {outcomes}"
        by_worker = Counter((key.agent, key.life, key.worker) for key, b in self.stored.items() for _ in b.rows)
        for line in account.workers:
            assert line.stored == by_worker[line.agent, line.life, line.worker], f"{line}"
            assert line.owned == line.stored + line.lost, f"{line} does not add up"
        assert sum(loss.count for loss in account.losses if loss.kind == "lost") == account.lost
        assert sum(loss.count for loss in account.losses if loss.kind == "not_run") == account.not_run
        missing = len(self.starts) - sum(outcomes.values())
        is_exact = all(line.state in ("ended", "died") for line in account.workers)
        if account.planned is None:
            assert account.lost == missing or not is_exact, f"{account.lost} lost, in truth {missing}"
            assert account.not_run == 0, "what has no count cannot be left over"
            return
        assert account.planned == account.stored + account.lost + account.not_run, f"{account} does not add up"
        never = account.planned - len(self.starts)
        if is_exact:
            assert account.lost == missing, f"{account.lost} lost, in truth {missing}: {account}"
            assert account.not_run == never, f"{account.not_run} not run, in truth {never}: {account}"
        else:
            assert account.lost >= missing, f"{account.lost} lost, in truth {missing}: {account}"
            assert account.not_run <= never, f"{account.not_run} not run, in truth {never}: {account}"

    def _check_peak(self, *, is_undisturbed: bool) -> None:
        schedule = self.plan.schedule
        if isinstance(schedule, ClosedLoop):
            assert self.peak <= schedule.concurrency, f"peak {self.peak}, asked {schedule.concurrency}"
            asked = (
                schedule.concurrency if schedule.iterations is None else min(schedule.concurrency, schedule.iterations)
            )
            assert not is_undisturbed or self.peak == asked, f"peak {self.peak}, asked {asked}"
        elif is_undisturbed and schedule.max_in_flight is not None:
            assert self.peak <= schedule.max_in_flight, f"peak {self.peak}, cap {schedule.max_in_flight}"

    def _check_nothing_is_missing(self) -> None:
        account, schedule = self.accountings[-1], self.plan.schedule
        assert account.lost == 0, f"lost in an undisturbed run: {account}"
        assert self.stored.keys() == self.written.keys() == self.acked, "a batch is on its way for ever"
        if not (isinstance(schedule, ClosedLoop) and schedule.duration_ns is not None):
            assert account.not_run == 0, f"not run in an undisturbed run: {account}"
        assert len(self.accountings) == 1, "an undisturbed run is accounted for once"


def seconds(world_ns: int) -> float:
    """For people."""
    return world_ns / NS_PER_S
