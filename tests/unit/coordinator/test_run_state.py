"""A run's state, by trace: when it starts, what it divides, how it ends, and how it is aborted."""

import pytest
from msgspec.structs import replace
from unit.coordinator.run_fleet import (
    NOISE,
    OPEN,
    Fleet,
    S,
    ended,
    fleet,
    kinds_in,
    orders_in,
    run_state,
    worker,
)
from unit.playbook import Playbook

from osbench.common.messages import LostBatches, PastWorker, RunReport
from osbench.common.plan import ClosedLoop
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.run_events import (
    AgentWelcomed,
    AnnouncePhase,
    BatchRejected,
    DrainRequested,
    FinishRun,
    JobBuilt,
    NoteEvent,
    ReportReceived,
    RunPhase,
    SaveRun,
    SendPrepare,
    StopRequested,
    Ticked,
)

# Starting


def test_an_agent_gets_the_job_when_it_is_welcomed_and_again_until_it_has_it() -> None:
    assert (
        Playbook(run_state(expected="a"), ignore=NOISE)
        >> JobBuilt(now_ns=0)
        << AnnouncePhase(phase=RunPhase.PREPARING)
        >> AgentWelcomed(now_ns=0, agent="a", life=1, workers=2)
        << SendPrepare(agent="a", life=1, revision=1)
        >> Ticked(now_ns=S - 1)
        << None
        >> Ticked(now_ns=S)
        << SendPrepare(agent="a", life=1, revision=1)
        >> Ticked(now_ns=3 * S - 1)
        << None
        >> Ticked(now_ns=3 * S)
        << SendPrepare(agent="a", life=1, revision=1)
    )


def test_agents_start_together_two_seconds_after_the_last_one_is_ready() -> None:
    agents = fleet()
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)
    agents.welcome("b", 0)
    assert not orders_in(agents.report("a", S, "ready", worker("ready")))

    sent = orders_in(agents.report("b", 5 * S, "ready", worker("ready")))

    assert {agent: send.orders.start_ns for agent, send in sent.items()} == {"a": 7 * S, "b": 7 * S}
    assert {send.orders.goal for send in sent.values()} == {"run"}
    slots = [share.slots for send in sent.values() for entry in send.orders.shares for share in entry.shares]
    assert slots == [1, 1]


def test_the_start_is_ten_times_the_worst_clock_error_away() -> None:
    agents = fleet(expected="a")
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)

    agents.report("a", S, "ready", worker("ready"), error_ns=S)

    assert agents.state.start_ns == 11 * S


def test_an_agent_whose_clock_is_not_known_is_waited_for() -> None:
    agents = fleet(expected="a")
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)

    agents.report("a", S, "ready", worker("ready"), error_ns=-1)

    assert agents.state.phase is RunPhase.PREPARING


def test_with_enough_agents_the_run_starts_when_waiting_is_over() -> None:
    agents = fleet(min_agents=1)
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)
    agents.report("a", S, "ready", worker("ready"))
    assert agents.tell(Ticked(now_ns=60 * S - 1)) == []

    said = agents.tell(Ticked(now_ns=60 * S))

    assert agents.state.phase is RunPhase.ARMING
    assert kinds_in(said) == ["agent_late"]


def test_with_too_few_agents_the_run_is_aborted_and_names_who_is_missing() -> None:
    agents = fleet()
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)
    agents.report("a", S, "ready", worker("ready"))

    agents.tell(Ticked(now_ns=60 * S))

    assert agents.state.aborted == "1 of 2 agents are ready, at least 2 are asked; not ready: b"


def test_agents_that_cannot_prepare_end_the_waiting_at_once() -> None:
    agents = fleet(min_agents=1)
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)
    agents.welcome("b", 0)
    agents.report("b", S, "failed", worker("died", error="unknown scenario"))

    agents.report("a", S, "ready", worker("ready"))

    assert agents.state.phase is RunPhase.ARMING


