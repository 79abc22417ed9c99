"""Who owns which index of a run, from the first division to the last: the exact side of a run's state.

Rules: every index below the planned count is at each moment in exactly one place: owned by a worker, in a rest that
waits for somebody to take it, or declared not run. Nothing leaves its place but by one of the methods here.

    divide_plan     all indices                 -> owned
    close           what a worker did not start -> a rest        (its progress is exact and final)
    cut             what is due after a fence   -> a rest        (open loop, agent lost; see run_state)
    hand_out        rests                       -> owned by others, or not run where they came due meanwhile
    give_up         rests                       -> not run

A share is divided at most once: by `close` or by `cut`. What a worker owns and has no record of at the end is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from osbench.common.clock import NS_PER_MS
from osbench.common.messages import ShareProgress
from osbench.common.plan import ClosedLoop, OpenLoop, Schedule
from osbench.common.share import Share, divide, divide_rest
from osbench.coordinator.run_snapshot import Division, NotRun, Rest, SharePlace, WorkerKey


@dataclass(slots=True, kw_only=True)
class HeldShare:
    """A share and how far its owner is."""

    share: Share
    key: WorkerKey
    #: Position of the owner in its division.
    owner: int
    #: Orders of this revision or a later one name it.
    revision: int
    #: Ranks 0 … started - 1 were started, as far as is known; exactly these once closed. Never above `until`.
    started: int = 0
    #: Ranks [0, until) are the owner's; None without end. Only shrinks.
    until: int | None
    #: Nothing more is to be learnt of it: then until == started.
    closed: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """What names it: its division and its position in there."""
        return self.share.epoch, self.owner

    @property
    def is_open(self) -> bool:
        """Whether its owner may still start something of it."""
        return not self.closed and (self.until is None or self.started < self.until)

    @property
    def owned(self) -> int:
        """Indices that count for its owner; of a share without end those known to be started."""
        return self.started if self.until is None else self.until


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

    def advance(self, key: WorkerKey, progress: Sequence[ShareProgress]) -> int:
        """Take in how far a worker says it is.

        Returns:
            How many it started that were not its own any more: 0, or something is badly wrong.
        """
        started = {place.epoch: place.started for place in progress}
        overrun = 0
        for held in self.by_worker.get(key, ()):
            told = started.get(held.share.epoch, 0)
            bound = told if held.until is None else min(told, held.until)
            overrun += told - bound
            if not held.closed and bound > held.started:
                held.started = bound
                self._mark(held)
        return overrun

    def close(self, key: WorkerKey, now_ns: int, reason: str) -> None:
        """A worker is gone for good, and all its progress is known: what it did not start becomes a rest."""
        for held in self.by_worker.get(key, ()):
            if held.closed:
                continue
            if held.until is None or held.started < held.until:
                self._leave(held, now_ns, reason)
            held.closed, held.until = True, held.started
            self._mark(held)

    def _leave(self, held: HeldShare, now_ns: int, reason: str) -> None:
        """What is not started of a share leaves its owner."""
        if held.until == held.share.size():
            epoch, owner = held.place
            self.rests.append(Rest(epoch=epoch, owner=owner, begin=held.started, since_ns=now_ns, reason=reason))
        elif held.until is not None:
            # It was cut: what is left of it was due before the fence, so it is too late for it.
            self._skip(held.key, held.until - held.started, now_ns, "came due while its agent was cut off")

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
            size = held.share.size()
            if held.closed or held.until != size or held.revision > confirmed:
                continue
            begin = max(held.started, first_rank_due(held.share, self.schedule, due_ns, 0))
            if size is not None and begin < size:
                epoch, owner = held.place
                self.rests.append(Rest(epoch=epoch, owner=owner, begin=begin, since_ns=now_ns, reason=reason))
                held.until = begin
                self._mark(held)
                taken = True
        return taken

    def hand_out(self, takers: Sequence[WorkerKey], now_ns: int, due_ns: int, revision: int) -> list[Division]:
        """Divide all rests among workers.

        Args:
            takers: who can take something, at least one.
            now_ns: for the account.
            due_ns: what is due earlier would be late; it is not run. After the start of the run.
            revision: of the orders that will name the new shares.

        Returns:
            The divisions made.
        """
        made = []
        rests, self.rests = self.rests, []
        for rest in rests:
            source = self.held[rest.epoch, rest.owner]
            begin = rest.begin
            if isinstance(self.schedule, OpenLoop):
                begin = first_rank_due(source.share, self.schedule, due_ns, rest.begin)
                late_ms = (now_ns - rest.since_ns) // NS_PER_MS
                text = f"{rest.reason}; came due before another worker could have it ({late_ms} ms)"
                self._skip(source.key, begin - rest.begin, now_ns, text)
            size = source.share.size()
            if size is None or begin < size:
                made.append(
                    Division(
                        epoch=len(self.divisions) + 1,
                        source_epoch=rest.epoch,
                        source_owner=rest.owner,
                        begin=begin,
                        takers=tuple(sorted(takers, key=lambda key: self._load(key))),
                        revision=revision,
                    )
                )
                self._apply(made[-1])
        return made

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
            source = self.held[rest.epoch, rest.owner]
            size = source.share.size()
            if size is not None:
                self._skip(source.key, size - rest.begin, now_ns, f"{rest.reason}; {reason}")
                count += size - rest.begin
        self.rests = kept
        return count

    def give_up_plan(self, now_ns: int, reason: str) -> None:
        """The run ends before anything was divided: nothing of it is run."""
        if not self.divisions and not self.not_run:
            self._skip(None, self.planned or 0, now_ns, reason)

    def owned(self, key: WorkerKey) -> int:
        """Indices that count for a worker."""
        return sum(held.owned for held in self.by_worker.get(key, ()))

    def shares(self, key: WorkerKey) -> tuple[Share, ...]:
        """All shares a worker was ever given, oldest first."""
        return tuple(held.share for held in self.by_worker.get(key, ()))

    def all_started(self, agent: str) -> bool:
        """Whether nothing is left that this agent's workers could start."""
        return not self.open.get(agent)

    def validate(self) -> None:
        """Check all invariants."""
        planned = self.planned
        if planned is not None and self.divisions:
            owned = sum(held.owned for held in self.held.values())
            waiting = sum((self.held[r.epoch, r.owner].share.size() or 0) - r.begin for r in self.rests)
            idle = sum(piece.count for piece in self.not_run)
            assert owned + waiting + idle == planned, (
                f"{owned} owned + {waiting} waiting + {idle} not run, of {planned}"
            )
        for held in self.held.values():
            size = held.share.size()
            assert held.until is None or held.started <= held.until, f"{held} started what is not its own"
            assert size is None or (held.until is not None and held.until <= size), f"{held} owns more than it has"
            assert not held.closed or held.until == held.started, f"{held} is closed and owns what it did not start"
        if self.asked_slots is not None:
            live = sum(held.share.slots or 0 for held in self.held.values() if self._has_slots(held))
            assert live <= self.asked_slots, f"{live} slots are given out, {self.asked_slots} are asked"
        for agent, places in self.open.items():
            assert all(self.held[place].key.agent == agent for place in places), f"{agent}: foreign share"

    @staticmethod
    def _has_slots(held: HeldShare) -> bool:
        """Whether its slots are still its owner's: nothing was taken from it."""
        return not held.closed and held.until == held.share.size()

    def _load(self, key: WorkerKey) -> tuple[int, int]:
        """Slots and open shares of a worker, so that what cannot be divided evenly goes to who has least."""
        mine = [held for held in self.by_worker.get(key, ()) if held.is_open]
        return sum(held.share.slots or 0 for held in mine), len(mine)

    def _skip(self, key: WorkerKey | None, count: int, now_ns: int, reason: str) -> None:
        if count > 0:
            self.not_run.append(NotRun(key=key, count=count, at_ns=now_ns, reason=reason))

    def _mark(self, held: HeldShare) -> None:
        places = self.open.setdefault(held.key.agent, set())
        if held.is_open:
            places.add(held.place)
        else:
            places.discard(held.place)

    def _apply(self, division: Division) -> None:
        """Make the shares of a division and give them to their owners."""
        weights = (1,) * len(division.takers)
        if division.source_epoch:
            source = self.held[division.source_epoch, division.source_owner].share
            shares = divide_rest(division.epoch, source, division.begin, weights)
        else:
            shares = divide(division.epoch, self.planned, self.asked_slots, weights)
        self.divisions.append(division)
        for owner, (key, share) in enumerate(zip(division.takers, shares, strict=True)):
            size = share.size()
            if size == 0:
                continue
            held = HeldShare(share=share, key=key, owner=owner, revision=division.revision, until=size)
            self.held[held.place] = held
            self.by_worker.setdefault(key, []).append(held)
            self._mark(held)

    def places(self) -> tuple[SharePlace, ...]:
        """For the snapshot: shares that are not as their division left them."""
        return tuple(
            SharePlace(
                epoch=held.share.epoch,
                owner=held.owner,
                started=held.started,
                until=held.until,
                closed=held.closed,
            )
            for held in self.held.values()
            if held.started or held.closed or held.until != held.share.size()
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
            self._mark(held)
        self.rests = list(rests)
        self.not_run = list(not_run)
