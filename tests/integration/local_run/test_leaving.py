"""An agent that is told to end in the middle of a run: what is in flight ends, the rest goes to others, nothing is lost."""

import signal
from pathlib import Path

import pytest
from local_osbench import Osbench, task_file, wait_for

pytestmark = pytest.mark.slow


def test_an_agent_told_to_end_drains_loses_nothing_and_others_run_the_rest(osbench: Osbench, tmp_path: Path) -> None:
    path = task_file(tmp_path, times=6_000, concurrency=8, sleep=0.004)
    run = osbench.start("task", "start", str(path), "--agents", "2", "--workers", "1")
    wait_for("records in the store", lambda: osbench.stored_count() > 500)
    leaving = min(osbench.agents(), key=lambda one: one.pid)
    folder = Path(leaving.cmdline()[leaving.cmdline().index("--config") + 1]).parent

    with (folder / "agent.log").open() as log:  # it is deleted with the task's other files
        leaving.send_signal(signal.SIGTERM)
        assert osbench.finish(run) == 0, osbench.output()
        told = log.read()

    accounting = osbench.result().accounting
    assert (accounting.stored, accounting.lost, accounting.not_run) == (6_000, 0, 0)
    assert sorted(osbench.stored_iterations()) == list(range(6_000))
    first, *_ = [worker for worker in accounting.workers if worker.agent == folder.name]
    assert (first.state, 0 < first.owned < 3_000) == ("ended", True)
    assert "told to end: draining" in told
    assert "are not done: stopping them" not in told


def test_an_agent_told_to_end_cuts_off_what_takes_longer_than_its_grace_and_records_it(
    osbench: Osbench, tmp_path: Path
) -> None:
    """Killed instead, its iterations in flight would be lost; so they are unknown, which is the truth."""
    path = task_file(tmp_path, times=4, concurrency=4, sleep=40)
    run = osbench.start("task", "start", str(path), "--agents", "1", "--workers", "1")
    wait_for("a worker", osbench.workers)
    (agent,) = osbench.agents()
    status = Path(agent.cmdline()[agent.cmdline().index("--config") + 1]).parent / "spool" / "status.json"
    # All that there is to start is started, so the coordinator has the worker drain already.
    wait_for("iterations in flight", lambda: status.exists() and '"phase":"draining"' in status.read_text())
    agent.send_signal(signal.SIGTERM)

    assert osbench.finish(run) == 2, osbench.output()  # no failure is allowed by default

    accounting = osbench.result().accounting
    assert (accounting.unknown, accounting.lost) == (4, 0)
