"""The ledger: an index is always in exactly one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.clock import NS_PER_S
from osbench.common.messages import ShareProgress
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage, Schedule
from osbench.coordinator.ledger import Ledger, first_rank_due
from osbench.coordinator.run_snapshot import WorkerKey

KEYS = [WorkerKey("a", 1, 0), WorkerKey("b", 1, 0), WorkerKey("a", 1, 1), WorkerKey("b", 1, 1)]
TEN_A_SECOND = OpenLoop(stages=(RateStage(numerator=10, denominator=1),), iterations=40)


def ledger(schedule: Schedule, keys: list[WorkerKey]) -> Ledger:
    made = Ledger(schedule)
    made.divide_plan(keys, 1)
    return made


def started(epoch: int, count: int) -> tuple[ShareProgress, ...]:
    return (ShareProgress(epoch=epoch, started=count),)


def test_the_rest_of_a_dead_worker_goes_to_the_others_with_its_slots() -> None:
    books = ledger(ClosedLoop(concurrency=4, iterations=40), KEYS[:2])
    books.advance(KEYS[0], started(1, 5))
    books.close(KEYS[0], 0, "a died")

    books.hand_out(KEYS[1:3], 0, 0, 2)

    books.validate()
    assert books.owned(KEYS[0]) == 5
    assert books.owned(KEYS[1]) + books.owned(KEYS[2]) == 35
    assert sum(share.slots or 0 for key in KEYS[1:3] for share in books.shares(key)) == 4


def test_who_has_least_to_do_is_first_to_take_a_slot_that_cannot_be_shared() -> None:
    books = ledger(ClosedLoop(concurrency=3, iterations=30), KEYS[:2])
    books.close(KEYS[1], 0, "b died")

    books.hand_out([KEYS[0], KEYS[2]], 0, 0, 2)

    assert [share.slots for share in books.shares(KEYS[0])] == [2]
    assert [share.slots for share in books.shares(KEYS[2])] == [1]


def test_what_came_due_before_anybody_could_have_it_is_not_run() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.advance(KEYS[0], started(1, 3))
    books.close(KEYS[0], 0, "a died")

    (division,) = books.hand_out([KEYS[1]], 0, 2 * NS_PER_S, 2)

    books.validate()
    assert division.begin == 10
    assert [(piece.key, piece.count) for piece in books.not_run] == [(KEYS[0], 7)]
    assert books.owned(KEYS[1]) == 30


def test_the_first_rank_that_is_due_is_found_on_both_sides_of_the_edge() -> None:
    share = ledger(TEN_A_SECOND, KEYS[:2]).shares(KEYS[1])[0]

    assert first_rank_due(share, TEN_A_SECOND, NS_PER_S // 10, 0) == 0
    assert first_rank_due(share, TEN_A_SECOND, NS_PER_S // 10 + 1, 0) == 1
    assert first_rank_due(share, TEN_A_SECOND, 99 * NS_PER_S, 0) == 20
    assert first_rank_due(share, TEN_A_SECOND, 0, 7) == 7


def test_a_lost_agent_keeps_what_was_due_before_its_fence() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.advance(KEYS[0], started(1, 3))

    assert books.cut(KEYS[0], 2 * NS_PER_S, 1, 0, "a was lost")

    books.validate()
    assert books.owned(KEYS[0]) == 10
    assert not books.cut(KEYS[0], NS_PER_S, 1, 0, "a was lost again")


def test_a_share_that_may_still_be_under_way_to_a_lost_agent_is_not_touched() -> None:
    """It would reach the agent whole, and what was taken from it would run twice."""
    books = ledger(TEN_A_SECOND, KEYS[:2])

    assert not books.cut(KEYS[0], 2 * NS_PER_S, 0, 0, "a was lost")


def test_what_a_healed_agent_did_not_start_before_its_fence_is_not_run() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.cut(KEYS[0], 2 * NS_PER_S, 1, 0, "a was lost")
    books.hand_out([KEYS[1]], 0, 0, 2)
    books.advance(KEYS[0], started(1, 8))
    books.close(KEYS[0], 0, "a drained")

    books.validate()
    assert books.owned(KEYS[0]) == 8
    assert sum(piece.count for piece in books.not_run) == 2


def test_starting_what_was_given_away_is_told() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.cut(KEYS[0], 2 * NS_PER_S, 1, 0, "a was lost")

    assert books.advance(KEYS[0], started(1, 12)) == 2


def test_a_restored_ledger_is_the_same() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.advance(KEYS[0], started(1, 3))
    books.close(KEYS[0], 0, "a died")
    books.hand_out(KEYS[1:], 0, NS_PER_S, 2)
    books.advance(KEYS[1], started(2, 1))

    again = Ledger(TEN_A_SECOND)
    again.restore(books.divisions, books.places(), books.rests, books.not_run)

    again.validate()
    assert again.held == books.held
    assert {agent: places for agent, places in again.open.items() if places} == {
        agent: places for agent, places in books.open.items() if places
    }


@given(
    st.sampled_from(
        (
            ClosedLoop(concurrency=5, iterations=50),
            ClosedLoop(concurrency=1, iterations=7),
            TEN_A_SECOND,
            OpenLoop(stages=TEN_A_SECOND.stages, iterations=40, max_in_flight=3),
        )
    ),
    st.lists(
        st.tuples(
            st.sampled_from(("advance", "close", "forget", "cut", "hand_out", "give_up")),
            st.integers(0, 3),
            st.integers(0, 25),
        ),
        max_size=25,
    ),
)
def test_whatever_happens_the_books_add_up(schedule: Schedule, steps: list[tuple[str, int, int]]) -> None:
    """The exactness of every account stands on this."""
    books = ledger(schedule, KEYS)
    gone: set[WorkerKey] = set()
    for what, who, number in steps:
        key = KEYS[who]
        takers = [key for key in KEYS if key not in gone]
        if what == "advance" and key not in gone:
            books.advance(key, [ShareProgress(epoch=epoch, started=number) for epoch in range(1, 9)])
        elif what == "close":
            books.close(key, 0, "it died")
            gone.add(key)
        elif what == "forget":
            books.forget(key)
            gone.add(key)
        elif what == "cut" and isinstance(schedule, OpenLoop):
            books.cut(key, number * NS_PER_S // 10, 1, 0, "it was lost")
            gone.add(key)
        elif what == "hand_out" and takers:
            books.hand_out(takers, 0, number * NS_PER_S // 10, 1)
        elif what == "give_up":
            books.give_up(0, "over")

        books.validate()


def test_a_plan_is_divided_once() -> None:
    books = ledger(TEN_A_SECOND, KEYS)

    with pytest.raises(AssertionError, match="divided once"):
        books.divide_plan(KEYS, 2)
