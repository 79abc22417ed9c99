"""Ingest killed with SIGKILL in the middle of its commits, again and again."""

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from osbench.common.clock import ManualClock
from osbench.common.record import BatchIdentity, encode_batch
from osbench.common.task import TaskSpec
from osbench.coordinator.merge import decode_spans
from osbench.coordinator.sample_records import odd_rows
from osbench.coordinator.store.sql import open_store

RUN = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
BATCHES = 600
GROUP = 5
KILLS = 8

#: The process that is killed: commits the batches of a file from the first on, and says which are acknowledged.
COMMITTER = """
import pickle, sys
from pathlib import Path
from osbench.common.clock import ManualClock
from osbench.coordinator.ingest import Ingest
from osbench.coordinator.store.sql import open_store

folder = Path(sys.argv[1])
frames = pickle.loads((folder / "frames").read_bytes())
store = open_store(folder / "store.db", clock=ManualClock())
ingest = Ingest(store)
for begin in range(0, len(frames), GROUP):
    for key in ingest.commit(frames[begin : begin + GROUP]).acks:
        print(key.seq, flush=True)
ingest.close()
store.close()
"""


def committed_until(folder: Path, acks: int | None) -> set[int]:
    """Run the committer and kill it after so many acknowledgements; what it acknowledged."""
    code = COMMITTER.replace("GROUP", str(GROUP))
    seen: set[int] = set()
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen.add(int(line))
            if acks is not None and len(seen) >= acks:
                # The line came between two commits; a moment later the next one is under way.
                time.sleep(acks % 7 / 1_000)
                process.kill()
                break
        seen |= {int(line) for line in process.stdout if line.endswith("\n")}
        assert process.wait(timeout=60) == (0 if acks is None else -9)
    return seen


@pytest.mark.slow
def test_a_killed_ingest_loses_and_doubles_nothing(
    tmp_path: Path, spec: TaskSpec, worked_out: Callable[..., Any]
) -> None:
    """What was acknowledged is dropped from the spools: it has to be there, once, with all that is derived from it."""
    random = Random(3)
    identity = BatchIdentity(run=RUN, agent="a", life=1, worker=0, start_ns=10**15)
    made = [encode_batch(identity, seq, odd_rows(random, 10**15, seq * 100, 10)) for seq in range(1, BATCHES + 1)]
    (tmp_path / "frames").write_bytes(pickle.dumps([(one.header, one.header_bytes, one.body) for one in made]))
    store = open_store(tmp_path / "store.db", clock=ManualClock())
    deployment = store.deployment_create(name="cloud", engine="existing", spec={})
    task = store.task_create(deployment=deployment.id, spec=spec)
    store.run_create(task=task.id, workload=spec.workloads[0], run=RUN)

    for kill in range(1, KILLS + 1):
        acknowledged = committed_until(tmp_path, kill * BATCHES // (KILLS + 2))
        stored = list(store.batch_seqs(RUN, "a", 1, 0))
        assert acknowledged <= set(stored)
        assert stored == list(range(1, len(stored) + 1))
        assert_derived(store, worked_out)
    committed_until(tmp_path, None)

    assert list(store.batch_seqs(RUN, "a", 1, 0)) == list(range(1, BATCHES + 1))
    assert [batch.body for batch in store.batch_iterate(RUN)] == [batch.body for batch in made]
    assert_derived(store, worked_out)
    store.close()


def assert_derived(store: Any, worked_out: Callable[..., Any]) -> None:
    slow = worked_out(store.batch_iterate(RUN))
    stored = {}
    for row in store.histogram_iterate(RUN):
        counts = dict(zip(*(numbers.tolist() for numbers in decode_spans(row.spans)), strict=True))
        stored[row.kind, row.name, row.outcome, row.second] = (row.n, row.sum_us, row.min_us, row.max_us, counts)
    assert stored == slow.histograms()
    assert {(r.kind, r.name, r.outcome, r.status): r.n for r in store.counter_list(RUN)} == dict(slow.counters)
