"""An open loop of 500 iterations a second for 20 seconds on one worker: every index once, and how late each started.

python -m benchmarks.arrivals [--rate 500] [--seconds 20]
"""

import argparse
import asyncio
import sys
import tempfile

from osbench.common.clock import SystemClock
from osbench.common.record import decode_rows
from osbench.common.task import RunnerSpec, Subtask, TaskSpec, Workload
from osbench.coordinator.deployment_state import DeploymentStatus
from osbench.coordinator.home import open_home
from osbench.coordinator.local_run import run_task
from osbench.coordinator.store.sql import open_store


def main() -> int:
    """Run it and print lag p50, p99 and the worst; 1 if an index is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    times = options.rate * options.seconds
    runner = RunnerSpec(kind="rps", options={"times": times, "rps": options.rate})
    workload = Workload(scenario="Dummy.dummy", position=0, arguments={"sleep": 0.001}, runner=runner)
    spec = TaskSpec(title="arrivals", format_version=2, subtasks=(Subtask(title="arrivals", workloads=(workload,)),))
    with tempfile.TemporaryDirectory(prefix="osbench-bench-") as folder:
        home = open_home(folder, {})
        store = open_store(home.database, clock=SystemClock(), key_file=home.key_file)
        deployment = store.deployment_create(name="bench", engine="existing", spec={})
        store.deployment_update(deployment.id, credentials={})
        for status in (DeploymentStatus.STARTED, DeploymentStatus.FINISHED):
            store.deployment_update_status(deployment.id, status)
        task = store.task_create(deployment=deployment.id, spec=spec)
        asyncio.run(
            run_task(home, store, task.id, agents=1, workers=1, abort_on_sla_failure=False, on_progress=lambda _: None)
        )
        rows = [
            row
            for batch in store.batch_iterate(store.run_list(task.id)[0].id)
            for row in decode_rows(batch.header, batch.body).iterations
        ]
        store.close()
    is_exact = sorted(row[0] for row in rows) == list(range(times))
    lags_ms = sorted((row[2] - row[1]) / 1e6 for row in rows)
    p50, p99, worst = (lags_ms[min(int(len(lags_ms) * share), len(lags_ms) - 1)] for share in (0.5, 0.99, 1.0))
    print(f"{options.rate}/s for {options.seconds} s on one worker: {'every index once' if is_exact else 'NOT EXACT'}")
    print(f"lag (started - scheduled): p50 {p50:.2f} ms, p99 {p99:.2f} ms, worst {worst:.2f} ms")
    return int(not is_exact)


if __name__ == "__main__":
    sys.exit(main())
