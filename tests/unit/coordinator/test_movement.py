"""Shares that move between workers that live: who is told to leave what, and when others have it."""

import pytest
from unit.coordinator.run_fleet import Fleet, S, fleet, kinds_in, orders_in, plan

from osbench.common.messages import Orders, ShareLimit, ShareProgress, WorkerReport, WorkerShares
from osbench.common.plan import ClosedLoop, OpenLoop, RateStage, Schedule
from osbench.coordinator.run_events import AgentLost, SaveRun, SendPrepare, Ticked
from osbench.coordinator.run_snapshot import WorkerKey, pack_snapshot, unpack_snapshot
from osbench.coordinator.run_state import RunState

A, B, X = (WorkerKey(agent, 1, 0) for agent in "abx")
#: Three slots and 3,000 iterations for each of two workers; at 30 a second for each the run takes 100 s.
LOAD = ClosedLoop(concurrency=6, iterations=6_000)
ENDLESS = ClosedLoop(concurrency=6, duration_ns=100 * S)
ARRIVALS = OpenLoop(stages=(RateStage(numerator=10, denominator=1),), iterations=1_000)
#: Of a worker that started 300 in 10 s: six slots' worth, and what it starts in 3 s, twice.
MARGIN = 2 * (3 + 90)


def busy(
    *shares: tuple[int, int] | tuple[int, int, int], slots: int = -1, revision: int = 99, state: str = "running"
) -> WorkerReport:
    """A worker's report; of each share epoch, started and limit."""
    progress = tuple(
        ShareProgress(epoch=share[0], started=share[1], limit=share[2] if len(share) > 2 else -1) for share in shares
    )
    return WorkerReport(worker=0, state=state, shares=progress, slots=slots, revision=revision)


def under_way(schedule: Schedule = LOAD, started: int = 300) -> Fleet:
    """Both agents tell how far they are, ten seconds after the start nearly."""
    agents = fleet(schedule)
    agents.running()
    for agent in "ab":
        agents.report(agent, 11 * S, "running", busy((1, started), slots=3))
    return agents


def joined(schedule: Schedule = LOAD, started: int = 300) -> Fleet:
    """The same, and agent x is ready: the others are told to leave it something."""
    agents = under_way(schedule, started)
    agents.welcome("x", 11 * S)
    agents.report("x", 12 * S, "ready", busy(state="ready"))
    return agents


def entry(orders: Orders | None) -> WorkerShares:
    """Of an agent's only worker."""
    assert orders is not None
    return orders.shares[0]


def told(agents: Fleet, agent: str) -> WorkerShares:
    return entry(agents.state.parts[agent].orders)


def test_when_somebody_has_nothing_to_do_the_others_are_told_to_leave_an_end_and_some_slots() -> None:
    agents = joined()

    for agent in "ab":
        assert told(agents, agent).limits == (ShareLimit(epoch=1, limit=300 + MARGIN),)
        assert told(agents, agent).slots == 2
    assert len(agents.state.ledger.divisions) == 1


def test_nothing_is_given_to_anybody_before_its_owner_has_said_that_it_leaves_it() -> None:
    """The orders may never reach it."""
    agents = joined()

    agents.report("a", 13 * S, "running", busy((1, 330), slots=3))
    agents.report("b", 13 * S, "running", busy((1, 900), slots=3))

    assert len(agents.state.ledger.divisions) == 1
    assert agents.state.slots.free == 0


def test_what_an_owner_leaves_goes_to_it_and_to_the_idle_so_that_all_have_equally_long_to_go() -> None:
    """Of 5,400 that are left each has 1,800 for its two slots in the end."""
    agents = joined()

    said = agents.report("a", 13 * S, "running", busy((1, 330, 486), slots=2))

    assert isinstance(said[0], SaveRun)
    (division,) = agents.state.ledger.divisions[1:]
    assert (division.begin, division.end) == (486, 3_000)
    assert division.takers == (A, X)
    given = entry(orders_in(said)["x"].orders)
    (size,) = [share.size() or 0 for share in given.shares]
    assert given.slots == 1
    assert abs(size - 900) < 5
    assert [share.size() for share in told(agents, "a").shares] == [3_000, 2_514 - size]
    assert told(agents, "a").slots == 2


def test_indices_wait_for_the_slots_that_go_with_them() -> None:
    """Otherwise a worker would hold what it cannot start, and the run would not end before it could."""
    agents = joined()

    agents.report("a", 13 * S, "running", busy((1, 330, 486), slots=3))
    assert [rest.begin for rest in agents.state.ledger.rests] == [486]
    agents.report("a", 14 * S, "running", busy((1, 360, 486), slots=2))

    assert not agents.state.ledger.rests
    assert agents.state.slots.of(X) == 1


