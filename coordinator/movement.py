"""Moving shares between workers that are all well: when one that could take part has nothing to do.

Rules: an end of some shares of others, and in closed loop some of their slots, go to those that have nothing. Here it is
only decided who is told to leave what to whom; nothing moves before its owner has said that it leaves it (ledger,
slots), so that nothing here has to be right for a run to be exact.

- From a rank on. Open loop: the first that is due after a margin in which two trips fit, the orders to the owner and the
  new share to who takes it, so that nothing comes due between two owners. Closed loop: as many ranks further as the owner
  will start in that time, so that it does not run dry before its own new part has come.
- What is left from there on is divided anew between its owner and the idle, so that all have equally long to go
  (balance): who has no more than its due gives nothing. Whoever has no slot in the end takes nothing.
- Groups: eight owners at most give to the idle of one group, so that in a large fleet nobody collects hundreds of
  shares. Of each group only the largest shares are touched.
- Not for small differences: only when somebody is idle, at most every `move_pause_ns`, and not when less than `worth_ns`
  is left to start; nothing else is begun before all owners have said what they leave, or are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from osbench.common.clock import NS_PER_S
from osbench.common.plan import OpenLoop, Schedule
from osbench.common.share import MAX_SHARES
from osbench.coordinator.balance import Load, spare
from osbench.coordinator.ledger import HeldShare, Ledger, first_rank_due
from osbench.coordinator.run_answer import RunAnswer
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.run_parts import AgentPart
from osbench.coordinator.run_snapshot import Heir, WorkerKey
from osbench.coordinator.slots import SlotBook, even_out
from osbench.coordinator.takeover import Takeover, weigh

#: Workers that give to one group of idle ones, and shares that are touched for it.
MAX_GIVERS = 8
MAX_CUTS = 16


@dataclass(frozen=True, slots=True)
class Cut:
    """A share its owner could leave an end of: all from `rank` on, `size` indices; None without end."""

    held: HeldShare
    rank: int
    size: int | None

    @property
    def weight(self) -> float:
        """The larger, the more it is worth to move it."""
        return float("inf") if self.size is None else self.size


class Movement:
    """What is moved in one run.

    Args:
        schedule: the plan's. parts: all agents of the run. ledger: who owns what. slots: who may have how many in flight.
        takeover: what each has. answer: to the event at hand. settings: when it is worth it.
    """

    def __init__(
        self,
        schedule: Schedule,
        parts: Mapping[str, AgentPart],
        ledger: Ledger,
        slots: SlotBook,
        takeover: Takeover,
        answer: RunAnswer,
        settings: RunSettings,
    ) -> None:
        self._schedule = schedule
        self._parts = parts
        self._ledger = ledger
        self._slots = slots
        self._takeover = takeover
        self._answer = answer
        self._settings = settings
        #: When something was begun last; None before the first time.
        self._begun_ns: int | None = None

    def plan(self, able: Sequence[WorkerKey]) -> None:
        """Give those a part that have nothing to do.

        Args:
            able: workers that can take something now. The run goes on for long enough that it is worth it.
        """
        now_ns = self._answer.now_ns
        if self._begun_ns is not None and now_ns < self._begun_ns + self._settings.move_pause_ns:
            return
        idle = [key for key in able if not self._ledger.open_of(key)]
        if not idle or self._ledger.rests or self._is_under_way():
            return
        cuts = {key: self._cuts_of(key) for key in able if key not in idle}
        givers = sorted((key for key in cuts if cuts[key]), key=lambda key: -sum(cut.weight for cut in cuts[key][:1]))
        if not givers:
            return
        count = min(len(idle), -(-len(givers) // MAX_GIVERS))
        givers = givers[: count * MAX_GIVERS]
        for group in range(count):
            self._move({key: cuts[key] for key in givers[group::count]}, idle[group::count])

    def _is_under_way(self) -> bool:
        """Whether somebody who is there has yet to say what it leaves."""
        return any(
            self._ledger.held[place].is_moving and self._ledger.held[place].key in part.live
            for part in self._parts.values()
            if part.is_spoken_to
            for place in self._ledger.open.get(part.agent, ())
        )

    def _cuts_of(self, key: WorkerKey) -> list[Cut]:
        """Of which shares a worker could leave an end, the largest first."""
        if len(self._ledger.by_worker[key]) >= MAX_SHARES // 2:
            return []
        found: list[Cut] = []
        shares = self._ledger.open_of(key)
        if isinstance(self._schedule, OpenLoop):
            due_ns = self._answer.now_ns - self._answer.start_ns + self._settings.move_margin_ns
            for held in shares:
                rank = first_rank_due(held.share, self._schedule, due_ns, held.started)
                found += _cut(held, rank)
        else:
            keep = self._margin_of(key)
            for held in shares:
                found += _cut(held, held.started + keep)
                # Its oldest share is started first; one without end alone lasts for ever.
                keep = 0 if held.left is None else max(keep - held.left, 0)
            if endless := [cut for cut in found if cut.size is None]:
                found = endless[-1:]
        return sorted(found, key=lambda cut: -cut.weight)

    def _margin_of(self, key: WorkerKey) -> int:
        """Closed loop: ranks a worker starts while orders and shares are on their way, and a few more."""
        elapsed_ns = max(self._answer.now_ns - self._answer.start_ns, NS_PER_S)
        started = sum(held.started for held in self._ledger.by_worker[key])
        return 2 * (self._slots.of(key) + started * self._settings.move_margin_ns // elapsed_ns)

    def _move(self, cuts: Mapping[WorkerKey, Sequence[Cut]], idle: Sequence[WorkerKey]) -> None:
        """Have these workers told to leave a part of what they have to those who have nothing."""
        givers = list(cuts)
        while givers:
            left, taking = self._slots_after(givers, idle)
            if not taking:
                return
            chosen = sorted((cut for key in givers for cut in cuts[key]), key=lambda cut: -cut.weight)[:MAX_CUTS]
            shared = [(cut, heirs) for cut in chosen if (heirs := self._heirs_of(cut, chosen, left, taking))]
            if shared:
                self._tell(shared, left, len(taking))
                return
            # From fewer owners each of the idle gets more of one.
            givers.pop()

    def _slots_after(
        self, givers: Sequence[WorkerKey], idle: Sequence[WorkerKey]
    ) -> tuple[dict[WorkerKey, int], dict[WorkerKey, int]]:
        """Slots of both when they are moved, of the idle only those that have some; 1 each where nobody counts them."""
        if self._slots.total is None:
            return dict.fromkeys(givers, 1), dict.fromkeys(idle, 1)
        rich, poor = even_out([self._slots.of(key) for key in givers], [self._slots.of(key) for key in idle])
        left = dict(zip(givers, rich, strict=True))
        return left, {key: slots for key, slots in zip(idle, poor, strict=True) if slots}

    def _heirs_of(
        self, cut: Cut, chosen: Sequence[Cut], left: Mapping[WorkerKey, int], taking: Mapping[WorkerKey, int]
    ) -> tuple[Heir, ...]:
        """Who has what is behind a cut, its owner among them; none if it is too little to be divided, or not to spare."""
        giver, slots = cut.held.key, sum(taking.values())
        if cut.size is None:
            return weigh({giver: left[giver], **taking})
        loads = {key: Load(left[key], self._takeover.load_of(key).left) for key in left}
        reach = sum(other.size or 0 for other in chosen if other.held.key == giver)
        gives = min(spare(loads, slots)[giver], reach)
        weights = {giver: (reach - gives) * slots, **{key: gives * count for key, count in taking.items()}}
        # Of less than this somebody would get nothing.
        least = -(-reach * slots // (gives * min(taking.values()))) if gives else 0
        return weigh(weights) if gives and cut.size >= least else ()

    def _tell(self, shared: Sequence[tuple[Cut, tuple[Heir, ...]]], left: Mapping[WorkerKey, int], takers: int) -> None:
        for cut, heirs in shared:
            self._ledger.limit(cut.held, cut.rank, heirs)
        for key, slots in left.items():
            self._slots.ask_back(key, slots)
            self._parts[key.agent].is_stale = True
        givers = {cut.held.key for cut, _ in shared}
        self._begun_ns, self._answer.is_dirty = self._answer.now_ns, True
        text = f"{len(shared)} shares of {len(givers)} workers are divided anew: {takers} have nothing to do"
        self._answer.note("shares_moving", text=text)


def _cut(held: HeldShare, rank: int) -> list[Cut]:
    """The cut at a rank; none if nothing lies behind it."""
    size = None if held.until is None else held.until - rank
    return [Cut(held, rank, size)] if size is None or size > 0 else []
