"""Who takes what others left: rests and free slots, given to those workers that are there.

Rules: whoever is ready or running takes part, spread over agents first, so that few slots go to many hosts. Free slots go
to those who have fewest, and what a dead worker left to those who have least to go (balance). What a live worker left to
certain others is divided among these as it was planned, as soon as each has a slot; if that takes long, among those that
have. A rest that nobody can take waits for somebody, a replacement or an agent that joins, but not for ever.

Many rests at once, which is what a worker with many shares leaves, are portioned: each goes to as few workers as its size
asks for. Were each divided among all, the shares of a run would multiply with every death.
"""

from collections.abc import Iterable, Mapping, Sequence

from osbench.common.share import MAX_SHARES
from osbench.coordinator.balance import Load, lacking
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.run_answer import RunAnswer
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.run_parts import AgentPart
from osbench.coordinator.run_snapshot import Heir, Rest, WorkerKey
from osbench.coordinator.slots import SlotBook, fill

#: Sum of the weights of a division, about, where they are large: exact proportions need no more.
FINE = 1_000
#: Stands for the size of a rest without end: more than any plan has.
ENDLESS = 10**15


def takers(parts: Iterable[AgentPart]) -> list[WorkerKey]:
    """Workers that can take something now."""
    found = []
    for part in parts:
        report = part.report
        if not part.can_take or report is None:
            continue
        able = sorted(
            WorkerKey(part.agent, part.life, worker.worker)
            for worker in report.workers
            if worker.state in ("ready", "running")
        )
        # The newest report may still be older than what is known: after a restart nothing is known of sequences.
        found += [(place, key) for place, key in enumerate(able) if key in part.live]
    return [key for _, key in sorted(found)]