def test_slots_go_to_many_hosts_before_they_go_to_many_cores() -> None:
    agents = fleet()
    agents.tell(JobBuilt(now_ns=0))
    both = (worker("ready"), worker("ready", number=1))
    for agent in "ab":
        agents.welcome(agent, 0)
        agents.report(agent, 0, "ready", *both)

    owners = [division.takers for division in agents.state.ledger.divisions]

    assert [[key.agent for key in takers] for takers in owners] == [["a", "b", "a", "b"]]


# Running


def test_orders_are_sent_again_until_a_report_shows_them() -> None:
    agents = fleet()
    agents.ready()
    sent = agents.state.parts["a"].orders
    assert sent is not None
    assert not orders_in(agents.tell(Ticked(now_ns=S - 1)))

    assert orders_in(agents.tell(Ticked(now_ns=S)))["a"].orders == sent
    agents.report("a", S + 1, "armed", worker("running"))

    assert set(orders_in(agents.tell(Ticked(now_ns=4 * S)))) == {"b"}


def test_when_all_is_started_the_workers_are_told_to_drain() -> None:
    agents = fleet()
    agents.running()
    agents.report("a", 3 * S, "running", worker("running", 5))
    assert agents.phase() is RunPhase.RUNNING

    sent = orders_in(agents.report("b", 3 * S, "running", worker("running", 5)))

    assert agents.state.phase is RunPhase.DRAINING
    assert {agent: send.orders.goal for agent, send in sent.items()} == {"a": "drain", "b": "drain"}


def test_a_run_by_duration_is_drained_when_its_time_is_over() -> None:
    agents = fleet(ClosedLoop(concurrency=2, duration_ns=10 * S))
    agents.running()
    agents.tell(Ticked(now_ns=12 * S - 1))
    assert agents.phase() is RunPhase.RUNNING

    agents.tell(Ticked(now_ns=12 * S))

    assert agents.state.phase is RunPhase.DRAINING


def test_the_rest_of_a_dead_worker_is_given_to_the_others_and_saved_before_they_are_told() -> None:
    """Otherwise a coordinator that dies in between would divide it again, and its indices would run twice."""
    agents = fleet()
    agents.running()

    said = agents.report("a", 3 * S, "running", worker("died", 2, error="killed by signal 9"))

    assert isinstance(said[0], SaveRun)
    (division,) = said[0].snapshot.divisions[1:]
    assert (division.source_epoch, division.begin) == (1, 2)
    (entry,) = orders_in(said)["b"].orders.shares
    assert [share.size() for share in entry.shares] == [5, 3]
    assert kinds_in(said) == ["worker_died", "rest_divided"]


def test_a_rest_waits_for_a_replacement_but_not_for_ever() -> None:
    agents = fleet(expected="a")
    agents.running("a")
    agents.report("a", 3 * S, "running", worker("died", 4), worker("preparing", number=1))
    assert [rest.begin for rest in agents.state.ledger.rests] == [4]

    said = agents.report("a", 4 * S, "running", worker("died", 4), worker("ready", number=1))

    (entry,) = orders_in(said)["a"].orders.shares[1:]
    assert entry.worker == 1
    assert [share.size() for share in entry.shares] == [6]


def test_a_rest_that_nobody_can_take_is_not_run() -> None:
    agents = fleet(expected="a")
    agents.running("a")
    agents.report("a", 3 * S, "ended", worker("died", 4))
    agents.tell(Ticked(now_ns=33 * S - 1))
    assert not agents.state.ledger.not_run

    agents.tell(Ticked(now_ns=33 * S))

    assert [piece.count for piece in agents.state.ledger.not_run] == [6]


def test_a_new_life_of_an_agent_tells_what_its_earlier_workers_started() -> None:
    agents = fleet()
    agents.running()
    agents.welcome("a", 3 * S, life=2)

    past = PastWorker(run="r", life=1, worker=worker("died", 3))
    said = agents.report("a", 3 * S, "preparing", worker("preparing", number=1), life=2, past=(past,), revision=0)

    assert [share.size() for entry in orders_in(said)["b"].orders.shares for share in entry.shares] == [5, 2]


