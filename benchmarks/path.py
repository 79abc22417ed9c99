"""Calls per core-second over the whole path, from scenario to store, against a bare loop and against openstacksdk.

What is compared: GET of one server from a static nginx on loopback, 64 in flight. Ours: user + sys of all agent processes
(supervisor and worker) from the start of the load to the end of the run, so with recording, spooling and shipping; the
coordinator's CPU stands beside. Bare: pycurl's AsyncCurlMulti on uvloop, the same request, the body read and thrown away.
The SDK: `compute.get_server`, one after the other, as it is used. The server's CPU is in none of them.

    python -m benchmarks.path [--calls 40000] [--rounds 3]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.get_server import NAME, SERVER_ID
from benchmarks.static_server import static_server
from osbench.common.clock import NS_PER_MS, SystemClock
from osbench.common.job import Endpoints, Job, UserAccess
from osbench.common.plan import ClosedLoop, Plan
from osbench.common.task import RunnerSpec, Subtask, TaskSpec, Workload
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import open_home
from osbench.coordinator.local_agents import LocalAgent
from osbench.coordinator.local_run import local_parts
from osbench.coordinator.run_events import RunPhase, RunSettings
from osbench.coordinator.run_state import RunState
from osbench.coordinator.store.sql import open_store

IN_FLIGHT = 64
LIMIT_BARE = 0.4
LIMIT_SDK = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some calls cost: CPU seconds (user + sys), of whom it is told, and seconds they took."""

    calls: int
    cpu_s: float
    wall_s: float
    coordinator_cpu_s: float = 0.0

    @property
    def calls_per_core_second(self) -> float:
        return self.calls / self.cpu_s


