"""Who owns which index of a run, from the first division to the last: the exact side of a run's state.

Rules: every index below the planned count is at each moment in exactly one place: owned by a worker, in a rest that
waits for somebody to take it, or declared not run. Nothing leaves its place but by one of the methods here.

    divide_plan     all indices                            -> owned
    advance         what a worker says it will not start   -> a rest      (it was limited, or drains)
    close           what a worker did not start            -> a rest      (its progress is exact and final)
    cut             what is due after a fence              -> a rest      (open loop, agent lost; see run_state)
    hand_out        a rest                                 -> owned by others, or not run where it came due meanwhile
    give_up         rests                                  -> not run

`limit` only says which ranks a live worker shall leave alone: they stay its own until it has said that it does. A share
loses an end of itself, time after time maybe, and never anything else, so that what is its owner's are the ranks below
`until`. What a worker owns and has no record of at the end is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from osbench.common.clock import NS_PER_MS
from osbench.common.messages import ShareLimit, ShareProgress
from osbench.common.plan import ClosedLoop, OpenLoop, Schedule
from osbench.common.share import Share, divide, divide_ranks, divide_rest
from osbench.coordinator.run_snapshot import Division, Heir, NotRun, Rest, SharePlace, SlotPlace, WorkerKey


@dataclass(slots=True, kw_only=True)
class HeldShare:
    """A share and how far its owner is."""

    share: Share
    key: WorkerKey
    #: Position of the owner in its division.
    owner: int
    #: Indices in it; None without end.
    size: int | None
    #: Orders of this revision or a later one name it.
    revision: int
    #: Ranks 0 … started - 1 were started, as far as is known; exactly these once closed. Never above `until`.
    started: int = 0
    #: Ranks [0, until) are the owner's; None without end. Only shrinks.
    until: int | None
    #: Nothing more is to be learnt of it: then until == started.
    closed: bool = False
    #: The owner is told to start nothing from this rank on; None if it is not. Only shrinks.
    limit: int | None = None
    #: Who is to have what the owner leaves for that.
    heirs: tuple[Heir, ...] = ()

    @property
    def place(self) -> tuple[int, int]:
        """What names it: its division and its position in there."""
        return self.share.epoch, self.owner

    @property
    def is_open(self) -> bool:
        """Whether its owner may still start something of it."""
        return not self.closed and (self.until is None or self.started < self.until)

    @property
    def is_moving(self) -> bool:
        """Whether its owner has yet to say what it leaves."""
        if self.limit is None or not self.is_open:
            return False
        return self.until is None or self.until > max(self.limit, self.started)

    @property
    def left(self) -> int | None:
        """Indices that its owner may still start; None without end."""
        return None if self.until is None else self.until - self.started

    @property
    def told_limit(self) -> int | None:
        """What the owner's orders say of it; None if it is wholly its own."""
        bounds = [bound for bound in (self.limit, self.until) if bound is not None]
        return min(bounds) if bounds and min(bounds) != self.size else None


def first_rank_due(share: Share, schedule: OpenLoop, due_ns: int, begin: int) -> int:
    """The first rank from `begin` on whose intended start is not before `due_ns`; the share's size if none is."""
    index = schedule.due_by(due_ns)
    low, high = begin, share.size() or 0
    while low < high:
        middle = (low + high) // 2
        owned = share.index(middle)
        if owned is not None and owned < index:
            low = middle + 1
        else:
            high = middle
    return low


