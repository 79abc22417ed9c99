"""An agent's state, by trace: the lease, orders, workers that die, and what is reported of all that."""

from itertools import pairwise
from typing import Any

from msgspec.structs import replace
from unit.playbook import Playbook

from osbench.agent.agent_events import (
    AgentEvent,
    AgentInstruction,
    AgentSettings,
    ClockReplied,
    Connected,
    DeleteRun,
    ExtendLease,
    KillWorker,
    LifeFound,
    OrdersReceived,
    OrderWorker,
    PrepareReceived,
    Refused,
    SendHello,
    SendProbe,
    SendReport,
    SpawnWorkers,
    SpoolChanged,
    TimePassed,
    Welcomed,
    WorkerEnded,
    WorkerExited,
    WorkerFailed,
    WorkerLoss,
    WorkerPrepared,
    WorkerProgressed,
    WriteLog,
)
from osbench.agent.agent_parts import AGENT_TRANSITIONS, AgentPhase
from osbench.agent.agent_state import AgentState
from osbench.common.clock import NS_PER_S
from osbench.common.messages import (
    LostBatches,
    Orders,
    PastWorker,
    Report,
    RunReport,
    ShareProgress,
    WorkerReport,
    WorkerShares,
)
from osbench.common.share import Share, divide

S = NS_PER_S
NOISE = (SendReport, SendProbe, WriteLog)
#: This agent's clock is so far ahead of the coordinator's.
AHEAD_NS = 1_000 * S
SETTINGS = AgentSettings(workers=2, replacements=1)
FIRST, SECOND = divide(1, 10, 2, [1, 1])


def run_orders(revision: int = 1, goal: str = "run", *shares: Share) -> Orders:
    """Orders that give worker 0, 1, … one share each; start at 20 s of the coordinator."""
    owned = tuple(WorkerShares(worker=worker, shares=(share,)) for worker, share in enumerate(shares))
    return Orders(run="r", revision=revision, goal=goal, start_ns=20 * S, shares=owned)


class Host:
    """An agent that was welcomed at 0 s and knows the coordinator's clock."""

    def __init__(self, settings: AgentSettings = SETTINGS, life: int = 1, past: tuple[PastWorker, ...] = ()) -> None:
        self.state = AgentState("a", life, settings)
        self.tell(LifeFound(now_ns=0, past=past))
        self.tell(Connected(now_ns=0))
        self.tell(Welcomed(now_ns=0, life=life, lease_ns=30 * S))
        self.answer(0)

    def tell(self, event: AgentEvent) -> list[AgentInstruction]:
        said = self.state.handle(event)
        self.state.validate()
        return said

    def answer(self, sent_ns: int, now_ns: int | None = None) -> list[AgentInstruction]:
        """A probe comes back."""
        at_ns = sent_ns - AHEAD_NS
        now_ns = sent_ns if now_ns is None else now_ns
        return self.tell(ClockReplied(now_ns=now_ns, probe_sent_ns=sent_ns, received_ns=at_ns, replied_ns=at_ns))

    def prepared(self) -> None:
        self.tell(PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=60 * S))
        first = min(self.state.runs["r"].seats)
        for worker in (first, first + 1):
            self.tell(WorkerPrepared(now_ns=0, run="r", worker=worker))

    def running(self) -> None:
        self.prepared()
        self.tell(OrdersReceived(now_ns=0, orders=run_orders(1, "run", FIRST, SECOND)))

    def run_report(self) -> RunReport:
        """What would be said of the run now."""
        return self.state.runs["r"].report()

    def worker_states(self) -> list[str]:
        return [worker.state for worker in self.run_report().workers]


def of_kind(said: list[AgentInstruction], kind: type[Any]) -> list[Any]:
    return [one for one in said if isinstance(one, kind)]


def exited(worker: int, now_ns: int = 5 * S, started: int = 0, last_seq: int = 0) -> WorkerExited:
    shares = (ShareProgress(epoch=1, started=started),) if started else ()
    report = WorkerReport(worker=worker, state="died", shares=shares, last_seq=last_seq, error="signal 9")
    return WorkerExited(now_ns=now_ns, run="r", report=report)


# The link


