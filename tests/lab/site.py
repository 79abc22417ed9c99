"""OSBench as it is installed: a coordinator on a host of its own, agents on others, and a shell beside the coordinator.

Rules: everything is done by the commands that an operator has: `osbench-coordinator`, `osbench-agent`, `osbench`. What a
run came to is read out of the coordinator's store.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import yaml
from local_osbench import wait_for

from lab.host import Host, HostProcess
from lab.lab import Lab
from osbench.agent.spool import scan_segment
from osbench.common.clock import SystemClock
from osbench.common.record import IterationRow, decode_rows
from osbench.coordinator.accounting import Accounting
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import open_home
from osbench.coordinator.result import RunResult
from osbench.coordinator.result_reader import read_run
from osbench.coordinator.store.sql import SqlStore, open_store
from osbench.coordinator.store.values import Run

PATIENCE_S = 60.0
CLOUD_PORT = 8774
CLOUD_TOKEN = "opens-the-control-path"
#: What a coordinator's ingest process and its process for clouds are started with.
INGEST, CONTEXTS = "ingest_process", "osbench.coordinator.contexts"


class Site:
    """A coordinator's host with its home, and agents.

    Args:
        lab: the network. config: settings of the coordinator.
    """

    def __init__(self, lab: Lab, **config: Any) -> None:
        self.lab = lab
        self.control = lab.host("control")
        self.home = self.control.folder / "osbench"
        self.control.environment["OSBENCH_HOME"] = str(self.home)
        self.coordinator: HostProcess | None = None
        self.agents: dict[str, HostProcess] = {}
        self._config = {"advertise": self.control.address, **config}
        self._prepare_home()

    def _prepare_home(self) -> None:
        """A deployment that needs no cloud, for scenarios that ask nothing of any."""
        home = open_home(str(self.home), {})
        (self.home / "coordinator.yaml").write_text(yaml.safe_dump(self._config))
        store = self.store()
        deployment = store.deployment_create(name="nowhere", engine="existing", spec={})
        for status in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
            store.deployment_update_status(deployment.id, status)
        store.close()
        home.choose(deployment=deployment.id)

    # The coordinator.

    def start_coordinator(self, *options: str) -> None:
        """Start the daemon, and wait until it serves."""
        started = self.control.start("osbench-coordinator", "start", *options)
        self.coordinator = started

        def serves() -> bool:
            assert started.is_alive(), f"the coordinator ended: {started.output()}"
            return "the API listens at" in started.output()

        wait_for("the coordinator", serves)

    def part(self, module: str) -> psutil.Process:
        """One of the coordinator's own processes."""
        assert self.coordinator is not None
        children = psutil.Process(self.coordinator.pid).children()
        return next(child for child in children if module in " ".join(child.cmdline()))

    def kill_coordinator(self) -> None:
        """kill -9 of all its processes at once."""
        assert self.coordinator is not None
        for child in psutil.Process(self.coordinator.pid).children(recursive=True):
            child.kill()
        self.coordinator.kill()

    def osbench(self, *words: str, patience_s: float = PATIENCE_S) -> "subprocess.CompletedProcess[str]":
        """Run a command in the shell beside the coordinator."""
        return self.control.run("osbench", *words, patience_s=patience_s)

    def start_task(self, document: dict[str, Any], *options: str) -> str:
        """Put a task into the queue; its id."""
        path = self.control.folder / "task.json"
        path.write_text(json.dumps(document))
        done = self.osbench("task", "start", str(path), "--detach", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def end_of_task(self, task: str, patience_s: float = 120.0) -> "subprocess.CompletedProcess[str]":
        """Watch a task to its end, as its user would."""
        return self.osbench("task", "watch", task, patience_s=patience_s)

    # The agents.

    def join(self, name: str, *, workers: int = 1, **host: Any) -> Host:
        """Make a host and have it join, as an operator does: one line from here to there."""
        made = self.lab.host(name, **host)
        made.environment["OSBENCH_AGENT_CONFIG"] = str(made.folder / "agent.json")
        line = self.control.run("osbench-coordinator", "invite", name, "--address", self.control.address)
        assert line.returncode == 0, line.stderr
        joined = made.run(
            *("osbench-agent", "join", "--spool", str(made.folder / "spool"), "--workers", str(workers)),
            stdin=line.stdout,
        )
        assert joined.returncode == 0, joined.stderr
        return made

    def start_agent(self, name: str, *options: str) -> None:
        """Start the daemon of a host that has joined."""
        self.agents[name] = self.lab.hosts[name].start("osbench-agent", "start", *options)

    def kill_agent(self, name: str, *, with_workers: bool) -> None:
        """kill -9 of the supervisor, and of its workers or not."""
        if with_workers:
            self.lab.hosts[name].kill()
        else:
            self.agents[name].kill()

    def connected(self) -> set[str]:
        """Names of agents that the coordinator is in touch with."""
        done = self.osbench("agent", "list", "--json")
        if done.returncode:
            return set()
        return {agent["name"] for agent in json.loads(done.stdout) if agent["standing"] == "connected"}

    def wait_connected(self, *names: str) -> None:
        """Wait until all of these are."""
        wait_for(f"agents {names}", lambda: self.connected() >= set(names))

    def unacknowledged(self) -> int:
        """Batches of the newest run in the spools of all hosts that the store does not have."""
        with self.opened() as store:
            run = newest_run(store)
            stored = {
                (total.agent, total.life, total.worker, seq)
                for total in store.batch_totals(run.id)
                for seq in store.batch_seqs(run.id, total.agent, total.life, total.worker)
            }
        segments = [path for host in self.lab.hosts.values() for path in host.folder.glob(f"spool/**/{run.id}/*.seg")]
        keys = set()
        for path in segments:
            try:
                keys |= {entry.header.key[1:] for entry in scan_segment(path)}
            except FileNotFoundError:
                continue  # all of it was acknowledged meanwhile
        return len(keys - stored)

    # What came of it.

    def store(self) -> SqlStore:
        home = open_home(str(self.home), {})
        return open_store(home.database, clock=SystemClock(), key_file=home.key_file)

    @contextmanager
    def opened(self) -> Iterator[SqlStore]:
        """The store, for a look."""
        store = self.store()
        try:
            yield store
        finally:
            store.close()

    def results(self, task: str) -> list[RunResult]:
        """Of all runs of a task."""
        with self.opened() as store:
            return [read_run(store, run.id) for run in store.run_list(task)]

    def stored_count(self) -> int:
        """Iterations of the newest run, without decoding."""
        with self.opened() as store:
            if not store.task_list():
                return 0
            runs = store.run_list(store.task_list()[-1].id)
            return sum(total.iterations for total in store.batch_totals(runs[-1].id)) if runs else 0

    def iterations(self, run: str) -> list[tuple[str, int, IterationRow]]:
        """What is in all batches of a run, as often as it is there: agent, life and row."""
        with self.opened() as store:
            return [
                (batch.header.agent, batch.header.life, IterationRow(*row))
                for batch in store.batch_iterate(run)
                for row in decode_rows(batch.header, batch.body).iterations
            ]

    def indices(self, run: str) -> list[int]:
        """Indices in all batches of a run, as often as they are there."""
        return [row.iteration for _, _, row in self.iterations(run)]


def newest_run(store: SqlStore) -> Run:
    """The last run of the last task."""
    return store.run_list(store.task_list()[-1].id)[-1]


def dummy_task(*runners: dict[str, dict[str, Any]], sleep_s: float = 0.001, title: str = "trial") -> dict[str, Any]:
    """A task of one workload of Dummy.dummy for each runner, e.g. `{"constant": {"times": 10, "concurrency": 1}}`."""
    subtasks = [
        {"title": f"dummy {number}", "scenario": {"Dummy.dummy": {"sleep": sleep_s}}, "runner": runner}
        for number, runner in enumerate(runners)
    ]
    return {"version": 2, "title": title, "subtasks": subtasks}


def check_books(accounting: Accounting, indices: list[int]) -> None:
    """Stored = distinct, and every index that was to run is accounted for exactly once."""
    assert len(indices) == len(set(indices)) == accounting.stored
    if accounting.planned is not None:
        assert accounting.planned == accounting.stored + accounting.lost + accounting.not_run


class SimulatedCloud:
    """A simulated cloud on a host of its own.

    Args:
        config: of the cloud.
    """

    def __init__(self, lab: Lab, **config: Any) -> None:
        self.host = lab.host("cloud")
        self.origin = f"http://{self.host.address}:{CLOUD_PORT}"
        path = self.host.folder / "cloud.json"
        path.write_text(json.dumps({"control_token": CLOUD_TOKEN, **config}))
        listen = f"{self.host.address}:{CLOUD_PORT}"
        module = "osbench.deploy.simulated"
        command = (sys.executable, "-m", module, "--listen", listen, "--config", str(path), "--lifetime", "600")
        self.process = self.host.start(*command)
        wait_for("the cloud", lambda: "simulated cloud: http" in self.process.output())

    def counters(self, method: str = "GET") -> dict[str, Any]:
        """Ask the control path for its counters, or (DELETE) begin them anew."""
        request = urllib.request.Request(
            f"{self.origin}/_osbench/counters", method=method, headers={"X-Osbench-Control": CLOUD_TOKEN}
        )

        def ask() -> dict[str, Any]:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.loads(answer.read() or b"{}"))

        return self.host.within(ask)

    def spec(self) -> dict[str, Any]:
        """How a deployment of the engine `existing` reaches it."""
        return {
            "type": "existing",
            "auth_url": f"{self.origin}/identity/v3",
            "region_name": "RegionOne",
            "admin": {
                "username": "admin",
                "password": "secret",
                "project_name": "admin",
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
        }


def suspend(process: psutil.Process) -> None:
    """SIGSTOP; for the ingest process, so that batches gather at the agents."""
    os.kill(process.pid, signal.SIGSTOP)
