"""A run's state while its agents change: some come later, are drained, or are lost."""

from unit.coordinator.run_fleet import (
    CLOSED,
    OPEN,
    Fleet,
    S,
    fleet,
    kinds_in,
    orders_in,
    plan,
    worker,
)

from osbench.coordinator.run_events import (
    AgentDrainRequested,
    AgentDrainRevoked,
    AgentLost,
    DrainRequested,
    JobBuilt,
    RunPhase,
    SaveRun,
    SendPrepare,
    Ticked,
)
from osbench.coordinator.run_state import RunState

# Agents that come later


def test_the_start_waits_for_those_expected_and_not_for_others_that_are_on_their_way() -> None:
    agents = fleet(expected="a")
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)
    agents.welcome("x", 0)

    agents.report("a", S, "ready", worker("ready"))

    assert agents.phase() is RunPhase.ARMING


def test_with_nobody_expected_whoever_comes_is_enough() -> None:
    agents = fleet(expected="", min_agents=2)
    agents.tell(JobBuilt(now_ns=0))
    for agent in "xy":
        agents.welcome(agent, S)
    agents.report("x", S, "ready", worker("ready"))
    assert agents.phase() is RunPhase.PREPARING

    agents.report("y", 2 * S, "ready", worker("ready"))

    assert agents.phase() is RunPhase.ARMING


def test_an_agent_that_joins_while_the_run_goes_on_gets_the_job_and_takes_the_rest_of_a_dead_worker() -> None:
    agents = fleet(expected="a")
    agents.running("a")

    said = agents.welcome("x", 3 * S)
    assert SendPrepare(agent="x", life=1, revision=1) in said
    assert isinstance(said[0], SaveRun)
    assert said[0].snapshot.lives == {"a": 1, "x": 1}
    agents.report("x", 4 * S, "ready", worker("ready"))
    sent = orders_in(agents.report("a", 5 * S, "running", worker("died", 4)))

    assert [share.size() for entry in sent["x"].orders.shares for share in entry.shares] == [6]
    assert sent["x"].orders.start_ns == 2 * S


def test_nobody_is_admitted_when_nothing_more_is_to_be_started() -> None:
    agents = fleet(expected="a")
    agents.running("a")
    agents.tell(DrainRequested(now_ns=3 * S, reason="Ctrl-C"))

    assert agents.welcome("x", 4 * S) == []
    assert set(agents.state.parts) == {"a"}


def test_orders_are_for_one_life_of_an_agent() -> None:
    """Those of its earlier life would start what it has no share of any more."""
    agents = fleet(expected="a")
    agents.running("a")
    before = agents.state.parts["a"].orders
    agents.welcome("a", 3 * S, life=2)

    sent = orders_in(agents.report("a", 3 * S, "ready", worker("ready", number=1), life=2, revision=0))

    assert before is not None
    assert (before.life, sent["a"].orders.life) == (1, 2)


def test_an_agent_that_drained_by_itself_begins_again_with_new_workers() -> None:
    agents = fleet()
    agents.running()
    agents.tell(AgentLost(now_ns=40 * S, agent="a"))
    said = agents.report("a", 50 * S, "ended", worker("ended", 3))

    (prepare,) = [one for one in said if isinstance(one, SendPrepare)]
    agents.report("a", 51 * S, "ready", worker("ended", 3), worker("ready", number=1), revision=prepare.revision)
    sent = orders_in(agents.report("b", 52 * S, "running", worker("died", 1)))

    assert prepare.revision > 1
    assert sent["a"].orders.revision > prepare.revision
    assert [entry.worker for entry in sent["a"].orders.shares] == [0, 1]


# Draining an agent


def test_a_drained_agent_starts_nothing_more_and_what_it_left_goes_to_the_others() -> None:
    agents = fleet()
    agents.running()

    sent = orders_in(agents.tell(AgentDrainRequested(now_ns=3 * S, agent="a")))
    assert {agent: send.orders.goal for agent, send in sent.items()} == {"a": "drain"}
    said = agents.report("a", 4 * S, "ended", worker("ended", 2))

    assert kinds_in(said) == ["agent_drained", "rest_divided"]
    assert [share.size() for entry in orders_in(said)["b"].orders.shares for share in entry.shares] == [5, 3]
    assert agents.phase() is RunPhase.RUNNING


def test_a_drained_agent_gets_nothing_of_others_nor_a_job_in_a_new_life() -> None:
    agents = fleet()
    agents.running()
    agents.tell(AgentDrainRequested(now_ns=3 * S, agent="a"))

    agents.report("b", 4 * S, "running", worker("died", 2))
    said = agents.welcome("a", 5 * S, life=2)

    assert agents.state.ledger.rests
    assert not [one for one in said if isinstance(one, SendPrepare)]


