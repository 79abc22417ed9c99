"""How many iterations each worker may have in flight: so that all together never have more than were asked.

Rules: a slot is given to a worker only when it is certain that nobody else uses it. What is asked back from a worker
counts as its own until it has said that it has no more in flight than what is left to it: iterations end when they end.

    grant       nobody's slots     -> a worker's; its next orders name them
    ask_back    the worker is told to do with fewer                           (nothing is free by that)
    hear        it has no more than so many in flight, and will not have more -> the others are nobody's
    release     it is gone, and so is what it had in flight                   -> all its slots are nobody's

What a worker says counts from the orders it acts on. A word that is older than orders which gave it more must not take
that away again, so `raised` remembers which those were; orders after them only ever asked for slots back.
"""

from collections.abc import Iterable, Mapping, Sequence

from osbench.coordinator.run_snapshot import SlotPlace, WorkerKey


class SlotBook:
    """The slots of a run.

    Args:
        total: as many as were asked for; None for no bound, and then there is nothing to keep.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        #: As its newest orders say.
        self.asked: dict[WorkerKey, int] = {}
        #: The worker has at most so many in flight, whatever orders reach it; never below `asked`.
        self.bound: dict[WorkerKey, int] = {}
        #: Revision of the newest orders that gave it more.
        self.raised: dict[WorkerKey, int] = {}

    @property
    def free(self) -> int:
        """Slots that nobody can be using."""
        return 0 if self.total is None else self.total - sum(self.bound.values())

    def of(self, key: WorkerKey) -> int:
        """How many a worker is to have."""
        return self.asked.get(key, 0)

    def is_settled(self, key: WorkerKey) -> bool:
        """Whether a worker has no slot any more that it was asked for."""
        return self.bound.get(key, 0) == self.asked.get(key, 0)

    def grant(self, key: WorkerKey, count: int, revision: int) -> None:
        """Give a worker free slots, from orders of this revision on."""
        assert 0 < count <= self.free, f"{count} slots are given, {self.free} are free"
        self.asked[key] = self.of(key) + count
        self.bound[key] = self.bound.get(key, 0) + count
        self.raised[key] = revision

    def ask_back(self, key: WorkerKey, left: int) -> None:
        """Let a worker have no more than `left`."""
        if key in self.asked:
            self.asked[key] = min(self.asked[key], left)

    def hear(self, key: WorkerKey, held: int, revision: int) -> bool:
        """A worker has no more than `held` in flight, acting on orders of this revision; whether that frees slots."""
        before = self.bound.get(key, 0)
        if held < 0 or revision < self.raised.get(key, 0) or max(held, self.of(key)) >= before:
            return False
        self.bound[key] = max(held, self.of(key))
        return True

    def release(self, key: WorkerKey) -> bool:
        """Nothing of a worker is in flight any more, nor will be; whether it had slots."""
        self.asked.pop(key, None)
        self.raised.pop(key, None)
        return bool(self.bound.pop(key, 0))

    def validate(self) -> None:
        """Check all invariants."""
        assert self.free >= 0, f"{sum(self.bound.values())} slots are given out, {self.total} are asked"
        assert self.asked.keys() == self.bound.keys() == self.raised.keys(), "a worker's slots are kept by halves"
        for key, asked in self.asked.items():
            assert 0 <= asked <= self.bound[key], f"{key}: {asked} asked, at most {self.bound[key]} in flight"

    def places(self) -> tuple[SlotPlace, ...]:
        """For the snapshot."""
        return tuple(
            SlotPlace(key=key, asked=asked, bound=self.bound[key], raised=self.raised[key])
            for key, asked in self.asked.items()
        )

    def restore(self, places: Iterable[SlotPlace]) -> None:
        """Become what was saved; only right after construction."""
        for place in places:
            self.asked[place.key], self.bound[place.key] = place.asked, place.bound
            self.raised[place.key] = place.raised


def fill(have: Mapping[WorkerKey, int], count: int) -> dict[WorkerKey, int]:
    """Give `count` slots to those who have fewest: how many each gets, in the order of `have` where they are equal.

    Args:
        have: slots of each who may get some, at least one. count: 0 or more.
    """
    order = sorted(have, key=lambda key: have[key])
    low, high = min(have.values()), max(have.values()) + count + 1
    # The highest level to which all can be filled up.
    while high - low > 1:
        middle = (low + high) // 2
        if sum(max(middle - have[key], 0) for key in order) <= count:
            low = middle
        else:
            high = middle
    given = {key: max(low - have[key], 0) for key in have}
    left = count - sum(given.values())
    for key in order[:left]:
        given[key] += 1
    return {key: number for key, number in given.items() if number}


def even_out(givers: Sequence[int], takers: Sequence[int]) -> tuple[list[int], list[int]]:
    """Move slots from those who have most to those who have fewest, until no move would make it more even.

    No giver is left with none, and none with fewer than a taker comes to.
    """
    if not givers or not takers:
        return list(givers), list(takers)
    # The highest level to which the takers can be filled by what the givers have above it.
    level, high = min(takers), max(givers) + 1
    while high - level > 1:
        middle = (level + high) // 2
        if sum(max(middle - slots, 0) for slots in takers) <= sum(max(slots - middle, 0) for slots in givers):
            level = middle
        else:
            high = middle
    poor = [max(slots, level) for slots in takers]
    rich = _lower(givers, sum(poor) - sum(takers))
    while max(rich) - min(poor) > 1:
        rich[rich.index(max(rich))] -= 1
        poor[poor.index(min(poor))] += 1
    return rich, poor


def _lower(have: Sequence[int], count: int) -> list[int]:
    """Take `count` slots from those who have most."""
    low, high = -1, max(have)
    # The lowest level down to which all can be cut.
    while high - low > 1:
        middle = (low + high) // 2
        if sum(max(slots - middle, 0) for slots in have) <= count:
            high = middle
        else:
            low = middle
    left = [min(slots, high) for slots in have]
    for _ in range(count - (sum(have) - sum(left))):
        left[left.index(max(left))] -= 1
    return left
