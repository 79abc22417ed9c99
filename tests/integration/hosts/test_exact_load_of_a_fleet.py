"""Exactly the load that was asked for, from four hosts of different speed, as the cloud sees it."""

import json
import time
from typing import Any

import pytest
from lab.lab import Lab
from lab.site import SimulatedCloud, Site, check_books, dummy_task
from local_osbench import wait_for

pytestmark = pytest.mark.slow

SLOW_LISTS = {
    "method": "GET",
    "path": "/servers/detail",
    "then": {"kind": "latency", "delay": {"kind": "constant", "seconds": 0.1}},
}
#: How many workers a host has, what part of a core, and how far it is away.
HOSTS: dict[str, dict[str, Any]] = {
    "fast": {"workers": 2},
    "half": {"cores": 0.5},
    "far": {"delay_s": 0.04},
    "slow": {"cores": 0.3, "delay_s": 0.01},
}
RATE, SECONDS = 400, 5


@pytest.fixture(scope="module")
def cloud(module_lab: Lab) -> SimulatedCloud:
    """On a host of its own; its lists take 0.1 s."""
    return SimulatedCloud(module_lab, faults=[SLOW_LISTS])


@pytest.fixture(scope="module")
def site(module_lab: Lab, cloud: SimulatedCloud) -> Site:
    """A coordinator and four agents, one of them with jitter on its cable."""
    made = Site(module_lab, start_margin_s=1.0)
    made.start_coordinator()
    for name, options in HOSTS.items():
        made.join(name, **options)
        made.start_agent(name)
    module_lab.hosts["far"].set_delay(0.04, 0.01)
    spec = made.control.folder / "spec.json"
    spec.write_text(json.dumps(cloud.spec()))
    created = made.osbench("deployment", "create", "cloud", "--file", str(spec))
    assert created.returncode == 0, created.stderr
    made.wait_connected(*HOSTS)
    return made


@pytest.mark.parametrize("concurrency", [5, 1])
def test_the_cloud_sees_as_many_in_flight_as_asked(site: Site, cloud: SimulatedCloud, concurrency: int) -> None:
    """Five on the five workers of four hosts is one on each, and one is one in the whole fleet."""
    times = 30 * concurrency
    runner = {"constant": {"times": times, "concurrency": concurrency}}
    subtask = {
        "title": "lists",
        "scenario": {"NovaServers.list_servers": {}},
        "runner": runner,
        "contexts": {"users": {"tenants": 2, "users_per_tenant": 1}},
    }
    task = site.start_task({"version": 2, "title": "lists", "subtasks": [subtask]}, "--deployment", "cloud")
    wait_for("the load", lambda: [run.phase for run in site.results(task)] == ["running"])
    cloud.counters("DELETE")
    time.sleep(2)  # of the three seconds the load takes: set-up and clean-up are not in it
    peak = cloud.counters()["peak_in_flight"]
    ended = site.end_of_task(task)
    result = site.results(task)[0]
    workers = [one for one in result.accounting.workers if one.owned]
    print(f"\nconcurrency {concurrency}: {peak} in flight at most, from {len(workers)} workers")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert peak == concurrency
    assert len(workers) == concurrency
    assert sorted(site.indices(result.run)) == list(range(times))


def test_an_open_loop_of_400_a_second_stores_every_index_once(site: Site) -> None:
    times = RATE * SECONDS
    task = site.start_task(dummy_task({"rps": {"times": times, "rps": RATE}}), "--deployment", "nowhere")
    ended = site.end_of_task(task)
    result = site.results(task)[0]
    by_agent: dict[str, int] = {}
    for agent, _, _ in site.iterations(result.run):
        by_agent[agent] = by_agent.get(agent, 0) + 1
    print(f"\n{times} at {RATE}/s: {by_agent}, schedule kept {result.verdict.schedule_kept}")

    assert ended.returncode in (0, 3), ended.stdout + ended.stderr  # 3: a slow host was late, which the verdict says
    assert sorted(site.indices(result.run)) == list(range(times))
    assert set(by_agent) == set(HOSTS)
    check_books(result.accounting, site.indices(result.run))
