"""Stage 3/10 · Shares: which of the global indices a worker owns, exactly.

Rules: whole numbers only. All shares of one division together are the divided indices, nothing missing, nothing
twice, whatever the weights.

A division takes whole weights w_0 … w_{n-1} with the sum L and walks i = 0 … L-1: position i goes to the first worker,
heaviest first, whose count so far times L does not exceed i times its weight. Some worker always satisfies this (the
counts add up to i), and each ends with exactly its weight. Position p of what is divided belongs to the owner of
p mod L. This is the idea of k6's execution segments (k6 lib/execution_segment.go), made afresh.

What a worker did not start and will not is divided again, so a share is a chain of divisions: each level divides the
ranks [begin, end) of the level before it, and the first divides the indices of the run themselves. What a share loses
is always an end of it: from some rank on all of it, so that whoever owns it needs one number to know what is left to it.

Slots (closed loop) and the cap on iterations in flight (open loop) are divided before the indices, and the indices in
proportion to them: a worker without a slot gets no index, and the fleet's peak in flight is what was asked. Slots belong
to workers and not to shares: a worker takes the next index of any of its shares into any of its slots.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import gcd

import msgspec

#: Largest sum of weights of one division, after they were reduced by their common divisor.
MAX_PERIOD = 1_000_000
#: Shares a worker may be given in one run.
MAX_SHARES = 240


@lru_cache(maxsize=256)
def pattern(weights: tuple[int, ...]) -> tuple[int, ...]:
    """The owner of each position of one period.

    Args:
        weights: whole numbers, 0 or more, at least one above 0.

    Returns:
        Owners, as long as the sum of the weights reduced by their common divisor.
    """
    assert min(weights) >= 0, f"weights {weights}: none may be negative"
    assert max(weights) > 0, f"weights {weights} divide nothing"
    divisor = gcd(*weights)
    reduced = [weight // divisor for weight in weights]
    period = sum(reduced)
    assert period <= MAX_PERIOD, f"weights {weights} repeat only after {period}, at most {MAX_PERIOD}"
    heaviest_first = sorted((owner for owner, weight in enumerate(reduced) if weight), key=lambda o: (-reduced[o], o))
    counts = [0] * len(reduced)
    owners = []
    for position in range(period):
        owner = next(o for o in heaviest_first if counts[o] * period <= position * reduced[o])
        counts[owner] += 1
        owners.append(owner)
    return tuple(owners)


@lru_cache(maxsize=1024)
def _positions(weights: tuple[int, ...], owner: int) -> tuple[int, tuple[int, ...]]:
    """The period, and an owner's positions in it."""
    owners = pattern(weights)
    return len(owners), tuple(position for position, o in enumerate(owners) if o == owner)


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One division: of the ranks [begin, end) of the level before, by weights; this share is that of `owner`.

    `end` None: no end, in a run that only its duration ends.
    """

    weights: tuple[int, ...]
    owner: int
    begin: int = 0
    end: int | None = None

    def outer_rank(self, rank: int) -> int | None:
        """Rank in the level before of this owner's `rank`-th member; None past the end."""
        period, positions = _positions(self.weights, self.owner)
        if not positions:
            return None
        round_, within = divmod(rank, len(positions))
        outer = self.begin + round_ * period + positions[within]
        return None if self.end is not None and outer >= self.end else outer

    def size(self) -> int | None:
        """How many members; None without end."""
        period, positions = _positions(self.weights, self.owner)
        if not positions:
            return 0
        if self.end is None:
            return None
        rounds, rest = divmod(max(self.end - self.begin, 0), period)
        return rounds * len(positions) + sum(position < rest for position in positions)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker owns by one division.

    Attributes:
        epoch: number of the division, from 1; later ones divide what a lost worker left.
        levels: the chain, outermost first.
        slots: by how many iterations in flight its worker may have more with it, where orders do not say how many it may
            have in all; None in an open loop without a cap.
    """

    epoch: int
    levels: tuple[Level, ...]
    slots: int | None

    def index(self, rank: int) -> int | None:
        """Global index of this share's `rank`-th iteration, from 0; None past the end."""
        position = rank
        for level in reversed(self.levels):
            outer = level.outer_rank(position)
            if outer is None:
                return None
            position = outer
        return position

    def size(self) -> int | None:
        """How many indices; None without end."""
        return self.levels[-1].size()

    def indices(self, first_rank: int = 0) -> Iterator[int]:
        """The indices from a rank on, ascending."""
        rank = first_rank
        while (index := self.index(rank)) is not None:
            yield index
            rank += 1


def divide(epoch: int, iterations: int | None, slots: int | None, weights: Sequence[int]) -> tuple[Share, ...]:
    """The first division of a run.

    Args:
        epoch: its number.
        iterations: indices 0 … iterations - 1 are divided; None without end.
        slots: concurrency (closed loop) or cap on iterations in flight (open loop); None for no cap.
        weights: one for each worker.

    Returns:
        One share for each worker, in order.
    """
    return _shares(epoch, (), 0, iterations, slots, weights)


def divide_rest(epoch: int, rest: Share, started: int, weights: Sequence[int]) -> tuple[Share, ...]:
    """Divide what its owner left of a share: all ranks from `started` on, and its slots.

    Args:
        epoch: number of the new division.
        rest: the share of a worker that is gone for certain.
        started: how many of its indices were started, so the first rank that was not.
        weights: one for each worker that takes over.
    """
    return _shares(epoch, rest.levels, started, rest.size(), rest.slots, weights)


def divide_ranks(
    epoch: int, source: Share, begin: int, end: int | None, weights: Sequence[int], slots: int | None
) -> tuple[Share, ...]:
    """Divide the ranks [begin, end) of a share, whose owner starts none of them.

    Args:
        epoch: number of the new division.
        source: the share they are of. begin, end: which; end None for all from `begin` on, in a run without end.
        weights: one for each taker, whole numbers, at least one above 0.
        slots: what each new share brings along.
    """
    return tuple(
        Share(
            epoch=epoch,
            levels=(*source.levels, Level(weights=tuple(weights), owner=owner, begin=begin, end=end)),
            slots=slots,
        )
        for owner in range(len(weights))
    )


def _shares(
    epoch: int,
    outer: tuple[Level, ...],
    begin: int,
    end: int | None,
    slots: int | None,
    weights: Sequence[int],
) -> tuple[Share, ...]:
    parts = divide_slots(slots, weights) if slots is not None else None
    inner = tuple(weights) if parts is None else parts
    return tuple(
        Share(
            epoch=epoch,
            levels=(*outer, Level(weights=inner, owner=owner, begin=begin, end=end)),
            slots=None if parts is None else parts[owner],
        )
        for owner in range(len(weights))
    )


def divide_slots(slots: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Stripe slots over workers: exact, and spread as the pattern of the weights spreads them.

    Five slots on four equal workers are 2 + 1 + 1 + 1.
    """
    owners = pattern(tuple(weights))
    rounds, rest = divmod(slots, len(owners))
    parts = [0] * len(weights)
    for position, owner in enumerate(owners):
        parts[owner] += rounds + (position < rest)
    return tuple(parts)
