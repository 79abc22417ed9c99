"""The ledger: an index is always in exactly one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.clock import NS_PER_S
from osbench.common.messages import ShareLimit, ShareProgress
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage, Schedule
from osbench.coordinator.ledger import Ledger, first_rank_due
from osbench.coordinator.run_snapshot import Division, Heir, WorkerKey

KEYS = [WorkerKey("a", 1, 0), WorkerKey("b", 1, 0), WorkerKey("a", 1, 1), WorkerKey("b", 1, 1)]
TEN_A_SECOND = OpenLoop(stages=(RateStage(numerator=10, denominator=1),), iterations=40)


def ledger(schedule: Schedule, keys: list[WorkerKey]) -> Ledger:
    made = Ledger(schedule)
    made.divide_plan(keys, 1)
    return made


def hand_out_all(books: Ledger, takers: list[WorkerKey], due_ns: int = 0, revision: int = 2) -> list[Division]:
    """All rests, in equal parts."""
    heirs = [Heir(key, 1) for key in takers]
    made = [books.hand_out(rest, heirs, 0, due_ns, revision) for rest in list(books.rests)]
    return [division for division in made if division is not None]


def started(epoch: int, count: int) -> tuple[ShareProgress, ...]:
    return (ShareProgress(epoch=epoch, started=count),)


def test_the_rest_of_a_dead_worker_goes_to_the_others_by_weight() -> None:
    books = ledger(ClosedLoop(concurrency=4, iterations=40), KEYS[:2])
    books.advance(KEYS[0], started(1, 5), 0, "it leaves it")
    books.close(KEYS[0], 0, "a died")

    books.hand_out(books.rests[0], [Heir(KEYS[1], 2), Heir(KEYS[2], 1)], 0, 0, 2)

    books.validate()
    assert books.owned(KEYS[0]) == 5
    assert (books.owned(KEYS[1]), books.owned(KEYS[2])) == (30, 5)


def test_what_a_live_worker_is_told_to_leave_stays_its_own_until_it_says_that_it_leaves_it() -> None:
    books = ledger(ClosedLoop(concurrency=4, iterations=40), KEYS[:2])
    (held,) = books.by_worker[KEYS[0]]
    heirs = (Heir(KEYS[0], 1), Heir(KEYS[2], 1))

    books.limit(held, 8, heirs)
    books.advance(KEYS[0], started(1, 7), 0, "it leaves it")
    assert (books.rests, held.until, held.is_moving) == ([], 20, True)
    books.advance(KEYS[0], [ShareProgress(epoch=1, started=9, limit=9)], 0, "it leaves it")

    books.validate()
    (rest,) = books.rests
    assert (rest.begin, rest.end, rest.heirs) == (9, 20, heirs)
    assert (held.until, held.is_moving) == (9, False)


def test_a_share_may_be_left_bit_by_bit_and_each_bit_goes_its_own_way() -> None:
    books = ledger(ClosedLoop(concurrency=4, iterations=40), KEYS[:2])
    (held,) = books.by_worker[KEYS[0]]
    books.limit(held, 10, ())
    books.limit(held, 5, ())

    for limit in (10, 5, 5):
        books.advance(KEYS[0], [ShareProgress(epoch=1, started=3, limit=limit)], 0, "it leaves it")
        books.validate()

    assert [(rest.begin, rest.end) for rest in books.rests] == [(10, 20), (5, 10)]


def test_what_a_worker_left_and_what_it_did_not_start_when_it_died_are_not_the_same() -> None:
    books = ledger(ClosedLoop(concurrency=4, iterations=40), KEYS[:2])
    books.limit(books.by_worker[KEYS[0]][0], 10, ())
    books.advance(KEYS[0], [ShareProgress(epoch=1, started=3, limit=10)], 0, "it leaves it")

    books.advance(KEYS[0], started(1, 6), 0, "it leaves it")
    books.close(KEYS[0], 0, "a died")

    books.validate()
    assert [(rest.begin, rest.end) for rest in books.rests] == [(10, 20), (6, 10)]


def test_a_worker_that_dies_before_it_says_what_it_leaves_has_left_what_it_did_not_start() -> None:
    """Its marks decide, whatever it was told."""
    books = ledger(ClosedLoop(concurrency=4, iterations=40), KEYS[:2])
    books.limit(books.by_worker[KEYS[0]][0], 4, (Heir(KEYS[2], 1),))

    books.advance(KEYS[0], started(1, 6), 0, "it leaves it")
    books.close(KEYS[0], 0, "a died")

    (rest,) = books.rests
    assert (rest.begin, rest.end, rest.heirs) == (6, 20, ())


def test_a_share_without_end_is_left_from_a_rank_on() -> None:
    books = ledger(ClosedLoop(concurrency=2, duration_ns=NS_PER_S), KEYS[:2])
    books.limit(books.by_worker[KEYS[0]][0], 7, ())

    books.advance(KEYS[0], [ShareProgress(epoch=1, started=5, limit=7)], 0, "it leaves it")
    hand_out_all(books, [KEYS[0], KEYS[2]])

    books.validate()
    first, second = books.shares(KEYS[0])
    (moved,) = books.shares(KEYS[2])
    assert [second.index(0), moved.index(0), second.index(1)] == [14, 16, 18]
    assert books.limits(KEYS[0]) == (ShareLimit(epoch=1, limit=7),)
    assert first.size() is None


def test_what_came_due_before_anybody_could_have_it_is_not_run() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.advance(KEYS[0], started(1, 3), 0, "it leaves it")
    books.close(KEYS[0], 0, "a died")

    (division,) = hand_out_all(books, [KEYS[1]], 2 * NS_PER_S)

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
    books.advance(KEYS[0], started(1, 3), 0, "it leaves it")

    assert books.cut(KEYS[0], 2 * NS_PER_S, 1, 0, "a was lost")

    books.validate()
    assert books.owned(KEYS[0]) == 10
    assert not books.cut(KEYS[0], 3 * NS_PER_S, 1, 0, "a was lost again")


def test_a_share_that_may_still_be_under_way_to_a_lost_agent_is_not_touched() -> None:
    """It would reach the agent whole, and what was taken from it would run twice."""
    books = ledger(TEN_A_SECOND, KEYS[:2])

    assert not books.cut(KEYS[0], 2 * NS_PER_S, 0, 0, "a was lost")


def test_what_a_healed_agent_did_not_start_before_its_fence_is_not_run() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.cut(KEYS[0], 2 * NS_PER_S, 1, 0, "a was lost")
    hand_out_all(books, [KEYS[1]])
    books.advance(KEYS[0], started(1, 8), 0, "it leaves it")
    books.close(KEYS[0], 0, "a drained")
    hand_out_all(books, [KEYS[1]], 3 * NS_PER_S)

    books.validate()
    assert books.owned(KEYS[0]) == 8
    assert sum(piece.count for piece in books.not_run) == 2


def test_starting_what_was_given_away_is_told() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.cut(KEYS[0], 2 * NS_PER_S, 1, 0, "a was lost")

    assert books.advance(KEYS[0], started(1, 12), 0, "it leaves it") == 2


def test_a_restored_ledger_is_the_same() -> None:
    books = ledger(TEN_A_SECOND, KEYS[:2])
    books.advance(KEYS[0], started(1, 3), 0, "it leaves it")
    books.close(KEYS[0], 0, "a died")
    hand_out_all(books, KEYS[1:], NS_PER_S)
    books.advance(KEYS[1], started(2, 1), 0, "it leaves it")

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
            st.sampled_from(("advance", "close", "forget", "cut", "limit", "leave", "hand_out", "give_up")),
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
            books.advance(key, [ShareProgress(epoch=epoch, started=number) for epoch in range(1, 9)], 0, "it leaves it")
        elif what == "limit" and key not in gone:
            for held in books.open_of(key):
                if held.until is None or number < held.until:
                    books.limit(held, number, (Heir(KEYS[who - 1], 2), Heir(key, 1)))
        elif what == "leave" and key not in gone:
            obeyed = [
                ShareProgress(epoch=bound.epoch, started=min(number, bound.limit), limit=bound.limit)
                for bound in books.limits(key)
            ]
            books.advance(key, obeyed, 0, "it leaves it")
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
            hand_out_all(books, takers, number * NS_PER_S // 10, 1)
        elif what == "give_up":
            books.give_up(0, "over")

        books.validate()
        again = Ledger(schedule)
        again.restore(books.divisions, books.places(), books.rests, books.not_run)
        assert again.held == books.held


def test_a_plan_is_divided_once() -> None:
    books = ledger(TEN_A_SECOND, KEYS)

    with pytest.raises(AssertionError, match="divided once"):
        books.divide_plan(KEYS, 2)
