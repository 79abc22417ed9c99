"""Five hundred agents at one coordinator; what they cost it is judged by `make bench` (benchmarks/light_agents)."""

import json
import subprocess
import sys

import psutil
import pytest
from lab.lab import Lab
from lab.site import Site
from local_osbench import wait_for

from benchmarks.light_agents import FLEET, Fleet, enrol, measure, parts_of, setup_of

pytestmark = pytest.mark.slow

AGENTS = 500


def test_five_hundred_agents_are_taken_and_come_back_after_the_coordinator_was_killed(lab: Lab) -> None:
    site = Site(lab)
    with site.opened() as store:
        identities = enrol(store, AGENTS)
    site.start_coordinator()
    assert site.coordinator is not None
    load = lab.host("load")
    setup = setup_of(identities, site.home, site.control.address, 7761, 7762)
    process = subprocess.Popen(
        load.entering(sys.executable, str(FLEET)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=load.environment,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(setup) + "\n")
    fleet = Fleet(process)
    fleet.wait_welcomed()
    listed = site.connected()
    shares = measure(parts_of(psutil.Process(site.coordinator.pid)), 5.0)
    print(
        f"\n{AGENTS} agents: coordinator's main process {shares['main']:.1%} of a core, ingest {shares['ingest']:.1%}"
    )
    before = fleet.count()

    site.kill_coordinator()
    site.start_coordinator()
    wait_for("all agents", lambda: site.connected() == listed)
    after = fleet.wait_welcomed()
    process.communicate(timeout=30)

    assert listed == {identity["name"] for identity in identities}
    assert before["refusals"] == 0
    assert after["welcomed"] == AGENTS
