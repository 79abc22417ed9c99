"""Stage 4/10 · When a worker starts which iteration: a pure function of its shares, the schedule and the time.

Rules: no clock and no sleep here. The worker asks; each answer is final: an index handed out is started (or dropped)
and never handed out again. How far each share is stands in `started`, which the worker writes to its marks before it
acts. What it will never start stands in `limit`: once it is there no later word brings it back, so that others can be
given the rest. Iterations in flight are counted over all shares and never exceed `slots`.

Closed loop: a slot asks for the next index, of the oldest share that has one. Open loop: the worker asks for all that is
due, and when to ask again; what comes due while all slots are taken is dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from osbench.common.plan import ClosedLoop, OpenLoop, Schedule
from osbench.common.share import Share


class Arrival(NamedTuple):
    """An iteration of an open loop that is due: dropped if the worker's part of the cap is full."""

    iteration: int
    scheduled_ns: int
    is_dropped: bool


@dataclass(slots=True)
class ShareState:
    """One share under way.

    Attributes:
        share: what is owned.
        started: rank of the next index: so many were started or dropped.
        limit: this rank and all after it are never started here, never below `started`; None where only the share ends.
        next_due_ns: when the next index is due on the agent's clock (open loop); None past the end.
    """

    share: Share
    started: int = 0
    limit: int | None = None
    next_due_ns: int | None = None

    def next_index(self) -> int | None:
        """The index that is next; None when none is left."""
        if self.limit is not None and self.started >= self.limit:
            return None
        return self.share.index(self.started)

    def bound(self, rank: int) -> None:
        """Nothing from this rank on is started, but what was already; a bound only falls."""
        limit = max(rank, self.started)
        self.limit = limit if self.limit is None else min(limit, self.limit)


@dataclass(slots=True, kw_only=True)
class Pacer:
    """The pacing of one worker in one run.

    Attributes:
        schedule: the plan's.
        start_ns: start of the run on the agent's clock.
        shares: in the order given. oldest: closed loop: place of the first that may have something left to start.
        slots: iterations that may be in flight at once; None for no bound.
        in_flight: iterations under way.
        is_draining: nothing more is started.
        lease_ns: nothing is started from this moment on; None for no such moment.
    """

    schedule: Schedule
    start_ns: int
    shares: list[ShareState] = field(default_factory=list)
    oldest: int = 0
    slots: int | None = None
    in_flight: int = 0
    is_draining: bool = False
    lease_ns: int | None = None

    def add(self, share: Share) -> ShareState:
        """Take a share over, once; its iterations are due from now on."""
        assert all(known.share.epoch != share.epoch for known in self.shares), f"epoch {share.epoch} was given before"
        state = ShareState(share)
        self.shares.append(state)
        self._find_due(state)
        return state

    def allow(self, slots: int | None) -> None:
        """So many iterations may be in flight; None: as many as the shares bring along."""
        if slots is None and self.shares:
            brought = [state.share.slots for state in self.shares]
            slots = None if None in brought else sum(count or 0 for count in brought)
        self.slots = slots

    def limit(self, epoch: int, rank: int) -> None:
        """Start nothing of a share from a rank on."""
        for state in self.shares:
            if state.share.epoch == epoch:
                state.bound(rank)
                self._find_due(state)

    def settle(self) -> None:
        """When nothing more is started, say so of each share: what is left of it can be given to others at once."""
        if self.is_draining:
            for state in self.shares:
                state.bound(state.started)

    @property
    def held(self) -> int | None:
        """No more than this is in flight, nor will be unless it is allowed anew; None for no bound."""
        if self.slots is None:
            return None
        return self.in_flight if self.is_draining else max(self.slots, self.in_flight)

    @property
    def idle_slots(self) -> int:
        """Closed loop: slots in which something can be started."""
        if self.is_draining:
            return 0
        free, found = (self.slots or 0) - self.in_flight, 0
        for state in self.shares:
            if found >= free:
                break
            if state.next_index() is not None:
                end = min((end for end in (state.limit, state.share.size()) if end is not None), default=None)
                found += free if end is None else end - state.started
        return max(min(free, found), 0)

    def next_in_slot(self, now_ns: int) -> tuple[ShareState, int] | None:
        """Closed loop: the index a free slot starts now; None when it has no more to do, or there is a slot too many.

        Whoever takes it starts it, and calls `ended` for it later.
        """
        assert isinstance(self.schedule, ClosedLoop), "only a closed loop has slots"
        if self._is_fenced(now_ns) or self._is_over(now_ns) or self._is_full:
            return None
        while self.oldest < len(self.shares):
            state = self.shares[self.oldest]
            index = state.next_index()
            if index is not None:
                state.started += 1
                self.in_flight += 1
                return state, index
            # A share that has no more never has again.
            self.oldest += 1
        return None

    def due(self, state: ShareState, now_ns: int) -> Iterator[Arrival]:
        """Open loop: what of a share is due by now, in order.

        Whoever takes an arrival that is not dropped starts it, and calls `ended` for it later.
        """
        while not self._is_fenced(now_ns) and state.next_due_ns is not None and state.next_due_ns <= now_ns:
            index = state.next_index()
            assert index is not None, "what is due has an index"
            arrival = Arrival(index, state.next_due_ns, self._is_full)
            state.started += 1
            self.in_flight += not arrival.is_dropped
            self._find_due(state)
            yield arrival

    def ended(self) -> None:
        """An iteration is over."""
        self.in_flight -= 1
        assert self.in_flight >= 0, "ended more than were started"

    def next_due_ns(self) -> int | None:
        """Open loop: when to ask again; None when all shares are at their end or nothing more is started."""
        if self.is_draining:
            return None
        return min((state.next_due_ns for state in self.shares if state.next_due_ns is not None), default=None)

    @property
    def _is_full(self) -> bool:
        return self.slots is not None and self.in_flight >= self.slots

    def _is_over(self, now_ns: int) -> bool:
        duration_ns = self.schedule.duration_ns if isinstance(self.schedule, ClosedLoop) else None
        return duration_ns is not None and now_ns - self.start_ns >= duration_ns

    def _is_fenced(self, now_ns: int) -> bool:
        """Nothing may be started; once it was so it stays so, for others may have been given what was left."""
        self.is_draining = self.is_draining or (self.lease_ns is not None and now_ns >= self.lease_ns)
        return self.is_draining

    def _find_due(self, state: ShareState) -> None:
        if not isinstance(self.schedule, OpenLoop):
            return
        index = state.next_index()
        state.next_due_ns = None if index is None else self.start_ns + self.schedule.intended_start_ns(index)