def test_orders_for_a_new_life_name_no_worker_of_the_old_one() -> None:
    agents = fleet()
    agents.running()
    agents.welcome("a", 3 * S, life=2)
    past = PastWorker(run="r", life=1, worker=worker("died", 3))

    said = agents.report("a", 3 * S, "ready", worker("ready", number=1), life=2, past=(past,), revision=0)

    sent = orders_in(said)["a"]
    assert sent.life == 2
    assert [entry.worker for entry in sent.orders.shares] == [1]


def test_a_worker_of_an_earlier_life_without_a_mark_is_given_up() -> None:
    agents = fleet()
    agents.running()
    agents.welcome("a", 3 * S, life=2)

    said = agents.report("a", 3 * S, "preparing", life=2, revision=0)

    assert kinds_in(said) == ["worker_forgotten"]
    assert not agents.state.ledger.rests


def test_words_of_an_older_life_and_older_words_of_this_one_are_ignored() -> None:
    agents = fleet()
    agents.running()
    agents.welcome("a", 3 * S, life=2)
    old = RunReport(run="r", revision=99, has_job=True, state="running", workers=(worker("running", 5),))

    event = ReportReceived(now_ns=3 * S, agent="a", life=1, sequence=999, run=old)
    agents.tell(event)

    assert agents.state.parts["a"].report is None
    assert agents.state.ledger.held[1, 0].started == 0


def test_in_open_loop_what_would_be_late_is_not_run() -> None:
    agents = fleet(OPEN)
    agents.running()

    agents.report("a", 4 * S, "running", worker("died", 10))

    # Started: 0, 2, …, 18. Ranks 10 to 12 (due until 2.4 s) cannot be with another worker before 2.5 s.
    assert [piece.count for piece in agents.state.ledger.not_run] == [3]
    assert agents.state.ledger.divisions[1].begin == 13


# Ending


def test_a_run_is_done_when_all_is_stored_and_all_is_forgotten() -> None:
    agents = ended()
    agents.commit("a", 5 * S, 1, 5)
    agents.commit("b", 5 * S, 1, 5)
    assert not agents.state.collected

    agents.report("a", 5 * S, "ended", worker("ended", 5, last_seq=1))
    sent = orders_in(agents.report("b", 5 * S, "ended", worker("ended", 5, last_seq=1)))
    assert {agent: send.orders.goal for agent, send in sent.items()} == {"a": "forget", "b": "forget"}
    agents.is_deleted("a", 6 * S)
    said = agents.is_deleted("b", 6 * S)

    assert [type(one) for one in said] == [SaveRun, AnnouncePhase, FinishRun]
    account = agents.accounting()
    assert (account.planned, account.ok, account.is_complete) == (10, 10, True)


def test_a_batch_that_is_told_twice_counts_once() -> None:
    agents = ended()
    for _ in range(3):
        agents.commit("a", 5 * S, 1, 5)

    assert agents.state.accounting(6 * S).ok == 5


def test_batches_that_were_lost_or_rejected_are_not_waited_for_and_are_named() -> None:
    agents = ended()
    gone = LostBatches(first_seq=1, last_seq=1, iterations=5, first_ns=S, last_ns=2 * S)
    agents.report("a", 5 * S, "ended", replace(worker("ended", 5, last_seq=1), lost=(gone,)))
    event = BatchRejected(now_ns=5 * S, agent="b", life=1, worker=0, seq=1, iterations=5, reason="of version 9")
    agents.tell(event)
    agents.report("b", 5 * S, "ended", worker("ended", 5, last_seq=1))

    agents.is_deleted("a", 6 * S)
    agents.is_deleted("b", 6 * S)

    losses = agents.accounting().losses
    found = [(loss.agent, loss.count, loss.first_second, loss.last_second, loss.reason) for loss in losses]
    assert found == [
        ("a", 5, 1, 2, "batch 1 is gone from the spool"),
        ("b", 5, -1, -1, "batch 1 was rejected: of version 9"),
    ]