def test_what_waits_for_slots_too_long_goes_to_those_who_have_some() -> None:
    agents = joined()
    agents.report("a", 13 * S, "running", busy((1, 330, 486), slots=3))

    agents.tell(Ticked(now_ns=28 * S))

    (division,) = agents.state.ledger.divisions[1:]
    assert division.takers == (A,)


def test_a_word_that_is_older_than_the_slots_it_was_given_frees_nothing() -> None:
    agents = joined()
    raised = agents.state.slots.raised[A]

    agents.report("a", 13 * S, "running", busy((1, 330), slots=2, revision=raised - 1))

    assert agents.state.slots.free == 0


def test_an_owner_that_dies_before_it_said_so_has_left_what_its_marks_tell() -> None:
    agents = joined()

    agents.report("a", 13 * S, "running", busy((1, 700), state="died"))

    (division,) = agents.state.ledger.divisions[1:]
    assert (division.begin, division.end) == (700, 3_000)
    assert A not in division.takers


def test_an_owner_that_dies_after_it_said_so_has_left_the_rest_too() -> None:
    agents = joined()
    agents.report("a", 13 * S, "running", busy((1, 330, 486), slots=2))
    size = told(agents, "a").shares[1].size()

    agents.report("a", 14 * S, "running", busy((1, 400, 486), (2, 0), state="died"))

    ranges = {(division.source_epoch, division.begin, division.end) for division in agents.state.ledger.divisions[2:]}
    assert ranges == {(1, 400, 486), (2, 0, size)}


def test_of_an_owner_that_is_lost_before_it_said_so_nothing_is_given_away() -> None:
    agents = joined()

    agents.tell(AgentLost(now_ns=40 * S, agent="a"))
    assert len(agents.state.ledger.divisions) == 1
    agents.report("a", 50 * S, "draining", busy((1, 450, 450), slots=1, state="draining"))

    division = agents.state.ledger.divisions[-1]
    assert (division.begin, division.end) == (450, 3_000)
    assert A not in division.takers


def test_a_restarted_coordinator_asks_for_the_same_and_takes_what_it_gets() -> None:
    """What was said before is in the snapshot: it may have been obeyed already."""
    agents = joined()
    (save,) = [said for said in agents.said if isinstance(said, SaveRun)][-1:]
    snapshot = unpack_snapshot(pack_snapshot(save.snapshot))
    again = Fleet(RunState.restore(plan(LOAD), agents.state.settings, snapshot, 14 * S))
    again.state.validate()
    for agent in "abx":
        again.welcome(agent, 14 * S)
    again.report("x", 14 * S, "running", busy(revision=9))

    again.report("a", 15 * S, "running", busy((1, 340, 486), slots=2))

    assert told(again, "b").limits == (ShareLimit(epoch=1, limit=486),)
    (division,) = again.state.ledger.divisions[1:]
    assert (division.begin, division.takers) == (486, (A, X))


def test_a_limit_that_nobody_remembers_counts_all_the_same() -> None:
    """The worker has said that it starts nothing more of it."""
    agents = under_way()

    agents.report("a", 13 * S, "running", busy((1, 330, 400), slots=3))

    (division,) = agents.state.ledger.divisions[1:]
    assert (division.begin, division.end) == (400, 3_000)


def test_in_open_loop_the_cut_is_where_nothing_comes_due_on_the_way() -> None:
    agents = joined(ARRIVALS, 50)

    # 10 s after the start; the margin is 3 s: index 130 is the first that is due then, rank 65 of a.
    assert told(agents, "a").limits == (ShareLimit(epoch=1, limit=65),)
    said = agents.report("a", 13 * S, "running", busy((1, 53, 65)))

    assert [share.size() for share in entry(orders_in(said)["x"].orders).shares] == [150]
    assert not agents.state.ledger.not_run


def test_in_open_loop_what_came_due_before_the_owner_said_so_is_not_run() -> None:
    """Its own orders may have reached it at the last moment, and its word late."""
    agents = joined(ARRIVALS, 50)

    agents.report("a", 16 * S, "running", busy((1, 65, 65)))

    assert [piece.count for piece in agents.state.ledger.not_run] == [8]
    assert agents.state.ledger.divisions[1].begin == 73


def test_shares_without_end_are_interleaved_from_the_cut_on() -> None:
    agents = joined(ENDLESS)
    assert told(agents, "a").limits == (ShareLimit(epoch=1, limit=300 + MARGIN),)

    said = agents.report("a", 13 * S, "running", busy((1, 330, 486), slots=2))

    (share,) = entry(orders_in(said)["x"].orders).shares
    assert share.size() is None
    assert [share.index(rank) for rank in range(3)] == [2 * (486 + rank) for rank in (1, 3, 5)]