def weigh(wanted: Mapping[WorkerKey, int]) -> tuple[Heir, ...]:
    """Weights of a division, made smaller where they are large, so that its pattern stays short."""
    total = sum(wanted.values())
    if total <= FINE:
        return tuple(Heir(key, weight) for key, weight in wanted.items() if weight)
    return tuple(Heir(key, max(weight * FINE // total, 1)) for key, weight in wanted.items() if weight)


def portion(sizes: Sequence[int | None], weights: Mapping[WorkerKey, int]) -> list[dict[WorkerKey, int]]:
    """Which of these workers, with their weights, take each of several rests.

    All together get by their weights, about, and at most as many shares are made as there are rests and workers; one rest
    alone goes to all. Who has no weight gets nothing.

    Args:
        sizes: indices in each rest, 1 or more; None without end, which outweighs all that have one.
    """
    able = {key: weight for key, weight in weights.items() if weight}
    counts = [ENDLESS if size is None else size for size in sizes]
    total, whole = sum(counts), sum(able.values())
    # What each should still get, times `whole`.
    due = {key: weight * total for key, weight in able.items()}
    found: list[dict[WorkerKey, int]] = [{} for _ in counts]
    for at in sorted(range(len(counts)), key=lambda at: -counts[at]):
        chosen = sorted(due, key=lambda key: -due[key])[: -(-len(due) * counts[at] // total)]
        found[at] = {key: able[key] for key in able if key in chosen}
        for key in chosen:
            due[key] -= counts[at] * whole * able[key] // sum(found[at].values())
    return found


class Takeover:
    """The rests and the free slots of a run.

    Args:
        parts: all agents of the run. ledger: who owns what. slots: who may have how many in flight.
        answer: to the event at hand. settings: how patient the run is.
    """

    def __init__(
        self,
        parts: Mapping[str, AgentPart],
        ledger: Ledger,
        slots: SlotBook,
        answer: RunAnswer,
        settings: RunSettings,
    ) -> None:
        self._parts = parts
        self._ledger = ledger
        self._slots = slots
        self._answer = answer
        self._settings = settings

    def takers(self) -> list[WorkerKey]:
        """Workers that can take something now, in the order in which they are served."""
        shares = self._ledger.by_worker
        return [key for key in takers(self._parts.values()) if len(shares.get(key, ())) < MAX_SHARES]

    def settle(self, due_ns: int, revision: int) -> None:
        """Find somebody for what others left.

        Args:
            due_ns: what is due earlier, after the start of the run, would be late in another worker (open loop).
            revision: of the orders that will name the new shares and slots.
        """
        able = self.takers()
        self._grant(able, revision)
        for_all: list[Rest] = []
        for rest in list(self._ledger.rests):
            meant = {heir.key: heir.weight for heir in rest.heirs if heir.key in able}
            ready = {key: weight for key, weight in meant.items() if self._slots.total is None or self._slots.of(key)}
            if len(ready) < len(meant) and self._is_worth_waiting(rest):
                continue
            if ready:
                self._hand_out(rest, weigh(ready), due_ns, revision)
            else:
                for_all.append(rest)
        for rest, heirs in zip(for_all, self._portions(for_all, able), strict=True):
            if heirs:
                self._hand_out(rest, weigh(heirs), due_ns, revision)
        count, now_ns = len(self._ledger.rests), self._answer.now_ns
        why = "no worker was left that could take it"
        self._ledger.give_up(now_ns, why, older_than_ns=now_ns - self._settings.takeover_wait_ns)
        self._answer.is_dirty |= len(self._ledger.rests) != count

    def give_up(self, why: str) -> None:
        """Nothing more is started: what is left is not run."""
        if self._ledger.rests:
            self._ledger.give_up(self._answer.now_ns, why)
            self._answer.is_dirty = True

    def _grant(self, able: Sequence[WorkerKey], revision: int) -> None:
        """Give free slots to those who can use them."""
        free, rests = self._slots.free, self._ledger.rests
        if not free:
            return
        # What is still to be left to somebody counts too: the slots that go with it may come free before it.
        moving = (self._ledger.held[place] for places in self._ledger.open.values() for place in places)
        heirs = {heir.key for rest in rests for heir in rest.heirs}
        heirs |= {heir.key for held in moving if held.is_moving for heir in held.heirs}
        is_for_all = any(not rest.heirs for rest in rests)
        # Where slots are still asked back from a worker, it is to have fewer and not more.
        needy = {
            key: self._slots.of(key)
            for key in able
            if (is_for_all or key in heirs or self._can_use_more(key)) and self._slots.is_settled(key)
        }
        granted = fill(needy, free) if needy else {}
        for key, count in granted.items():
            self._slots.grant(key, count, revision)
            self._parts[key.agent].is_stale = self._answer.is_dirty = True

    def _can_use_more(self, key: WorkerKey) -> bool:
        left = [held.left for held in self._ledger.open_of(key)]
        return None in left or sum(count or 0 for count in left) > self._slots.of(key)

    def _portions(self, rests: Sequence[Rest], able: Sequence[WorkerKey]) -> list[dict[WorkerKey, int]]:
        """Who takes each of those rests that are for anybody, and their weights."""
        ends = [self._ledger.end_of(rest) for rest in rests]
        sizes = [None if end is None else end - rest.begin for rest, end in zip(rests, ends, strict=True)]
        by_shares = sorted(able, key=lambda key: len(self._ledger.open_of(key)))
        loads = {key: self.load_of(key) for key in (able if self._slots.total is not None else by_shares)}
        more = 0 if None in sizes else sum(size or 0 for size in sizes)
        return portion(sizes, lacking(loads, more))

    def load_of(self, key: WorkerKey) -> Load:
        """What a worker has."""
        left = sum(held.left or 0 for held in self._ledger.open_of(key))
        return Load(1 if self._slots.total is None else self._slots.of(key), left)

    def _is_worth_waiting(self, rest: Rest) -> bool:
        """Whether slots that go with what is moved may yet come free."""
        is_late = self._answer.now_ns >= rest.since_ns + self._settings.move_wait_ns
        return not is_late and any(
            not self._slots.is_settled(key) for part in self._parts.values() if part.is_spoken_to for key in part.live
        )

    def _hand_out(self, rest: Rest, heirs: tuple[Heir, ...], due_ns: int, revision: int) -> None:
        source = self._ledger.held[rest.epoch, rest.owner].key
        division = self._ledger.hand_out(rest, heirs, self._answer.now_ns, due_ns, revision)
        self._answer.is_dirty = True
        if division is None:
            return
        what = "a part of what" if rest.heirs else "the rest of what"
        text = f"{what} worker {source.worker} of agent {source.agent} had goes to {len(heirs)} workers"
        self._answer.note("rest_divided", source.agent, source.worker, text)
        for key in division.takers:
            self._parts[key.agent].is_stale = True
