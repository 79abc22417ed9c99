"""Faults that must end well, each with real processes on one host: nothing accepted is lost or doubled, and what is
missing is said with agent and second."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from local_osbench import Osbench, task_file, wait_for

pytestmark = pytest.mark.slow


def check_accounts(osbench: Osbench) -> None:
    """Stored = distinct, and every index that was to run is accounted for exactly once."""
    accounting = osbench.result().accounting
    iterations = osbench.stored_iterations()

    assert len(iterations) == len(set(iterations)) == accounting.stored
    assert accounting.planned == accounting.stored + accounting.lost + accounting.not_run


def test_an_undisturbed_open_loop_stores_every_index_once(osbench: Osbench, tmp_path: Path) -> None:
    run = osbench.start(
        "task", "start", str(task_file(tmp_path, times=1_500, rps=500)), "--agents", "2", "--workers", "1"
    )

    assert osbench.finish(run) == 0, osbench.output()
    assert sorted(osbench.stored_iterations()) == list(range(1_500))
    assert "VALID" in osbench.output()


def test_a_killed_worker_loses_only_what_it_had_not_written_and_others_run_the_rest(
    osbench: Osbench, tmp_path: Path
) -> None:
    """Done when: a worker killed -9 mid-run."""
    run = osbench.start("task", "start", str(task_file(tmp_path, times=30_000)), "--workers", "2")
    wait_for("records in the store", lambda: osbench.stored_count() > 3_000)

    os.kill(osbench.workers()[0].pid, signal.SIGKILL)

    assert osbench.finish(run) == 3, osbench.output()
    check_accounts(osbench)
    accounting = osbench.result().accounting
    dead = [one for one in accounting.workers if one.state == "died"]
    assert len(dead) == 1
    assert accounting.not_run == 0
    assert 0 < accounting.lost == dead[0].lost < 3_000
    assert dead[0].batches == dead[0].last_seq
    assert "local-1 worker 0, second" in osbench.output()


def test_a_killed_coordinator_is_resumed_with_nothing_lost_and_nothing_twice(osbench: Osbench, tmp_path: Path) -> None:
    """Done when: the whole local coordinator killed -9 with ≥ 100,000 iterations and ≥ 50 batches unacknowledged."""
    path = task_file(tmp_path, times=150_000, concurrency=16)
    run = osbench.start("task", "start", str(path), "--workers", "2")
    wait_for("records in the store", lambda: osbench.stored_count() > 10_000)
    ingest = osbench.child(run.pid, "ingest_process")
    contexts = osbench.child(run.pid, "osbench.coordinator.contexts")
    assert ingest is not None
    ingest.suspend()
    before = osbench.stored_count()
    wait_for("55 batches that wait in the spool", lambda: waiting_batches(osbench) >= 55)

    for pid in (run.pid, ingest.pid, *((contexts.pid,) if contexts is not None else ())):
        os.kill(pid, signal.SIGKILL)
    run.wait(10)
    time.sleep(1)
    unacked = waiting_batches(osbench)
    print(f"\nkilled with {before:,} iterations stored and {unacked} batches unacknowledged")
    assert unacked >= 50

    resumed = osbench.start("task", "resume")

    assert osbench.finish(resumed) == 0, osbench.output()
    check_accounts(osbench)
    accounting = osbench.result().accounting
    written = sum(one.stored for one in accounting.workers)
    print(f"stored = distinct = written = {accounting.stored:,}")
    assert accounting.stored == written == 150_000


def test_when_everything_was_killed_the_task_is_resumed_and_says_what_is_lost(osbench: Osbench, tmp_path: Path) -> None:
    """What was written is delivered by the agent's next life, what was not started is run, the rest is lost."""
    run = osbench.start("task", "start", str(task_file(tmp_path, times=40_000, concurrency=8)), "--workers", "2")
    wait_for("records in the store", lambda: osbench.stored_count() > 3_000)
    children = [child.pid for child in psutil.Process(run.pid).children()]
    ours = [one.pid for one in (*osbench.agents(), *osbench.workers())]

    for pid in {run.pid, *children, *ours}:
        os.kill(pid, signal.SIGKILL)
    run.wait(10)
    resumed = osbench.start("task", "resume")

    assert osbench.finish(resumed) == 3, osbench.output()
    check_accounts(osbench)
    accounting = osbench.result().accounting
    assert accounting.not_run == 0
    assert 0 < accounting.lost < 10_000
    assert all(loss.agent == "local-1" and loss.first_second >= 0 for loss in accounting.losses)


def test_a_killed_ingest_process_is_started_again_with_nothing_lost_and_nothing_twice(
    osbench: Osbench, tmp_path: Path
) -> None:
    """It may die between a commit and its word of it: what was stored is told again out of the store."""
    run = osbench.start("task", "start", str(task_file(tmp_path, times=40_000, concurrency=16)), "--workers", "1")
    wait_for("records in the store", lambda: osbench.stored_count() > 2_000)
    ingest = osbench.child(run.pid, "ingest_process")
    assert ingest is not None

    os.kill(ingest.pid, signal.SIGKILL)

    assert osbench.finish(run) == 0, osbench.output()
    check_accounts(osbench)
    assert osbench.result().accounting.stored == 40_000


