"""Exactly the load asked for, as the cloud sees it."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from local_osbench import Osbench, wait_for

pytestmark = pytest.mark.slow

TOKEN = "opens-the-control-path"


def cloud_with_slow_lists(osbench: Osbench, folder: Path) -> str:
    """A simulated cloud whose lists take 0.1 s; its origin."""
    spec = {
        "type": "simulated",
        "control_token": TOKEN,
        "lifetime_s": 120,
        "faults": [
            {
                "method": "GET",
                "path": "/servers/detail",
                "then": {"kind": "latency", "delay": {"kind": "constant", "seconds": 0.1}},
            }
        ],
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    assert osbench.finish(osbench.start("deployment", "create", "sim", "--file", str(folder / "spec.json"))) == 0
    ready = next(osbench.home.glob("deployments/*/ready.json"))
    return str(json.loads(ready.read_text())["origin"])


def control(origin: str, method: str) -> dict[str, Any]:
    """Ask the control path for its counters, or (DELETE) begin them anew."""
    request = urllib.request.Request(f"{origin}/_osbench/counters", method=method, headers={"X-Osbench-Control": TOKEN})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.loads(answer.read() or b"{}"))


@pytest.mark.parametrize("concurrency", [1, 5])
def test_the_cloud_sees_as_many_in_flight_as_asked_whatever_the_workers(
    osbench: Osbench, tmp_path: Path, concurrency: int
) -> None:
    """Five on four workers is 2 + 1 + 1 + 1, and one is one in the whole fleet."""
    origin = cloud_with_slow_lists(osbench, tmp_path)
    task = {
        "NovaServers.list_servers": [
            {
                "runner": {"type": "constant", "times": 40 * concurrency, "concurrency": concurrency},
                "context": {"users": {"tenants": 2, "users_per_tenant": 1}},
            }
        ]
    }
    (tmp_path / "list.json").write_text(json.dumps(task))
    try:
        run = osbench.start("task", "start", str(tmp_path / "list.json"), "--agents", "2", "--workers", "2")
        wait_for("the load", lambda: "running" in osbench.output())
        control(origin, "DELETE")
        time.sleep(2)  # of the four seconds the load takes: set-up and clean-up are not in it
        peak = control(origin, "GET")["peak_in_flight"]

        assert osbench.finish(run) == 0, osbench.output()
        assert sorted(osbench.stored_iterations()) == list(range(40 * concurrency))
        assert peak == concurrency
    finally:
        osbench.finish(osbench.start("task", "delete", "--force"))
        osbench.finish(osbench.start("deployment", "destroy", "sim"))