def test_hello_is_said_when_connected_and_again_until_welcomed() -> None:
    assert (
        Playbook(AgentState("a", 1, SETTINGS), ignore=NOISE)
        >> Connected(now_ns=0)
        << SendHello(runs=())
        >> TimePassed(now_ns=2 * S - 1)
        << None
        >> TimePassed(now_ns=2 * S)
        << SendHello(runs=())
        >> Welcomed(now_ns=3 * S, life=1, lease_ns=30 * S)
        << None
        >> TimePassed(now_ns=9 * S)
        << None
        >> Refused(now_ns=10 * S, reason="not known here yet")
        << None
        >> TimePassed(now_ns=11 * S)
        << SendHello(runs=())
    )


def test_a_welcome_of_another_life_is_none() -> None:
    state = AgentState("a", 2, SETTINGS)
    state.handle(Connected(now_ns=0))

    state.handle(Welcomed(now_ns=0, life=1, lease_ns=30 * S))

    assert not state.is_welcomed


def test_reports_are_made_each_second_and_at_once_when_something_changes() -> None:
    host = Host()
    assert not of_kind(host.tell(TimePassed(now_ns=S - 1)), SendReport)
    assert len(of_kind(host.tell(TimePassed(now_ns=S)), SendReport)) == 1

    said = host.tell(PrepareReceived(now_ns=S + 1, run="r", revision=1, drain_ns=S))

    (send,) = of_kind(said, SendReport)
    report: Report = send.report
    assert (report.sequence, report.runs[0].state) == (host.state.sequence, "preparing")
    assert report.offset_ns == AHEAD_NS


def test_probes_go_out_in_a_burst_and_then_now_and_then() -> None:
    host = Host()

    assert len(of_kind(host.tell(TimePassed(now_ns=S)), SendProbe)) == 20
    assert len(of_kind(host.tell(TimePassed(now_ns=6 * S)), SendProbe)) == 1


# Preparing


def test_orders_for_another_life_are_ignored() -> None:
    host = Host(life=2)
    host.prepared()

    host.tell(OrdersReceived(now_ns=0, orders=replace(run_orders(1, "run", FIRST), life=1)))
    assert host.state.runs["r"].orders is None

    host.tell(OrdersReceived(now_ns=0, orders=replace(run_orders(1, "run", FIRST), life=2)))
    assert host.state.runs["r"].orders is not None


def ended_host() -> Host:
    """All its workers were told to drain, and are gone."""
    host = Host()
    host.running()
    host.tell(OrdersReceived(now_ns=S, orders=run_orders(2, "drain", FIRST, SECOND)))
    for number in (0, 1):
        host.tell(WorkerEnded(now_ns=S, run="r", report=WorkerReport(worker=number, state="ended")))
        host.tell(exited(number))
    return host


def test_an_agent_that_has_ended_begins_again_with_new_workers_when_told_to_prepare_once_more() -> None:
    assert (
        Playbook(ended_host().state, ignore=NOISE)
        >> PrepareReceived(now_ns=6 * S, run="r", revision=1, drain_ns=S)
        << None
        >> PrepareReceived(now_ns=6 * S, run="r", revision=3, drain_ns=S)
        << SpawnWorkers(run="r", workers=(2, 3))
        >> PrepareReceived(now_ns=6 * S, run="r", revision=3, drain_ns=S)
        << None
    )


def test_orders_of_an_earlier_stint_do_not_count_in_the_next() -> None:
    """They are late: what they say was said to workers that are gone."""
    host = ended_host()
    host.tell(PrepareReceived(now_ns=6 * S, run="r", revision=5, drain_ns=S))

    host.tell(OrdersReceived(now_ns=7 * S, orders=run_orders(4, "drain", FIRST, SECOND)))
    assert (host.run_report().state, host.run_report().revision) == ("preparing", 5)
    host.tell(OrdersReceived(now_ns=7 * S, orders=run_orders(6)))

    assert (host.run_report().state, host.run_report().revision) == ("armed", 6)


def test_what_was_ordered_to_drain_does_not_run_again_in_the_same_stint() -> None:
    host = Host()
    host.running()
    host.tell(OrdersReceived(now_ns=S, orders=run_orders(2, "drain", FIRST, SECOND)))

    said = host.tell(OrdersReceived(now_ns=S, orders=run_orders(3, "run", FIRST, SECOND)))

    assert not of_kind(said, OrderWorker)
    assert host.run_report().state == "draining"


