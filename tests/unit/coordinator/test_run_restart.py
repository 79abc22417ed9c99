"""What a run's state tells a restarted coordinator."""

from unit.coordinator.run_fleet import (
    CLOSED,
    Fleet,
    S,
    ended,
    fleet,
    orders_in,
    plan,
    run_state,
    worker,
)

from osbench.common.messages import PastWorker
from osbench.coordinator.run_events import (
    AgentLost,
    BatchRejected,
    DrainRequested,
    FinishRun,
    ReportReceived,
    RunPhase,
    SaveRun,
    Ticked,
)
from osbench.coordinator.run_snapshot import pack_snapshot, unpack_snapshot
from osbench.coordinator.run_state import RUN_TRANSITIONS, RunState


def test_a_restored_run_goes_on_with_the_shares_that_were_given_out() -> None:
    agents = fleet()
    agents.running()
    said = agents.report("a", 3 * S, "running", worker("died", 2))
    assert isinstance(said[0], SaveRun)
    before = orders_in(said)["b"].orders

    snapshot = unpack_snapshot(pack_snapshot(said[0].snapshot))
    again = Fleet(RunState.restore(plan(CLOSED), agents.state.settings, snapshot, 100 * S, shift_ns=90 * S))
    again.state.validate()
    again.welcome("b", 100 * S)
    sent = orders_in(again.report("b", 100 * S, "running", worker("running", 1, 0), revision=before.revision))

    assert sent["b"].orders.shares == before.shares
    assert sent["b"].orders.revision > before.revision
    assert sent["b"].orders.start_ns == before.start_ns + 90 * S


def test_a_run_restored_after_its_end_hands_out_its_account_again() -> None:
    """The process may have died before it was written down."""
    state = run_state()
    (save, *_) = state.handle(DrainRequested(now_ns=5, reason="Ctrl-C"))
    assert isinstance(save, SaveRun)

    again = RunState.restore(plan(CLOSED), state.settings, save.snapshot, 9)

    assert [type(one) for one in again.handle(Ticked(now_ns=10))][-1:] == [FinishRun]


def given_up() -> Fleet:
    """The run is done, and what agent b had is lost: it was lost and did not come back."""
    agents = fleet()
    agents.running()
    agents.tell(AgentLost(now_ns=40 * S, agent="b"))
    agents.report("a", 50 * S, "running", worker("running", 5))
    agents.tell(Ticked(now_ns=110 * S))
    agents.report("a", 110 * S, "ended", worker("ended", 5, last_seq=1))
    agents.commit("a", 111 * S, 1, 5)
    agents.tell(Ticked(now_ns=200 * S))
    agents.is_deleted("a", 201 * S)
    assert agents.phase() is RunPhase.DONE
    assert agents.accounting().lost == 5
    return agents


def restored(agents: Fleet) -> Fleet:
    """The same, in another process of the coordinator, much later."""
    (save,) = [said for said in agents.said if isinstance(said, SaveRun)][-1:]
    snapshot = unpack_snapshot(pack_snapshot(save.snapshot))
    again = Fleet(RunState.restore(plan(CLOSED), agents.state.settings, snapshot, 900 * S))
    again.state.validate()
    again.commit("a", 900 * S, 1, 5)
    return again


def holders(agents: Fleet) -> tuple[str, ...]:
    return agents.state.holders


def test_a_finished_run_that_an_agent_still_holds_records_of_is_put_right_and_forgotten_there() -> None:
    agents = restored(given_up())
    agents.welcome("b", 900 * S)
    assert holders(agents) == ("b",)
    agents.report("b", 901 * S, "ended", worker("ended", 4, last_seq=1), unacked=1)
    agents.commit("b", 902 * S, 1, 4)

    sent = orders_in(agents.report("b", 903 * S, "ended", worker("ended", 4, last_seq=1)))
    agents.tell(Ticked(now_ns=903 * S))

    assert sent["b"].orders.goal == "forget"
    account = agents.accounting()
    assert (account.ok, account.lost, account.not_run) == (9, 0, 1)
    agents.is_deleted("b", 904 * S)
    assert not holders(agents)
    assert agents.phase() is RunPhase.DONE


def test_a_new_life_brings_what_an_earlier_one_left_of_a_finished_run() -> None:
    agents = restored(given_up())
    agents.welcome("b", 900 * S, life=2)
    past = PastWorker(run="r", life=1, worker=worker("died", 4, last_seq=1))
    told = ReportReceived(now_ns=901 * S, agent="b", life=2, sequence=1, run=None, past=(past,), offset_error_ns=5)
    agents.tell(told)
    agents.commit("b", 902 * S, 1, 3)

    sent = orders_in(agents.tell(Ticked(now_ns=903 * S)))

    assert sent["b"].orders.goal == "forget"
    account = agents.accounting()
    assert (account.ok, account.lost, account.not_run) == (8, 1, 1)


def test_what_a_finished_run_learnt_late_is_saved() -> None:
    """The agent is told to forget next: nobody could tell another process of the coordinator again."""
    agents = restored(given_up())
    agents.welcome("b", 900 * S)

    said = agents.report("b", 901 * S, "ended", worker("ended", 4, last_seq=1), unacked=1)

    assert isinstance(said[0], SaveRun)
    again = restored(agents)
    assert again.state.accounting(901 * S).not_run == 1


def test_a_batch_that_was_rejected_is_not_waited_for_by_a_restarted_coordinator() -> None:
    agents = ended()
    event = BatchRejected(now_ns=5 * S, agent="b", life=1, worker=0, seq=1, iterations=5, reason="of version 9")
    (save, *_) = agents.tell(event)
    assert isinstance(save, SaveRun)

    again = Fleet(RunState.restore(plan(CLOSED), agents.state.settings, save.snapshot, 6 * S))
    again.commit("a", 6 * S, 1, 5)
    for agent in "ab":
        again.welcome(agent, 6 * S)
        again.report(agent, 6 * S, "ended", worker("ended", 5, last_seq=1))

    assert again.state.collected
    assert [loss.reason for loss in again.state.accounting(7 * S).losses] == ["batch 1 was rejected: of version 9"]


def test_an_old_report_after_a_restart_does_not_make_a_taker_of_a_worker_that_ended() -> None:
    agents = fleet()
    agents.running()
    agents.report("b", 3 * S, "ended", worker("ended", 5))
    agents.sequence = 10
    agents.state.parts["b"].sequence = -1
    agents.report("b", 3 * S, "running", worker("running", 4))

    agents.report("a", 4 * S, "running", worker("died", 2))

    assert agents.state.ledger.rests


def test_every_phase_but_the_last_can_be_left_and_all_can_be_reached() -> None:
    assert set(RUN_TRANSITIONS) == set(RunPhase)
    reached = {phase for targets in RUN_TRANSITIONS.values() for phase in targets}
    assert reached == set(RunPhase) - {RunPhase.PLANNED}