class Ledger:
    """All shares of a run."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        #: Divisions in order; epoch n is the n-th.
        self.divisions: list[Division] = []
        #: Shares with at least one index, by (epoch, owner).
        self.held: dict[tuple[int, int], HeldShare] = {}
        #: The same by worker, oldest first.
        self.by_worker: dict[WorkerKey, list[HeldShare]] = {}
        #: Places of those that may still be started from, by agent.
        self.open: dict[str, set[tuple[int, int]]] = {}
        #: What waits for somebody to take it.
        self.rests: list[Rest] = []
        #: What was never started and never will be.
        self.not_run: list[NotRun] = []

    @property
    def planned(self) -> int | None:
        """Iterations of the plan, None without a count."""
        return self.schedule.iterations

    @property
    def asked_slots(self) -> int | None:
        """Iterations the whole fleet may have in flight; None for no bound."""
        if isinstance(self.schedule, ClosedLoop):
            return self.schedule.concurrency
        return self.schedule.max_in_flight

    def divide_plan(self, takers: Sequence[WorkerKey], revision: int) -> None:
        """The first division: everything to these workers, of equal weight."""
        assert not self.divisions, "a plan is divided once"
        division = Division(epoch=1, source_epoch=0, source_owner=0, begin=0, takers=tuple(takers), revision=revision)
        self._apply(division)

    def limit(self, held: HeldShare, rank: int, heirs: Sequence[Heir]) -> None:
        """Have the owner of a share told to start nothing from a rank on: what it leaves then is for these."""
        assert held.until is None or rank < held.until, f"{held} has nothing from rank {rank} on"
        held.limit = rank if held.limit is None else min(rank, held.limit)
        held.heirs = tuple(heirs)

    def advance(self, key: WorkerKey, progress: Sequence[ShareProgress], now_ns: int, reason: str) -> int:
        """Take in how far a worker says it is, and what it leaves: that becomes a rest.

        Returns:
            How many it started that were not its own any more: 0, or something is badly wrong.
        """
        told = {place.epoch: place for place in progress}
        overrun = 0
        for held in self.by_worker.get(key, ()):
            place = told.get(held.share.epoch)
            if place is None:
                continue
            bound = place.started if held.until is None else min(place.started, held.until)
            overrun += place.started - bound
            if not held.closed and bound > held.started:
                held.started = bound
                self._mark(held)
            if not held.closed and place.limit >= 0:
                self._leave(held, max(place.limit, held.started), now_ns, reason)
        return overrun

    def close(self, key: WorkerKey, now_ns: int, reason: str) -> None:
        """A worker is gone for good, and all its progress is known: what it did not start becomes a rest."""
        for held in self.by_worker.get(key, ()):
            if not held.closed:
                held.heirs = ()
                self._leave(held, held.started, now_ns, reason)
                held.closed = True
                self._mark(held)

    def _leave(self, held: HeldShare, begin: int, now_ns: int, reason: str) -> bool:
        """What a share has from a rank on leaves its owner; whether there is anything."""
        if held.until is not None and begin >= held.until:
            return False
        epoch, owner = held.place
        rest = Rest(
            epoch=epoch, owner=owner, begin=begin, end=held.until, since_ns=now_ns, reason=reason, heirs=held.heirs
        )
        self.rests.append(rest)
        held.until = begin
        self._mark(held)
        return True

    def forget(self, key: WorkerKey) -> None:
        """A worker is gone for good and its progress will never be known: nothing more is awaited from it."""
        for held in self.by_worker.get(key, ()):
            self.open.get(key.agent, set()).discard(held.place)

    def cut(self, key: WorkerKey, due_ns: int, confirmed: int, now_ns: int, reason: str) -> bool:
        """Open loop: take from a worker what it cannot start any more, since it is fenced before `due_ns`.

        Args:
            key: the worker.
            due_ns: no later intended start is reached by it; after the start of the run.
            confirmed: revision of the orders it is known to have. A share that came with later ones may still be
                under way to it, and whole: nothing of that is taken.
            now_ns, reason: for the account.

        Returns:
            Whether anything was taken.
        """
        assert isinstance(self.schedule, OpenLoop)
        taken = False
        for held in self.by_worker.get(key, ()):
            if not held.closed and held.revision <= confirmed:
                held.heirs = ()
                begin = max(held.started, first_rank_due(held.share, self.schedule, due_ns, 0))
                taken |= self._leave(held, begin, now_ns, reason)
        return taken

    def hand_out(self, rest: Rest, takers: Sequence[Heir], now_ns: int, due_ns: int, revision: int) -> Division | None:
        """Divide a rest among workers.

        Args:
            rest: one of the rests.
            takers: who takes it, and the weight of each, at least one above 0.
            now_ns: for the account.
            due_ns: what is due earlier would be late; it is not run. After the start of the run.
            revision: of the orders that will name the new shares.

        Returns:
            The division; None if all of it came due meanwhile.
        """
        self.rests.remove(rest)
        source = self.held[rest.epoch, rest.owner]
        begin, end = rest.begin, self.end_of(rest)
        if isinstance(self.schedule, OpenLoop):
            begin = first_rank_due(source.share, self.schedule, due_ns, rest.begin)
            begin = begin if end is None else min(begin, end)
            late_ms = (now_ns - rest.since_ns) // NS_PER_MS
            text = f"{rest.reason}; came due before another worker could have it ({late_ms} ms)"
            self._skip(source.key, begin - rest.begin, now_ns, text)
        if end is not None and begin >= end:
            return None
        division = Division(
            epoch=len(self.divisions) + 1,
            source_epoch=rest.epoch,
            source_owner=rest.owner,
            begin=begin,
            end=end,
            takers=tuple(heir.key for heir in takers),
            weights=tuple(heir.weight for heir in takers),
            revision=revision,
        )
        self._apply(division)
        return division

    def end_of(self, rest: Rest) -> int | None:
        """The first rank that is not of a rest any more; None without end."""
        return self.held[rest.epoch, rest.owner].size if rest.end is None else rest.end

    def give_up(self, now_ns: int, reason: str, older_than_ns: int | None = None) -> int:
        """Declare rests not run: all, or those that have waited since before a time.

        Returns:
            How many indices.
        """
        kept, count = [], 0
        for rest in self.rests:
            if older_than_ns is not None and rest.since_ns > older_than_ns:
                kept.append(rest)
                continue
            source, end = self.held[rest.epoch, rest.owner], self.end_of(rest)
            if end is not None:
                self._skip(source.key, end - rest.begin, now_ns, f"{rest.reason}; {reason}")
                count += end - rest.begin
        self.rests = kept
        return count

    def give_up_plan(self, now_ns: int, reason: str) -> None:
        """The run ends before anything was divided: nothing of it is run."""
        if not self.divisions and not self.not_run:
            self._skip(None, self.planned or 0, now_ns, reason)

    def owned(self, key: WorkerKey) -> int:
        """Indices that count for a worker; of a plan without a count those known to be started."""
        return sum(self._owned(held) for held in self.by_worker.get(key, ()))

    def _owned(self, held: HeldShare) -> int:
        return held.started if held.until is None or self.planned is None else held.until

    def shares(self, key: WorkerKey) -> tuple[Share, ...]:
        """All shares a worker was ever given, oldest first."""
        return tuple(held.share for held in self.by_worker.get(key, ()))

    def limits(self, key: WorkerKey) -> tuple[ShareLimit, ...]:
        """Of which of its shares a worker is to leave an end alone."""
        told = ((held.share.epoch, held.told_limit) for held in self.by_worker.get(key, ()))
        return tuple(ShareLimit(epoch=epoch, limit=limit) for epoch, limit in told if limit is not None)

    def open_of(self, key: WorkerKey) -> list[HeldShare]:
        """Shares a worker may still start something of, oldest first."""
        return [held for held in self.by_worker.get(key, ()) if held.is_open and held.place in self.open[key.agent]]

    def all_started(self, agent: str) -> bool:
        """Whether nothing is left that this agent's workers could start."""
        return not self.open.get(agent)

    def validate(self) -> None:
        """Check all invariants."""
        planned = self.planned
        if planned is not None and self.divisions:
            owned = sum(self._owned(held) for held in self.held.values())
            waiting = sum((self.end_of(rest) or 0) - rest.begin for rest in self.rests)
            idle = sum(piece.count for piece in self.not_run)
            assert owned + waiting + idle == planned, (
                f"{owned} owned + {waiting} waiting + {idle} not run, of {planned}"
            )
        for held in self.held.values():
            size = held.size
            assert held.until is None or held.started <= held.until, f"{held} started what is not its own"
            assert size is None or (held.until is not None and held.until <= size), f"{held} owns more than it has"
            assert not held.closed or held.until == held.started, f"{held} is closed and owns what it did not start"
        for agent, places in self.open.items():
            assert all(self.held[place].key.agent == agent for place in places), f"{agent}: foreign share"

    def _skip(self, key: WorkerKey | None, count: int, now_ns: int, reason: str) -> None:
        # Of a plan without a count nothing can be left over.
        if count > 0 and self.planned is not None:
            self.not_run.append(NotRun(key=key, count=count, at_ns=now_ns, reason=reason))

    def _mark(self, held: HeldShare) -> None:
        places = self.open.setdefault(held.key.agent, set())
        if held.is_open:
            places.add(held.place)
        else:
            places.discard(held.place)

    def _apply(self, division: Division) -> None:
        """Make the shares of a division and give them to their owners."""
        epoch, equal = division.epoch, (1,) * len(division.takers)
        if not division.source_epoch:
            shares = divide(epoch, self.planned, self.asked_slots, equal)
        else:
            source = self.held[division.source_epoch, division.source_owner].share
            if division.weights:
                slots = None if self.asked_slots is None else 0
                end = source.size() if division.end is None else division.end
                shares = divide_ranks(epoch, source, division.begin, end, division.weights, slots)
            else:
                shares = divide_rest(epoch, source, division.begin, equal)
        self.divisions.append(division)
        for owner, (key, share) in enumerate(zip(division.takers, shares, strict=True)):
            size = share.size()
            if size == 0:
                continue
            held = HeldShare(share=share, key=key, owner=owner, size=size, revision=division.revision, until=size)
            self.held[held.place] = held
            self.by_worker.setdefault(key, []).append(held)
            self._mark(held)

    def slots_before(self) -> tuple[SlotPlace, ...]:
        """Slots of each worker where none were granted apart: as many as its shares brought along, and were not taken."""
        found: dict[WorkerKey, SlotPlace] = {}
        for held in self.held.values():
            if held.share.slots and not held.closed and held.until == held.size:
                before = found.get(held.key)
                slots = held.share.slots + (before.bound if before else 0)
                found[held.key] = SlotPlace(key=held.key, asked=slots, bound=slots, raised=held.revision)
        return tuple(found.values())

    def places(self) -> tuple[SharePlace, ...]:
        """For the snapshot: shares that are not as their division left them."""
        return tuple(
            SharePlace(
                epoch=held.share.epoch,
                owner=held.owner,
                started=held.started,
                until=held.until,
                closed=held.closed,
                limit=-1 if held.limit is None else held.limit,
                heirs=held.heirs,
            )
            for held in self.held.values()
            if held.started or held.closed or held.limit is not None or held.until != held.size
        )

    def restore(
        self,
        divisions: Sequence[Division],
        places: Sequence[SharePlace],
        rests: Sequence[Rest],
        not_run: Sequence[NotRun],
    ) -> None:
        """Become what was saved; only right after construction."""
        for division in divisions:
            self._apply(division)
        for place in places:
            held = self.held[place.epoch, place.owner]
            held.started, held.until, held.closed = place.started, place.until, place.closed
            held.limit, held.heirs = None if place.limit < 0 else place.limit, place.heirs
            self._mark(held)
        self.rests = list(rests)
        self.not_run = list(not_run)
