"""Slots: no more are ever out than were asked for, whatever words cross each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.coordinator.run_snapshot import WorkerKey
from osbench.coordinator.slots import SlotBook, even_out, fill

A, B, C = (WorkerKey(agent, 1, 0) for agent in "abc")


def book(total: int = 10, **given: int) -> SlotBook:
    """Slots of a, b and c, given by orders 1."""
    made = SlotBook(total)
    for agent, count in given.items():
        made.grant(WorkerKey(agent, 1, 0), count, 1)
    return made


def test_slots_that_are_asked_back_are_not_free_before_the_worker_has_said_so() -> None:
    slots = book(a=10)

    slots.ask_back(A, 4)
    assert (slots.of(A), slots.free, slots.is_settled(A)) == (4, 0, False)
    assert slots.hear(A, 7, 2)
    assert (slots.free, slots.is_settled(A)) == (3, False)
    slots.hear(A, 4, 2)

    assert (slots.free, slots.is_settled(A)) == (6, True)


def test_a_word_from_before_a_worker_was_given_more_frees_nothing() -> None:
    """It has yet to see the orders that give it more, and will use them."""
    slots = book(a=3)
    slots.grant(A, 4, 5)
    slots.ask_back(A, 1)

    assert not slots.hear(A, 3, 4)
    assert slots.free == 3
    assert slots.hear(A, 2, 5)

    assert slots.free == 8


def test_a_worker_keeps_what_it_is_to_have_though_it_uses_less() -> None:
    slots = book(a=6)

    assert not slots.hear(A, 2, 1)
    assert slots.free == 4


def test_a_worker_that_does_not_know_its_slots_keeps_them() -> None:
    slots = book(a=6)
    slots.ask_back(A, 0)

    assert not slots.hear(A, -1, 9)


def test_all_slots_of_a_worker_that_is_gone_are_free() -> None:
    slots = book(a=6, b=2)
    slots.ask_back(A, 1)

    assert slots.release(A)
    assert (slots.free, slots.of(A), slots.release(A)) == (8, 0, False)
    slots.validate()


def test_a_load_without_a_bound_has_no_slots_to_give() -> None:
    assert SlotBook(None).free == 0


def test_a_restored_book_is_the_same() -> None:
    slots = book(a=6, b=2)
    slots.ask_back(A, 1)

    again = SlotBook(10)
    again.restore(slots.places())

    again.validate()
    assert (again.asked, again.bound, again.raised) == (slots.asked, slots.bound, slots.raised)


@pytest.mark.parametrize(
    ("have", "count", "given"),
    [
        ({A: 0, B: 3, C: 3}, 2, {A: 2}),
        ({A: 0, B: 3, C: 3}, 6, {A: 4, B: 1, C: 1}),
        ({A: 5, B: 5}, 5, {A: 3, B: 2}),
        ({A: 5}, 0, {}),
    ],
)
def test_free_slots_go_to_who_has_fewest(have: dict[WorkerKey, int], count: int, given: dict[WorkerKey, int]) -> None:
    assert fill(have, count) == given


@pytest.mark.parametrize(
    ("givers", "takers", "after"),
    [
        ([6, 6], [0], ([4, 4], [4])),
        ([2, 1, 1, 1], [0], ([1, 1, 1, 1], [1])),
        ([1, 1], [0, 0], ([1, 1], [0, 0])),
        ([3, 1], [4], ([3, 1], [4])),
        ([], [0], ([], [0])),
    ],
)
def test_slots_are_evened_out_and_no_giver_is_left_with_none(
    givers: list[int], takers: list[int], after: tuple[list[int], list[int]]
) -> None:
    assert even_out(givers, takers) == after


@given(st.lists(st.integers(0, 500), max_size=8), st.lists(st.integers(0, 500), max_size=8))
def test_evening_out_neither_makes_slots_nor_loses_any(givers: list[int], takers: list[int]) -> None:
    rich, poor = even_out(givers, takers)

    assert sum(rich) + sum(poor) == sum(givers) + sum(takers)
    assert not (rich and poor) or max(rich) - min(poor) < 2
    assert all(after <= before for before, after in zip(givers, rich, strict=True))
    assert all(after or not before for before, after in zip(givers, rich, strict=True))


@given(st.dictionaries(st.sampled_from((A, B, C)), st.integers(0, 50), min_size=1), st.integers(0, 200))
def test_all_that_is_given_is_given_and_nobody_who_has_more_is_before_one_who_has_less(
    have: dict[WorkerKey, int], count: int
) -> None:
    given = fill(have, count)

    assert sum(given.values()) == count
    after = {key: number + given.get(key, 0) for key, number in have.items()}
    assert all(after[key] <= min(after.values()) + 1 for key in given)


class Hand:
    """A worker that obeys orders in their order, and says what it holds."""

    def __init__(self) -> None:
        self.slots = self.in_flight = self.revision = 0

    def obey(self, revision: int, slots: int) -> None:
        if revision > self.revision:
            self.revision, self.slots = revision, slots

    @property
    def held(self) -> int:
        return max(self.slots, self.in_flight)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("grant", "ask", "start", "end", "obey", "say", "hear")),
            st.integers(0, 2),
            st.integers(0, 9),
        ),
        max_size=120,
    )
)
def test_whatever_is_late_or_doubled_no_more_are_in_flight_than_were_asked(
    steps: list[tuple[str, int, int]],
) -> None:
    """Orders and words wait on the way, come again, or never come; each worker heeds only newer orders."""
    slots, hands = SlotBook(7), {key: Hand() for key in (A, B, C)}
    orders: dict[WorkerKey, list[tuple[int, int]]] = {key: [] for key in hands}
    words: dict[WorkerKey, list[tuple[int, int]]] = {key: [] for key in hands}
    heard = dict.fromkeys(hands, 0)
    revision = 0
    for what, who, number in steps:
        key = (A, B, C)[who]
        hand = hands[key]
        if what == "grant" and slots.free:
            revision += 1
            slots.grant(key, min(number % 4 + 1, slots.free), revision)
            orders[key].append((revision, slots.of(key)))
        elif what == "ask":
            revision += 1
            slots.ask_back(key, number)
            orders[key].append((revision, slots.of(key)))
        elif what == "start" and hand.in_flight < hand.slots:
            hand.in_flight += 1
        elif what == "end" and hand.in_flight:
            hand.in_flight -= 1
        elif what == "obey" and orders[key]:
            hand.obey(*orders[key][-1 - number % len(orders[key])])
        elif what == "say":
            words[key].append((hand.held, hand.revision))
        elif what == "hear" and heard[key] < len(words[key]):
            # Words may be lost, but none is heeded after a later one.
            heard[key] += 1 + number % (len(words[key]) - heard[key])
            slots.hear(key, *words[key][heard[key] - 1])
        slots.validate()
        assert all(hand.in_flight <= slots.bound.get(key, 0) for key, hand in hands.items())
        assert sum(hand.in_flight for hand in hands.values()) <= 7