def test_nothing_is_moved_when_there_are_not_enough_slots_for_all() -> None:
    agents = joined(ClosedLoop(concurrency=2, iterations=6_000))

    assert told(agents, "a").limits == ()


@pytest.mark.parametrize("started", [2_800, 2_990])
def test_nothing_is_moved_when_little_is_left(started: int) -> None:
    agents = joined(started=started)

    assert "shares_moving" not in kinds_in(agents.said)


def test_nothing_more_is_moved_before_all_have_said_what_they_leave_and_some_time_has_passed() -> None:
    agents = joined()
    agents.report("a", 13 * S, "running", busy((1, 330, 486), slots=2))
    agents.welcome("y", 13 * S)
    agents.report("y", 13 * S, "ready", busy(state="ready"))
    agents.tell(Ticked(now_ns=30 * S))
    assert kinds_in(agents.said).count("shares_moving") == 1

    agents.report("b", 31 * S, "running", busy((1, 330, 486), slots=2))
    agents.tell(Ticked(now_ns=32 * S))

    assert kinds_in(agents.said).count("shares_moving") == 2
    assert agents.state.slots.of(WorkerKey("y", 1, 0)) == 0


def test_an_agent_that_comes_back_when_others_have_everything_gets_a_part_again() -> None:
    agents = under_way()
    agents.tell(AgentLost(now_ns=13 * S, agent="a"))
    said = agents.report("a", 20 * S, "ended", busy((1, 320, 320), slots=0, state="ended"))
    (prepare,) = [one for one in said if isinstance(one, SendPrepare)]
    assert agents.state.slots.of(B) == 6

    ready = WorkerReport(worker=1, state="ready")
    agents.report("a", 21 * S, "ready", busy((1, 320, 320), state="ended"), ready, revision=prepare.revision)

    assert told(agents, "b").slots == 3
    assert [bound.epoch for bound in told(agents, "b").limits] == [1, 2]


def test_in_a_large_fleet_nobody_collects_a_share_of_everybody() -> None:
    names = [chr(ord("A") + place) for place in range(40)]
    agents = fleet(ClosedLoop(concurrency=400, iterations=400_000), expected="".join(names))
    agents.running("".join(names))
    for name in names:
        agents.report(name, 11 * S, "running", busy((1, 1_000), slots=10))
    agents.welcome("x", 11 * S)
    agents.report("x", 12 * S, "ready", busy(state="ready"))
    givers = [name for name in names if told(agents, name).limits]

    for name in givers:
        slots, (bound,) = told(agents, name).slots, told(agents, name).limits
        agents.report(name, 13 * S, "running", busy((1, 1_100, bound.limit), slots=slots or 0))

    assert len(givers) == 8
    assert agents.state.slots.of(X) == 8
    assert len(told(agents, "x").shares) == 8


def test_who_has_no_more_than_its_due_gives_nothing() -> None:
    agents = fleet(LOAD)
    agents.running()
    agents.report("a", 11 * S, "running", busy((1, 2_000), slots=3))
    agents.report("b", 11 * S, "running", busy((1, 300), slots=3))
    agents.welcome("x", 11 * S)

    agents.report("x", 12 * S, "ready", busy(state="ready"))

    assert told(agents, "a").limits == ()
    assert told(agents, "b").limits


def test_the_long_end_of_one_worker_is_shared_though_the_others_have_nothing_left() -> None:
    """By the pace of all together it would soon be over; by that of its own slots it is not."""
    agents = fleet(LOAD)
    agents.running()
    agents.report("b", 11 * S, "running", busy((1, 300), slots=3))

    agents.report("a", 12 * S, "running", busy((1, 3_000), slots=3))

    assert [bound.epoch for bound in told(agents, "b").limits] == [1]
    assert told(agents, "b").slots == 3


def test_who_has_little_left_gives_slots_and_nothing_else() -> None:
    """Whoever is to take indices of another counts on them."""
    agents = fleet(LOAD)
    agents.running()
    agents.report("a", 11 * S, "running", busy((1, 1_650), slots=3))
    agents.report("b", 11 * S, "running", busy((1, 300), slots=3))
    agents.welcome("x", 11 * S)
    agents.report("x", 12 * S, "ready", busy(state="ready"))

    agents.report("a", 13 * S, "running", busy((1, 1_700), slots=2))
    agents.report("b", 13 * S, "running", busy((1, 330, told(agents, "b").limits[0].limit), slots=3))

    assert told(agents, "a").slots == 2
    assert (told(agents, "x").slots, len(told(agents, "x").shares)) == (1, 1)