def test_a_job_makes_workers_and_a_second_one_of_the_same_run_none() -> None:
    assert (
        Playbook(Host().state, ignore=NOISE)
        >> PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=S)
        << SpawnWorkers(run="r", workers=(0, 1))
        >> PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=S)
        << None
    )


def test_a_run_that_finds_the_agent_busy_is_told_so() -> None:
    host = Host()
    host.prepared()

    said = host.tell(PrepareReceived(now_ns=0, run="q", revision=1, drain_ns=S))

    (send,) = of_kind(said, SendReport)
    (busy,) = [run for run in send.report.runs if run.run == "q"]
    assert (busy.has_job, busy.state, busy.error) == (False, "idle", "agent is busy with run r")
    assert not of_kind(said, SpawnWorkers)


def test_a_run_that_has_ended_keeps_no_other_out() -> None:
    host = Host()
    host.running()
    host.tell(OrdersReceived(now_ns=S, orders=run_orders(2, "drain", FIRST, SECOND)))
    for worker in (0, 1):
        host.tell(WorkerEnded(now_ns=S, run="r", report=WorkerReport(worker=worker, state="ended")))
        host.tell(exited(worker))

    said = host.tell(PrepareReceived(now_ns=6 * S, run="q", revision=1, drain_ns=S))

    assert of_kind(said, SpawnWorkers) == [SpawnWorkers(run="q", workers=(0, 1))]


def test_numbers_of_workers_are_not_used_again_in_a_new_life() -> None:
    """Orders that were meant for the life before name nobody then."""
    past = PastWorker(run="r", life=1, worker=WorkerReport(worker=4, state="running"))
    host = Host(life=2, past=(past,))

    said = host.tell(PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=S))

    assert of_kind(said, SpawnWorkers) == [SpawnWorkers(run="r", workers=(5, 6))]


def test_a_worker_that_cannot_be_made_ready_fails_the_run_here() -> None:
    host = Host()
    host.tell(PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=S))

    said = host.tell(WorkerFailed(now_ns=0, run="r", worker=0, error="unknown scenario"))

    assert host.run_report().state == "failed"
    assert [kill.worker for kill in of_kind(said, KillWorker)] == [0, 1]


# Running


def test_orders_become_the_workers_own_with_the_start_on_this_clock() -> None:
    host = Host()
    host.prepared()

    assert (
        Playbook(host.state, ignore=NOISE)
        >> OrdersReceived(now_ns=0, orders=run_orders(1, "run", FIRST, SECOND))
        << ExtendLease(run="r", until_ns=30 * S)
        << OrderWorker(run="r", worker=0, goal="run", start_ns=20 * S + AHEAD_NS, shares=(FIRST,), revision=1)
        << ExtendLease(run="r", until_ns=30 * S)
        << OrderWorker(run="r", worker=1, goal="run", start_ns=20 * S + AHEAD_NS, shares=(SECOND,), revision=1)
        >> OrdersReceived(now_ns=0, orders=run_orders(1, "drain", FIRST, SECOND))
        << None
    )


def test_older_orders_are_ignored() -> None:
    host = Host()
    host.prepared()
    host.tell(OrdersReceived(now_ns=0, orders=run_orders(5, "drain")))

    host.tell(OrdersReceived(now_ns=0, orders=run_orders(4, "run", FIRST)))

    assert host.run_report().revision == 5
    assert host.worker_states() == ["draining", "draining"]


def test_orders_to_run_wait_for_the_coordinators_clock() -> None:
    state = AgentState("a", 1, SETTINGS)
    for event in (
        Connected(now_ns=0),
        Welcomed(now_ns=0, life=1, lease_ns=30 * S),
        PrepareReceived(now_ns=0, run="r", revision=1, drain_ns=S),
    ):
        state.handle(event)

    state.handle(OrdersReceived(now_ns=0, orders=run_orders(1, "run", FIRST)))

    assert state.runs["r"].report().revision == 0


