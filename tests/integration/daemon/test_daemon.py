"""The coordinator as a daemon: tasks of several command lines, one after another, and everything killed in between."""

import json
import signal
from collections.abc import Callable

import pytest
from daemon_osbench import Daemons
from local_osbench import task_file, wait_for

pytestmark = pytest.mark.slow


def agents_of(osbench: Daemons) -> list[str]:
    """Who took part in the last task."""
    return sorted({agent.agent for agent in osbench.result().agents})


def test_command_lines_share_a_coordinator_that_chooses_agents_by_number_label_and_standing(
    daemons: Callable[..., Daemons],
) -> None:
    osbench = daemons(agent_wait_s=1)
    osbench.start_coordinator()
    osbench.make_cloud()
    osbench.join("a", "--label", "fast")
    osbench.join("b")
    for name in "ab":
        osbench.start_agent(name)
    for name in "ab":
        osbench.wait_connected(name)

    first = osbench.start("task", "start", str(task_file(osbench.folder, times=4_000)))
    wait_for("the first task under way", lambda: osbench.stored_count() > 0)
    second = osbench.run("task", "start", str(task_file(osbench.folder, times=50, concurrency=2)))
    first.wait(60)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    tasks = json.loads(osbench.run("task", "list", "--json").stdout)
    assert [task["status"] for task in tasks] == ["finished", "finished"]
    assert agents_of(osbench) == ["a", "b"]

    file = str(task_file(osbench.folder, times=20, concurrency=2))
    assert osbench.run("task", "start", file, "--label", "fast").returncode == 0
    assert agents_of(osbench) == ["a"]
    too_many = osbench.run("task", "start", file, "--agents", "3")
    assert too_many.returncode == 1
    assert "3 agents asked, 2 there (a, b)" in too_many.stderr

    assert osbench.run("agent", "drain", "a").returncode == 0
    assert osbench.run("task", "start", file).returncode == 0
    assert agents_of(osbench) == ["b"]
    assert osbench.run("agent", "drain", "a", "--undo").returncode == 0

    assert osbench.coordinate("revoke", "b").returncode == 0
    wait_for("b shut out", lambda: osbench.standing("b") == "revoked")
    assert osbench.run("task", "start", file).returncode == 0
    assert agents_of(osbench) == ["a"]


def test_killed_or_stopped_the_next_start_goes_on_with_the_task_where_it_was(daemons: Callable[..., Daemons]) -> None:
    osbench = daemons()
    osbench.start_coordinator()
    osbench.make_cloud()
    osbench.with_agents(["a", "b"])
    started = osbench.run("task", "start", "--detach", str(task_file(osbench.folder, times=30_000, concurrency=8)))
    assert started.returncode == 0, started.stderr
    wait_for("records", lambda: osbench.stored_count() > 1_000)

    osbench.kill_coordinator()
    osbench.start_coordinator()
    wait_for("the agents", lambda: osbench.standing("a") == osbench.standing("b") == "connected")
    stopped = osbench.coordinate("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert osbench.coordinate("status").returncode == 1
    osbench.start_coordinator()
    watched = osbench.run("task", "watch")

    assert watched.returncode == 0, watched.stderr
    assert sorted(osbench.stored_iterations()) == list(range(30_000))
    assert osbench.result().verdict.complete.is_complete


def test_an_agent_that_comes_back_after_the_end_still_delivers_and_the_account_is_written_anew(
    daemons: Callable[..., Daemons],
) -> None:
    osbench = daemons(lease_s=2, lost_wait_s=0.5)
    osbench.start_coordinator()
    osbench.make_cloud()
    osbench.with_agents(["a", "b"])
    watching = osbench.start("task", "start", str(task_file(osbench.folder, times=2_000, sleep=0.01)))
    wait_for("records", lambda: osbench.stored_count() > 0)
    frozen = osbench.agents["b"]
    frozen.send_signal(signal.SIGSTOP)
    watching.wait(120)
    before = osbench.result().verdict.complete
    assert before.lost > 0

    frozen.send_signal(signal.SIGCONT)
    wait_for("its records", lambda: osbench.result().verdict.complete.stored > before.stored)
    wait_for("its account", lambda: osbench.result().verdict.complete.lost == 0)

    stored = osbench.stored_iterations()
    assert len(stored) == len(set(stored))