def test_what_a_dead_worker_had_in_flight_is_lost_and_its_second_is_named() -> None:
    agents = fleet()
    agents.running()
    agents.commit("a", 3 * S, 1, 3)
    agents.report("a", 6 * S, "running", worker("died", 5, last_seq=1, error="killed by signal 9"))

    (loss,) = agents.state.accounting(7 * S).losses[:1]

    assert (loss.agent, loss.worker, loss.count, loss.first_second, loss.last_second) == ("a", 0, 2, 1, 4)
    assert loss.reason == "in flight, or not written yet, when the worker died (killed by signal 9)"


def test_batches_that_never_come_are_given_up_and_the_agent_is_not_told_to_forget_them() -> None:
    agents = ended()
    agents.commit("a", 5 * S, 1, 5)
    agents.report("a", 5 * S, "ended", worker("ended", 5, last_seq=1))

    said = agents.tell(Ticked(now_ns=605 * S))

    assert kinds_in(said) == ["collect_timeout"]
    assert {agent: send.orders.goal for agent, send in orders_in(said).items()} == {"a": "forget"}


def test_records_that_arrive_after_the_end_make_a_new_account() -> None:
    agents = ended()
    agents.commit("a", 5 * S, 1, 5)
    agents.tell(Ticked(now_ns=605 * S))
    agents.is_deleted("a", 606 * S)
    assert agents.accounting().lost == 5
    agents.commit("b", 700 * S, 1, 5)

    agents.tell(Ticked(now_ns=701 * S))

    assert agents.accounting().is_complete


def test_drain_takes_its_time_and_is_then_made_to_stop_and_then_given_up() -> None:
    agents = fleet()
    agents.running()
    agents.tell(DrainRequested(now_ns=10 * S, reason="Ctrl-C"))
    assert not kinds_in(agents.tell(Ticked(now_ns=80 * S - 1)))

    assert kinds_in(agents.tell(Ticked(now_ns=80 * S))) == ["drain_timeout"]
    assert agents.state.goal == "stop"
    assert kinds_in(agents.tell(Ticked(now_ns=110 * S))) == ["stop_timeout"]
    assert agents.state.phase is RunPhase.ENDING


# Aborting


def test_an_abort_before_anything_began_ends_at_once() -> None:
    state = run_state()
    account = Accounting(planned=10, not_run=10, losses=Fleet(run_state()).state.accounting(0).losses)

    said = state.handle(DrainRequested(now_ns=5, reason="Ctrl-C"))

    assert state.phase is RunPhase.ABORTED
    assert [type(one) for one in said] == [SaveRun, NoteEvent, AnnouncePhase, FinishRun]
    (finish,) = [one for one in said if isinstance(one, FinishRun)]
    assert (finish.aborted, finish.accounting.not_run) == ("Ctrl-C", account.not_run)


@pytest.mark.parametrize(("event", "goal"), [(DrainRequested, "drain"), (StopRequested, "stop")])
def test_an_abort_drains_first_or_stops_at_once(event: type[DrainRequested] | type[StopRequested], goal: str) -> None:
    agents = fleet()
    agents.running()

    sent = orders_in(agents.tell(event(now_ns=3 * S, reason="Ctrl-C")))

    assert {send.orders.goal for send in sent.values()} == {goal}


def test_what_an_abort_left_is_not_run() -> None:
    agents = fleet()
    agents.running()
    agents.tell(DrainRequested(now_ns=3 * S, reason="Ctrl-C"))

    for agent in "ab":
        agents.report(agent, 4 * S, "ended", worker("ended", 2, last_seq=1))

    account = agents.state.accounting(5 * S)
    assert (account.lost, account.not_run) == (4, 6)
    assert account.losses[-1].reason == "worker 0 of agent b ended; aborted: Ctrl-C"


def test_a_third_word_gives_up_waiting_for_batches() -> None:
    agents = ended()

    agents.tell(StopRequested(now_ns=5 * S, reason="Ctrl-C"))

    assert agents.state.collected
    assert agents.state.aborted == "Ctrl-C"