def test_a_report_is_made_at_once_when_all_is_started() -> None:
    host = Host()
    host.running()
    done = (ShareProgress(epoch=1, started=5),)
    progress = [WorkerReport(worker=worker, state="running", shares=done) for worker in (0, 1)]
    said = host.tell(WorkerProgressed(now_ns=1, run="r", report=progress[0]))
    assert not of_kind(said, SendReport)

    said = host.tell(WorkerProgressed(now_ns=1, run="r", report=progress[1]))

    assert of_kind(said, SendReport)


def test_a_worker_that_dies_is_reported_with_its_marks_and_replaced_a_bounded_number_of_times() -> None:
    host = Host()
    host.running()

    assert of_kind(host.tell(exited(0, started=3, last_seq=2)), SpawnWorkers) == [SpawnWorkers(run="r", workers=(2,))]
    assert not of_kind(host.tell(exited(1)), SpawnWorkers)

    died = host.run_report().workers[0]
    assert (died.state, died.shares, died.last_seq) == ("died", (ShareProgress(epoch=1, started=3),), 2)
    assert host.worker_states() == ["died", "died", "preparing"]


def test_a_replacement_is_told_to_run_when_it_is_ready() -> None:
    host = Host()
    host.running()
    host.tell(exited(0))

    said = host.tell(WorkerPrepared(now_ns=6 * S, run="r", worker=2))

    assert [order.goal for order in of_kind(said, OrderWorker)] == ["run"]


def test_a_worker_that_ended_may_exit() -> None:
    host = Host()
    host.running()
    host.tell(WorkerEnded(now_ns=S, run="r", report=WorkerReport(worker=0, state="ended", last_seq=3)))

    said = host.tell(exited(0))

    assert not of_kind(said, SpawnWorkers)
    assert host.worker_states() == ["ended", "running"]


def test_a_worker_that_does_not_stop_is_killed() -> None:
    host = Host()
    host.running()
    host.tell(OrdersReceived(now_ns=S, orders=run_orders(2, "stop", FIRST, SECOND)))
    assert not of_kind(host.tell(TimePassed(now_ns=11 * S - 1)), KillWorker)

    assert [kill.worker for kill in of_kind(host.tell(TimePassed(now_ns=11 * S)), KillWorker)] == [0, 1]


def test_a_worker_whose_loop_stands_still_is_killed() -> None:
    """Otherwise a run would never end, for its share is with a worker that neither works nor dies."""
    host = Host()
    host.running()
    report = WorkerReport(worker=0, state="running")
    host.tell(WorkerProgressed(now_ns=S, run="r", report=report, alive_ns=7))
    for second in range(1, 32):
        said = host.tell(TimePassed(now_ns=second * S))
        host.tell(WorkerProgressed(now_ns=second * S, run="r", report=report, alive_ns=7))
        host.answer(second * S)

    assert [kill.worker for kill in of_kind(said, KillWorker)] == [0]


def test_time_in_which_the_supervisor_itself_stood_still_does_not_count_against_its_workers() -> None:
    host = Host()
    host.running()
    report = WorkerReport(worker=0, state="running")
    host.tell(WorkerProgressed(now_ns=S, run="r", report=report, alive_ns=7))
    host.tell(TimePassed(now_ns=S))

    assert not of_kind(host.tell(TimePassed(now_ns=90 * S)), KillWorker)


# The lease


