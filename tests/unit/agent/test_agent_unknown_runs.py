"""What an agent does when its coordinator does not know its run, and when it is told to end itself, by trace."""

import pytest
from unit.playbook import Playbook

from osbench.agent.agent_events import (
    AgentSettings,
    ClockReplied,
    Connected,
    DeleteRun,
    KillWorker,
    LeaveAsked,
    LifeFound,
    OrdersReceived,
    OrderWorker,
    PrepareReceived,
    SendHello,
    SendProbe,
    SendReport,
    SpawnWorkers,
    Welcomed,
    WorkerEnded,
    WorkerExited,
    WorkerFailed,
    WorkerPrepared,
    WriteLog,
)
from osbench.agent.agent_state import AgentState
from osbench.common.clock import NS_PER_S
from osbench.common.messages import Orders, PastWorker, Report, WorkerReport, WorkerShares
from osbench.common.share import divide

S = NS_PER_S
NOISE = (SendReport, SendProbe, WriteLog, KillWorker, OrderWorker)
(SHARE,) = divide(1, 10, 1, [1])
PHASES = ("preparing", "ready", "armed", "running", "draining", "ended", "failed")


def an_agent(past: tuple[PastWorker, ...] = ()) -> AgentState:
    """Welcomed at 0 s, of one worker for each run, with the coordinator's clock known."""
    state = AgentState("a", 2, AgentSettings(workers=1))
    for event in (
        LifeFound(now_ns=0, past=past),
        Connected(now_ns=0),
        Welcomed(now_ns=0, life=2, lease_ns=30 * S),
        ClockReplied(now_ns=0, probe_sent_ns=0, received_ns=0, replied_ns=0),
    ):
        state.handle(event)
    return state


def orders(goal: str, revision: int) -> OrdersReceived:
    shares = (WorkerShares(worker=0, shares=(SHARE,)),)
    return OrdersReceived(now_ns=S, orders=Orders(run="r", revision=revision, goal=goal, start_ns=2 * S, shares=shares))


def in_phase(phase: str) -> AgentState:
    """An agent with a run `r` in this phase; its worker's process lives but in `ended` and `failed`."""
    state = an_agent()
    state.handle(PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=60 * S))
    ended = WorkerReport(worker=0, state="ended")
    if phase == "failed":
        state.handle(WorkerFailed(now_ns=0, run="r", worker=0, error="no such scenario"))
        state.handle(WorkerExited(now_ns=0, run="r", report=ended))
    elif phase != "preparing":
        state.handle(WorkerPrepared(now_ns=0, run="r", worker=0))
    if phase in ("armed", "running", "draining", "ended"):
        state.handle(orders("run", 2))
    if phase == "running":
        state.handle(ClockReplied(now_ns=3 * S, probe_sent_ns=3 * S, received_ns=3 * S, replied_ns=3 * S))
    if phase in ("draining", "ended"):
        state.handle(orders("drain", 3))
    if phase == "ended":
        state.handle(WorkerEnded(now_ns=S, run="r", report=ended))
        state.handle(WorkerExited(now_ns=S, run="r", report=ended))
    assert state.runs["r"].phase.value == phase
    return state


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_in_any_phase_is_deleted_when_told_to_forget_once_no_process_of_it_is_left(phase: str) -> None:
    """A run that no coordinator knows would keep the agent busy for ever."""
    state = in_phase(phase)
    gone = WorkerExited(now_ns=5 * S, run="r", report=WorkerReport(worker=0, state="died"))

    said = state.handle(orders("forget", 9))
    if phase not in ("ended", "failed"):
        assert any(isinstance(one, KillWorker) for one in said)
        said = state.handle(gone)

    assert [one for one in said if isinstance(one, DeleteRun)] == [DeleteRun(run="r")]
    assert [one.runs for one in state.handle(Connected(now_ns=6 * S)) if isinstance(one, SendHello)] == [()]
    state.validate()


@pytest.mark.parametrize("phase", PHASES[:5])
def test_a_run_in_any_phase_ends_when_told_to_stop(phase: str) -> None:
    state = in_phase(phase)
    ended = WorkerReport(worker=0, state="ended")

    said = state.handle(orders("stop", 9))
    state.handle(WorkerEnded(now_ns=5 * S, run="r", report=ended))
    state.handle(WorkerExited(now_ns=5 * S, run="r", report=ended))

    assert [one.goal for one in said if isinstance(one, OrderWorker)] == ["stop"]
    assert state.runs["r"].phase.value == "ended"
    state.validate()


def test_a_run_of_an_earlier_life_is_named_and_deleted_when_told_to_forget() -> None:
    past = PastWorker(run="r", life=1, worker=WorkerReport(worker=0, state="died"))

    assert (
        Playbook(an_agent((past,)), ignore=NOISE)
        >> Connected(now_ns=S)
        << SendHello(runs=("r",))
        >> orders("stop", 1)
        << None
        >> orders("forget", 2)
        << DeleteRun(run="r")
        >> Connected(now_ns=3 * S)
        << SendHello(runs=())
    )


def test_a_run_of_which_only_the_spool_knows_is_deleted_when_told_to_forget() -> None:
    """Marks of an earlier boot are not trusted, so nothing of the run is past; its folder is there all the same."""
    assert Playbook(an_agent(), ignore=NOISE) >> orders("forget", 1) << DeleteRun(run="r")


@pytest.mark.parametrize("phase", PHASES[:4])
def test_an_agent_that_is_told_to_end_drains_its_run_and_replaces_no_worker(phase: str) -> None:
    state = in_phase(phase)

    said = state.handle(LeaveAsked(now_ns=4 * S))
    assert [one.goal for one in said if isinstance(one, OrderWorker)] == ["drain"]

    after = state.handle(WorkerExited(now_ns=5 * S, run="r", report=WorkerReport(worker=0, state="died")))
    assert not [one for one in after if isinstance(one, SpawnWorkers)]
    assert state.runs["r"].phase.value in ("draining", "ended")
    state.validate()


def test_an_agent_that_is_told_to_end_takes_no_run_and_says_why() -> None:
    state = an_agent()
    state.handle(LeaveAsked(now_ns=S))

    said = state.handle(PrepareReceived(now_ns=S, run="r", revision=1, drain_ns=60 * S))

    reports: list[Report] = [one.report for one in said if isinstance(one, SendReport)]
    assert [run.error for run in reports[-1].runs] == ["agent was told to end"]
    assert not [one for one in said if isinstance(one, SpawnWorkers)]


def test_a_run_that_was_stopped_already_stays_stopped_when_the_agent_is_told_to_end() -> None:
    state = in_phase("running")
    state.handle(orders("stop", 9))

    state.handle(LeaveAsked(now_ns=5 * S))

    assert state.runs["r"].goal == "stop"
    state.validate()
