"""Stage 4/10 · When a worker starts which iteration: a pure function of its shares, the schedule and the time.

Rules: no clock and no sleep here. The worker asks; each answer is final: an index handed out is started (or dropped)
and never handed out again. How far each share is stands in `started`, which the worker writes to its marks before it
acts.

Closed loop: a slot asks for its next index. Open loop: the worker asks for all that is due, and when to ask again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from osbench.common.plan import ClosedLoop, OpenLoop, Schedule
from osbench.common.share import Share


class Arrival(NamedTuple):
    """An iteration of an open loop that is due: dropped if the share's part of the cap is full."""

    iteration: int
    scheduled_ns: int
    is_dropped: bool


@dataclass(slots=True)
class ShareState:
    """One share under way.

    Attributes:
        share: what is owned.
        started: rank of the next index: so many were started or dropped.
        in_flight: iterations of this share under way.
        next_due_ns: when the next index is due on the agent's clock (open loop); None past the end.
    """

    share: Share
    started: int = 0
    in_flight: int = 0
    next_due_ns: int | None = None


@dataclass(slots=True, kw_only=True)
class Pacer:
    """The pacing of one worker in one run.

    Attributes:
        schedule: the plan's.
        start_ns: start of the run on the agent's clock.
        shares: in the order given.
        is_draining: nothing more is started.
        lease_ns: nothing is started from this moment on; None for no such moment.
    """

    schedule: Schedule
    start_ns: int
    shares: list[ShareState] = field(default_factory=list)
    is_draining: bool = False
    lease_ns: int | None = None

    def add(self, share: Share) -> ShareState:
        """Take a share over, once; its iterations are due from now on."""
        assert all(known.share.epoch != share.epoch for known in self.shares), f"epoch {share.epoch} was given before"
        state = ShareState(share)
        self.shares.append(state)
        self._find_due(state)
        return state

    def next_in_slot(self, state: ShareState, now_ns: int) -> int | None:
        """Closed loop: the index a free slot of this share starts now; None when the slot has no more to do."""
        assert isinstance(self.schedule, ClosedLoop), "only a closed loop has slots"
        if self._is_fenced(now_ns) or self._is_over(now_ns):
            return None
        index = state.share.index(state.started)
        if index is not None:
            state.started += 1
        return index

    def due(self, state: ShareState, now_ns: int) -> Iterator[Arrival]:
        """Open loop: what of a share is due by now, in order.

        Whoever takes an arrival that is not dropped starts it, and calls `ended` for it later.
        """
        while not self._is_fenced(now_ns) and state.next_due_ns is not None and state.next_due_ns <= now_ns:
            index = state.share.index(state.started)
            assert index is not None, "what is due has an index"
            arrival = Arrival(index, state.next_due_ns, self._is_full(state))
            state.started += 1
            state.in_flight += not arrival.is_dropped
            self._find_due(state)
            yield arrival

    def ended(self, state: ShareState) -> None:
        """Open loop: an iteration of this share is over."""
        state.in_flight -= 1
        assert state.in_flight >= 0, "ended more than were started"

    def next_due_ns(self) -> int | None:
        """Open loop: when to ask again; None when all shares are at their end or nothing more is started."""
        if self.is_draining:
            return None
        return min((state.next_due_ns for state in self.shares if state.next_due_ns is not None), default=None)

    def _is_over(self, now_ns: int) -> bool:
        duration_ns = self.schedule.duration_ns if isinstance(self.schedule, ClosedLoop) else None
        return duration_ns is not None and now_ns - self.start_ns >= duration_ns

    def _is_fenced(self, now_ns: int) -> bool:
        """Nothing may be started; once it was so it stays so, for others may have been given what was left."""
        self.is_draining = self.is_draining or (self.lease_ns is not None and now_ns >= self.lease_ns)
        return self.is_draining

    def _is_full(self, state: ShareState) -> bool:
        return state.share.slots is not None and state.in_flight >= state.share.slots

    def _find_due(self, state: ShareState) -> None:
        if not isinstance(self.schedule, OpenLoop):
            return
        index = state.share.index(state.started)
        state.next_due_ns = None if index is None else self.start_ns + self.schedule.intended_start_ns(index)