def test_a_short_lease_is_kept_alive_by_more_probes() -> None:
    """With a probe every five seconds an agent would drain again and again under a lease of four."""
    state = AgentState("a", 1, AgentSettings(workers=1))
    state.handle(LifeFound(now_ns=0, past=()))
    state.handle(Connected(now_ns=0))
    state.handle(Welcomed(now_ns=0, life=1, lease_ns=4 * S))
    sent = [
        now_ns
        for now_ns in range(0, 4 * S, S // 10)
        for said in state.handle(TimePassed(now_ns=now_ns))
        if isinstance(said, SendProbe)
    ]

    assert max(later - earlier for earlier, later in pairwise([*sent, 4 * S])) <= S


def test_when_the_lease_is_over_the_run_is_drained_for_good() -> None:
    host = Host()
    host.running()
    host.answer(2 * S)
    assert not of_kind(host.tell(TimePassed(now_ns=32 * S - 1)), OrderWorker)

    said = host.tell(TimePassed(now_ns=32 * S))
    assert [order.goal for order in of_kind(said, OrderWorker)] == ["drain", "drain"]
    host.answer(33 * S)
    host.tell(OrdersReceived(now_ns=34 * S, orders=run_orders(7, "run", FIRST, SECOND)))

    assert host.worker_states() == ["draining", "draining"]
    assert host.run_report().error == "drained by itself: no probe was answered for 30.0 s"


def test_the_lease_counts_from_when_the_probe_was_sent_and_not_from_its_answer() -> None:
    """An answer that was under way for long proves nothing about now: others may have been given the load."""
    host = Host()
    host.running()

    said = host.answer(2 * S, now_ns=25 * S)

    assert of_kind(said, ExtendLease) == [ExtendLease(run="r", until_ns=32 * S)]
    assert of_kind(host.tell(TimePassed(now_ns=32 * S)), OrderWorker)


def test_nothing_but_an_answered_probe_extends_the_lease() -> None:
    host = Host()
    host.running()
    host.tell(OrdersReceived(now_ns=29 * S, orders=run_orders(2, "run", FIRST, SECOND)))
    host.tell(Welcomed(now_ns=29 * S, life=1, lease_ns=30 * S))

    assert of_kind(host.tell(TimePassed(now_ns=30 * S)), OrderWorker)


def test_orders_to_run_that_come_when_the_lease_is_over_are_not_taken() -> None:
    host = Host()
    host.prepared()

    host.tell(OrdersReceived(now_ns=30 * S, orders=run_orders(1, "run", FIRST, SECOND)))

    assert host.run_report().revision == 0
    assert host.worker_states() == ["ready", "ready"]


def test_without_a_coordinator_draining_is_bounded() -> None:
    host = Host()
    host.running()
    host.tell(TimePassed(now_ns=30 * S))
    assert not of_kind(host.tell(TimePassed(now_ns=100 * S - 1)), OrderWorker)

    said = host.tell(TimePassed(now_ns=100 * S))
    assert [order.goal for order in of_kind(said, OrderWorker)] == ["stop", "stop"]
    assert of_kind(host.tell(TimePassed(now_ns=110 * S)), KillWorker)


# Forgetting


def test_a_run_is_deleted_when_no_process_of_it_is_left() -> None:
    host = Host()
    host.running()

    assert (
        Playbook(host.state, ignore=NOISE)
        >> OrdersReceived(now_ns=S, orders=run_orders(9, "forget"))
        << KillWorker(run="r", worker=0, reason="the run is deleted")
        << KillWorker(run="r", worker=1, reason="the run is deleted")
        >> exited(0)
        << None
        >> exited(1)
        << DeleteRun(run="r")
        >> PrepareReceived(now_ns=S, run="r", revision=1, drain_ns=S)
        << None
    )


def test_what_an_earlier_life_left_is_deleted_without_a_job() -> None:
    past = PastWorker(run="r", life=1, worker=WorkerReport(worker=0, state="died"))
    host = Host(life=2, past=(past,))

    said = host.tell(OrdersReceived(now_ns=0, orders=run_orders(9, "forget")))

    assert of_kind(said, DeleteRun) == [DeleteRun(run="r")]
    assert of_kind(said, SendReport)[0].report.past == ()


def test_batches_gone_from_the_spool_are_reported_of_this_life_and_of_earlier_ones() -> None:
    past = PastWorker(run="r", life=1, worker=WorkerReport(worker=0, state="died"))
    host = Host(life=2, past=(past,))
    host.prepared()
    lost = (LostBatches(first_seq=3, last_seq=4, iterations=7, first_ns=0, last_ns=S),)
    losses = (WorkerLoss(life=1, worker=0, lost=lost), WorkerLoss(life=2, worker=1, lost=lost))

    said = host.tell(SpoolChanged(now_ns=S, run="r", unacked=2, spool_bytes=9, losses=losses))

    (send,) = of_kind(said, SendReport)
    assert send.report.past[0].worker.lost == lost
    assert send.report.runs[0].workers[0].lost == lost
    assert send.report.runs[0].unacked == 2


def test_every_phase_is_in_the_table() -> None:
    assert set(AGENT_TRANSITIONS) == set(AgentPhase)