def waiting_batches(osbench: Osbench) -> int:
    """Batches in the spool that the store does not have."""
    from osbench.agent.spool import scan_segment

    store = osbench.store()
    try:
        run = store.run_list(store.task_list()[-1].id)[0]
        stored = {
            (total.agent, total.life, total.worker, seq)
            for total in store.batch_totals(run.id)
            for seq in store.batch_seqs(run.id, total.agent, total.life, total.worker)
        }
    finally:
        store.close()
    keys = {entry.header.key[1:] for path in osbench.segments() for entry in scan_segment(path)}
    return len(keys - stored)


def test_a_killed_agent_is_started_again_and_delivers_what_it_had_spooled(osbench: Osbench, tmp_path: Path) -> None:
    run = osbench.start("task", "start", str(task_file(tmp_path, times=40_000)), "--workers", "2")
    wait_for("records in the store", lambda: osbench.stored_count() > 3_000)

    os.kill(osbench.agents()[0].pid, signal.SIGKILL)

    assert osbench.finish(run) in (0, 3), osbench.output()
    check_accounts(osbench)
    accounting = osbench.result().accounting
    # Its workers lived: they ended what was in flight and wrote it, so nothing is lost.
    assert accounting.lost == 0
    assert len({one.life for one in accounting.workers}) == 2


def test_a_frozen_worker_turns_the_verdict_naming_agent_and_second(osbench: Osbench, tmp_path: Path) -> None:
    """Done when: a SIGSTOPped worker."""
    path = task_file(tmp_path, times=60, concurrency=2, sleep=0.3)
    run = osbench.start("task", "start", str(path), "--workers", "1", "--require-valid")
    wait_for("records in the store", lambda: osbench.stored_count() > 4)
    worker = osbench.workers()[0]

    worker.suspend()
    time.sleep(4)
    worker.resume()

    assert osbench.finish(run) == 3, osbench.output()
    check_accounts(osbench)
    findings = osbench.result().verdict.findings
    assert any(one.agent == "local-1" and one.worker == 0 and one.value > 3.5e9 for one in findings), findings
    assert "INVALID" in osbench.output()
    assert "local-1 worker 0, second" in osbench.output()


def test_a_hog_of_all_cores_turns_the_verdict_naming_agent_and_second(osbench: Osbench, tmp_path: Path) -> None:
    """Done when: a CPU hog."""
    run = osbench.start(
        "task", "start", str(task_file(tmp_path, times=100_000, concurrency=32)), "--workers", "1", "--require-valid"
    )
    wait_for("records in the store", lambda: osbench.stored_count() > 1_000)
    program = "import time\nend = time.monotonic() + 10\nwhile time.monotonic() < end: pass"
    # Sessions of their own: the kernel shares cores among sessions first (sched_autogroup), and so shields an agent
    # from any number of hogs within one.
    hogs = [
        subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        for _ in range(8 * (psutil.cpu_count() or 2))
    ]
    for hog in hogs:
        hog.wait(60)

    assert osbench.finish(run) == 3, osbench.output()
    findings = osbench.result().verdict.findings
    assert any(one.agent == "local-1" and one.worker == 0 for one in findings)
    assert "INVALID" in osbench.output()


def test_a_deleted_spool_segment_is_counted_as_lost_naming_agent_and_second(osbench: Osbench, tmp_path: Path) -> None:
    """Done when: a deleted spool segment."""
    path = task_file(tmp_path, times=100_000, concurrency=16)
    run = osbench.start("task", "start", str(path), "--workers", "1")
    wait_for("records in the store", lambda: osbench.stored_count() > 1_000)
    ingest = osbench.child(run.pid, "ingest_process")
    assert ingest is not None
    ingest.suspend()
    # More than may be under way to ingest at once: the others are in the spool and nowhere else.
    wait_for("60 batches in the spool", lambda: waiting_batches(osbench) > 60)

    for segment in osbench.segments():
        segment.unlink()
    time.sleep(1.5)
    ingest.resume()

    assert osbench.finish(run) == 3, osbench.output()
    check_accounts(osbench)
    accounting = osbench.result().accounting
    assert accounting.lost > 0
    assert all(loss.agent == "local-1" and loss.first_second >= 0 for loss in accounting.losses), accounting.losses
    assert "local-1 worker 0, second" in osbench.output()


def test_ctrl_c_once_lets_what_is_in_flight_end_and_exits_4(osbench: Osbench, tmp_path: Path) -> None:
    run = osbench.start("task", "start", str(task_file(tmp_path, times=100_000, sleep=0.05)), "--workers", "1")
    wait_for("records in the store", lambda: osbench.stored_count() > 50)

    run.send_signal(signal.SIGINT)

    assert osbench.finish(run) == 4, osbench.output()
    check_accounts(osbench)
    accounting = osbench.result().accounting
    assert accounting.lost == 0
    assert accounting.unknown == 0
    assert osbench.agents() == []


def test_ctrl_c_twice_ends_what_is_in_flight(osbench: Osbench, tmp_path: Path) -> None:
    run = osbench.start("task", "start", str(task_file(tmp_path, times=1_000, sleep=60)), "--workers", "1")
    wait_for("iterations in flight", lambda: "running" in osbench.output())
    time.sleep(1)

    run.send_signal(signal.SIGINT)
    time.sleep(1)
    run.send_signal(signal.SIGINT)

    assert osbench.finish(run) == 4, osbench.output()
    check_accounts(osbench)
    assert osbench.result().accounting.unknown == 4