def test_with_an_agent_drained_before_the_start_too_few_are_left() -> None:
    agents = fleet()
    agents.tell(JobBuilt(now_ns=0))
    agents.welcome("a", 0)
    agents.welcome("b", 0)
    agents.tell(AgentDrainRequested(now_ns=0, agent="a"))

    agents.report("b", S, "ready", worker("ready"))

    assert agents.state.aborted == "1 of 2 agents are ready, at least 2 are asked; not ready: a (drained)"


def test_a_drain_taken_back_before_the_start_leaves_nothing_behind() -> None:
    agents = fleet()
    agents.tell(JobBuilt(now_ns=0))
    agents.tell(AgentDrainRequested(now_ns=0, agent="a"))
    agents.welcome("a", 0)

    said = agents.tell(AgentDrainRevoked(now_ns=S, agent="a"))

    assert kinds_in(said) == ["agent_undrained"]
    assert [type(one) for one in said][-1] is SendPrepare


def test_an_agent_whose_drain_is_taken_back_takes_part_again() -> None:
    agents = fleet()
    agents.running()
    agents.tell(AgentDrainRequested(now_ns=3 * S, agent="a"))
    agents.report("a", 4 * S, "ended", worker("ended", 0))

    said = agents.tell(AgentDrainRevoked(now_ns=5 * S, agent="a"))

    assert kinds_in(said) == ["agent_undrained", "agent_joined"]
    assert [one.agent for one in said if isinstance(one, SendPrepare)] == ["a"]


def test_a_drain_is_remembered_by_a_restarted_coordinator() -> None:
    agents = fleet()
    agents.running()
    (save, *_) = agents.tell(AgentDrainRequested(now_ns=3 * S, agent="a"))
    assert isinstance(save, SaveRun)

    again = Fleet(RunState.restore(plan(CLOSED), agents.state.settings, save.snapshot, 5 * S))
    sent = orders_in(again.welcome("a", 5 * S))

    assert sent["a"].orders.goal == "drain"


# Lost agents


def test_in_closed_loop_nothing_of_a_lost_agent_is_given_away() -> None:
    agents = fleet()
    agents.running()

    said = agents.tell(AgentLost(now_ns=40 * S, agent="a"))

    assert kinds_in(said) == ["agent_lost"]
    assert len(agents.state.ledger.divisions) == 1


def test_a_lost_agent_is_not_spoken_to() -> None:
    """An answer from here would extend what its lease is to end."""
    agents = fleet()
    agents.ready()
    agents.tell(AgentLost(now_ns=S, agent="a"))

    assert set(orders_in(agents.tell(Ticked(now_ns=9 * S)))) == {"b"}


def test_in_open_loop_what_a_lost_agent_cannot_start_any_more_goes_to_others() -> None:
    agents = fleet(OPEN)
    agents.running()

    said = agents.tell(AgentLost(now_ns=7 * S, agent="a"))

    # Due from 5.5 s after the start on: ranks 28 and later of the indices 0, 2, 4, …
    (division,) = agents.state.ledger.divisions[1:]
    assert division.begin == 28
    assert [share.size() for entry in orders_in(said)["b"].orders.shares for share in entry.shares] == [50, 22]


def test_a_lost_agent_that_comes_back_counts_and_what_it_left_is_divided() -> None:
    agents = fleet()
    agents.running()
    agents.tell(AgentLost(now_ns=40 * S, agent="a"))

    said = agents.report("a", 50 * S, "ended", worker("ended", 3))

    assert kinds_in(said) == ["agent_back", "rest_divided", "agent_joined"]
    assert [share.size() for entry in orders_in(said)["b"].orders.shares for share in entry.shares] == [5, 2]


def test_a_lost_agent_that_does_not_come_back_is_waited_for_and_then_lost() -> None:
    agents = fleet()
    agents.running()
    agents.tell(AgentLost(now_ns=40 * S, agent="a"))
    agents.report("b", 50 * S, "running", worker("running", 5))
    agents.tell(Ticked(now_ns=110 * S - 1))
    assert agents.state.phase is RunPhase.RUNNING

    agents.tell(Ticked(now_ns=110 * S))
    agents.report("b", 110 * S, "ended", worker("ended", 5, last_seq=1))
    agents.commit("b", 111 * S, 1, 5)
    agents.is_deleted("b", 112 * S)

    account = agents.accounting()
    assert (account.ok, account.lost, account.not_run) == (5, 5, 0)
    assert [(loss.agent, loss.count) for loss in account.losses] == [("a", 5)]