def cpu_s(process: psutil.Process) -> float:
    """User + sys of a process and of its children that ended and were waited for."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


async def whole_path(url: str, calls: int) -> Cost:
    """Our own path, on one agent with one worker."""
    with tempfile.TemporaryDirectory(prefix="osbench-bench-") as folder:
        home = open_home(folder, {})
        store = open_store(home.database, clock=SystemClock())
        deployment = store.deployment_create(name="bench", engine="existing", spec={})
        for status in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
            store.deployment_update_status(deployment.id, status)
        workload = Workload(scenario=NAME, position=0, runner=RunnerSpec(kind="constant"))
        subtasks = (Subtask(title="bench", workloads=(workload,)),)
        spec = TaskSpec(title="bench", format_version=2, subtasks=subtasks)
        task = store.task_create(deployment=deployment.id, spec=spec)
        run = store.run_create(task=task.id, workload=workload)
        user = UserAccess(
            auth_url=url,
            username="bench",
            password="none",
            user_id="u",
            project_id="p",
            project_name="p",
            token="t" * 180,
            expires_at=time.time() + 86_400,
            endpoints=Endpoints(urls={"compute": url}),
        )
        schedule = ClosedLoop(concurrency=IN_FLIGHT, iterations=calls)
        plan = Plan(run=run.id, task=task.id, scenario=NAME, arguments={}, schedule=schedule, seed=1)
        command = (sys.executable, str(Path(__file__).with_name("get_server.py")), "agent")
        host = LocalAgent(home.agent_folder("bench"), "bench", command)
        clock = SystemClock()
        before: dict[str, float] = {}

        def on_phase(phase: RunPhase) -> None:
            process = host.process()
            if phase is RunPhase.ARMING and process is not None:
                before["agent"] = sum(cpu_s(one) for one in (process, *process.children(recursive=True)))
                before["coordinator"] = coordinator_cpu_s()
            elif phase is RunPhase.DRAINING:
                before["drained"] = time.monotonic()

        def coordinator_cpu_s() -> float:
            own = psutil.Process()
            ingest = [child for child in own.children() if "ingest_process" in " ".join(child.cmdline())]
            return sum(cpu_s(one) for one in (own, *ingest))

        async with local_parts(home, store, task.id, clock, [host], 1) as (conductor, _):
            settings = RunSettings(expected=("bench",), start_margin_ns=300 * NS_PER_MS)
            accounting = await conductor.conduct(
                RunState(plan, settings),
                Job(plan=plan, users=(user,)),
                admits=lambda hello, taking: True,
                on_phase=on_phase,
                on_committed=lambda _: None,
            )
            process = host.process()
            assert process is not None, "the agent is there until it is ended"
            agent_s = cpu_s(process) - before["agent"]
            coordinator_s = coordinator_cpu_s() - before["coordinator"]
            wall_s = 0.0
        extent = store.extent_get(run.id)
        store.close()
    assert accounting.ok == calls, f"{accounting.ok} of {calls} calls went well: {accounting}"
    assert extent is not None
    wall_s = (extent.last_ended_ns - extent.first_started_ns) / 1e9
    return Cost(calls=calls, cpu_s=agent_s, wall_s=wall_s, coordinator_cpu_s=coordinator_s)


BARE = """
import asyncio, io, json, resource, sys, time
import pycurl, uvloop
url, calls, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
headers = ["X-Auth-Token: " + "t" * 180, "Accept: application/json", "User-Agent: bare"]
async def main():
    multi = pycurl.AsyncCurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, in_flight + 8)
    left = calls
    async def slot():
        nonlocal left
        curl = pycurl.Curl()
        while left > 0:
            left -= 1
            body = io.BytesIO()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.HTTPHEADER, headers)
            curl.setopt(pycurl.WRITEDATA, body)
            await multi.perform(curl)
            assert curl.getinfo(pycurl.RESPONSE_CODE) == 200
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await asyncio.gather(*(slot() for _ in range(in_flight)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps([cpu, time.monotonic() - began]))
uvloop.run(main())
"""

SDK = """
import json, resource, sys, time
import openstack
url, server, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = openstack.connect(
    auth_type="admin_token", auth={"endpoint": url, "token": "t" * 180}, compute_endpoint_override=url,
    compute_api_version="2.1", region_name="RegionOne")
compute = connection.compute
compute.get_server(server)
before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
for _ in range(calls):
    compute.get_server(server)
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([cpu, time.monotonic() - began]))
"""


def peer(program: str, calls: int, *arguments: str) -> Cost:
    """What a peer needs, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise SystemExit(f"the peer failed: {done.stderr[-2000:]}")
    cpu, wall = json.loads(done.stdout)
    return Cost(calls=calls, cpu_s=cpu, wall_s=wall)


def main() -> int:
    """Run rounds, each with all three, and print medians; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--sdk-calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    ratios: list[tuple[float, float]] = []
    with static_server(cores[0]) as url:
        target = f"{url}/servers/{SERVER_ID}"
        for number in range(1, options.rounds + 1):
            bare = peer(BARE, options.calls, target, str(options.calls), str(IN_FLIGHT))
            ours = asyncio.run(whole_path(url, options.calls))
            sdk = peer(SDK, options.sdk_calls, url, SERVER_ID, str(options.sdk_calls))
            ratios.append(
                (
                    ours.calls_per_core_second / bare.calls_per_core_second,
                    ours.calls_per_core_second / sdk.calls_per_core_second,
                )
            )
            print(
                f"round {number}: calls per core-second: whole path {ours.calls_per_core_second:,.0f}"
                f" ({ours.calls / ours.wall_s:,.0f} calls/s; coordinator {ours.coordinator_cpu_s / ours.calls * 1e6:.0f}"
                f" us of CPU a call), bare AsyncCurlMulti {bare.calls_per_core_second:,.0f},"
                f" openstacksdk {sdk.calls_per_core_second:,.0f}"
            )
    of_bare, of_sdk = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"whole path / bare AsyncCurlMulti = {of_bare:.2f}   (at least {LIMIT_BARE})")
    print(f"whole path / openstacksdk = {of_sdk:.1f}   (at least {LIMIT_SDK:g})")
    return int(of_bare < LIMIT_BARE or of_sdk < LIMIT_SDK)


if __name__ == "__main__":
    sys.exit(main())
