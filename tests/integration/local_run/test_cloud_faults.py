"""What a cloud does wrong, to whole local runs: the run ends, every iteration is accounted for, the errors are told with
their counts, and nothing of ours stays on the cloud."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cloud_targets import Target
from local_osbench import Osbench, wait_for

from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import open_home
from osbench.coordinator.result import RunResult

pytestmark = pytest.mark.slow

TOKEN = "control"
Simulate = Callable[..., Target]


@dataclass
class Bench:
    """A home whose deployment in use is a simulated cloud."""

    osbench: Osbench
    target: Target
    folder: Path
    before: dict[str, list[str]]

    def task(
        self,
        *,
        times: int = 40,
        concurrency: int = 8,
        timeout: float = 0,
        arguments: dict[str, Any] | None = None,
        scenario: str = "NovaServers.boot_and_delete_server",
        tenants: int = 2,
        users: int = 2,
        max_failed: float = 100,
    ) -> str:
        """A task file."""
        runner: dict[str, Any] = {"times": times, "concurrency": concurrency}
        if timeout:
            runner["timeout"] = timeout
        booting = {"flavor": {"name": "m1.tiny"}, "image": {"name": "^cirros.*-disk$"}}
        subtask = {
            "title": "a",
            "scenario": {scenario: booting if arguments is None else arguments},
            "runner": {"constant": runner},
            "contexts": {"users": {"tenants": tenants, "users_per_tenant": users}},
            "sla": {"failure_rate": {"max": max_failed}},
        }
        path = self.folder / "task.json"
        path.write_text(json.dumps({"version": 2, "title": "faults", "subtasks": [subtask]}))
        return str(path)

    def run(self, *options: str, **task: Any) -> int:
        """Run a task to its end; its exit code."""
        return self.osbench.finish(self.osbench.start("task", "start", self.task(**task), *options))

    def no_more_faults(self) -> None:
        """From now on all goes well."""
        origin = self.target.admin.auth_url.partition("/identity")[0]
        request = urllib.request.Request(
            f"{origin}/_osbench/faults", method="DELETE", headers={"X-Osbench-Control": TOKEN}
        )
        urllib.request.urlopen(request, timeout=10).close()

    def check(self) -> RunResult:
        """What holds whatever the cloud does; the result."""
        self.no_more_faults()
        result = self.osbench.result()
        accounting = result.accounting
        stored = self.osbench.stored_iterations()

        assert self.target.holds() == self.before
        assert len(stored) == len(set(stored)) == accounting.stored
        assert accounting.planned == accounting.stored + accounting.lost + accounting.not_run
        assert accounting.lost == 0
        assert accounting.stored == accounting.ok + accounting.failed + accounting.unknown
        assert self.osbench.agents() == []
        return result


@pytest.fixture
def bench(osbench: Osbench, simulate: Simulate, tmp_path: Path) -> Callable[..., Bench]:
    """Starts a simulated cloud with the configuration given, and puts it into use."""

    def start(**config: Any) -> Bench:
        target = simulate(control_token=TOKEN, **config)
        store = osbench.store()
        made = store.deployment_create(name="faulty", engine="existing", spec={})
        store.deployment_update_status(made.id, DeploymentStatus.STARTED)
        store.deployment_update(made.id, credentials=target.credentials)
        store.deployment_update_status(made.id, DeploymentStatus.FINISHED)
        store.close()
        open_home(str(osbench.home), {}).choose(deployment=made.id)
        made_bench = Bench(osbench, target, tmp_path, {})
        made_bench.before = target.holds()
        return made_bench

    return start


def fault(kind: str, **more: Any) -> dict[str, Any]:
    """A rule for what the load asks of Nova; `then` has the keys of the fault itself."""
    then = {"kind": kind, **more.pop("then", {})}
    return {"service": "compute", "then": then, **more}


def counted(result: RunResult, kind: str) -> int:
    """How many errors of a kind, or with these words, the report tells of."""
    return sum(error.count for error in result.errors if kind in f"{error.kind} {error.message}")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_tenth_of_all_calls_refused(bench: Callable[..., Bench], status: int) -> None:
    """Keystone's and Glance's too: the set-up and the clean-up get through."""
    made = bench(faults=[{"probability": 0.1, "then": {"kind": "status", "status": status}}])

    assert made.run() == 0, made.osbench.output()
    result = made.check()
    assert 0 < result.accounting.failed < 40
    assert counted(result, str(status)) >= result.accounting.failed
    assert f"HTTP {status}" in made.osbench.output() or f"http_{status}" in made.osbench.output()


def test_calls_that_hang_end_with_the_timeout_of_the_iteration(bench: Callable[..., Bench]) -> None:
    made = bench(faults=[fault("hang", every=20)])

    assert made.run(timeout=2) == 0, made.osbench.output()
    result = made.check()
    assert result.accounting.unknown > 0
    assert counted(result, "iteration exceeded 2 s") == result.accounting.unknown


@pytest.mark.parametrize(
    "rule",
    [
        fault("cut", probability=0.1),
        fault("reset", probability=0.1),
        fault("cut", method="POST", path="/servers$", every=3),
        fault("reset", method="POST", path="/servers$", every=3),
    ],
    ids=["cut anywhere", "reset anywhere", "cut creates", "reset creates"],
)
def test_answers_that_break_off_leave_no_server(bench: Callable[..., Bench], rule: dict[str, Any]) -> None:
    """A server that was made although its answer never came is found by its name."""
    made = bench(faults=[rule])

    assert made.run() == 0, made.osbench.output()
    accounting = made.check().accounting
    assert accounting.failed + accounting.unknown > 0


def test_tokens_that_expire_are_renewed_amid_the_load(bench: Callable[..., Bench]) -> None:
    made = bench(faults=[fault("expire_token", every=25)])

    assert made.run() == 0, made.osbench.output()
    result = made.check()
    assert counted(result, "http_401") >= 5
    # A call is repeated once: where its new token is revoked too, by what another iteration met, it fails.
    assert result.accounting.failed <= 5
    assert any(line.is_renewal for line in result.calls)


def test_a_spent_quota_is_told(bench: Callable[..., Bench]) -> None:
    made = bench(quotas={"compute": {"instances": 2}})

    assert made.run(tenants=1) == 0, made.osbench.output()
    result = made.check()
    assert 0 < result.accounting.failed < 40
    assert counted(result, "uota") > 0


def test_servers_that_go_to_error_are_failures_and_are_removed(bench: Callable[..., Bench]) -> None:
    made = bench(errors={"server_build": 0.5})

    assert made.run() == 0, made.osbench.output()
    assert 0 < made.check().accounting.failed < 40


def test_servers_stuck_in_build_end_with_the_timeout_and_are_removed(bench: Callable[..., Bench]) -> None:
    made = bench(stuck={"server_build": 0.2})

    assert made.run(timeout=2) == 0, made.osbench.output()
    assert 0 < made.check().accounting.unknown < 40


def test_a_failed_criterion_ends_the_task_with_2_if_the_user_asked_so(bench: Callable[..., Bench]) -> None:
    """Not with 3: that the rest was not run is what was asked for."""
    made = bench(errors={"server_build": 1.0})

    assert made.run("--abort-on-sla-failure", times=2_000, max_failed=0) == 2, made.osbench.output()
    assert made.check().accounting.not_run > 0


def test_a_task_killed_amid_its_clean_up_is_cleaned_up_when_resumed(bench: Callable[..., Bench]) -> None:
    """Its run was over and judged, so that resume took it for done."""
    slow = {"kind": "latency", "delay": {"kind": "constant", "seconds": 0.3}}
    made = bench(faults=[{"service": "identity", "method": "DELETE", "then": slow}])
    run = made.osbench.start("task", "start", made.task(times=4, concurrency=2, tenants=3, users=10))
    wait_for("the clean-up", lambda: "cleaning up" in made.osbench.output())
    run.kill()
    run.wait()
    assert made.target.holds() != made.before

    assert made.osbench.finish(made.osbench.start("task", "resume")) == 0, made.osbench.output()
    made.check()


def test_a_cloud_that_dies_amid_the_load_ends_the_task_with_an_error(bench: Callable[..., Bench]) -> None:
    """Nothing can be removed from it then; what is left is counted and said."""
    made = bench()
    run = made.osbench.start("task", "start", made.task(times=100_000))
    wait_for("records in the store", lambda: made.osbench.stored_count() > 20)
    broken = [{"then": {"kind": "reset", "is_done": False}}]
    origin = made.target.admin.auth_url.partition("/identity")[0]
    request = urllib.request.Request(
        f"{origin}/_osbench/faults",
        method="PUT",
        data=json.dumps(broken).encode(),
        headers={"X-Osbench-Control": TOKEN},
    )
    urllib.request.urlopen(request, timeout=10).close()
    made.osbench.finish(made.osbench.start("task", "abort"))

    assert made.osbench.finish(run) in (1, 4)
    status = made.osbench.start("task", "status")
    made.osbench.finish(status)
    assert "Left on the cloud, as far as is recorded: " in made.osbench.output()

    made.no_more_faults()
    made.osbench.finish(made.osbench.start("task", "resume"))
    made.check()
