"""Ingest against a bare loop that inserts the same blobs into the same kind of SQLite file, paired in one run.

    .venv/bin/python -m benchmarks.ingest [--workers 32] [--seconds 64] [--rounds 7] [--folder DIR]

Each batch holds 1,000 iterations, actions and calls with random durations, so its blob and its histograms are full. A
worker's batches do not begin on whole seconds: each touches two, and so does each commit. There are enough of them for
some checkpoints of the database, which a short run would leave to its end, and for the pipeline to run full. Three
paths, in turn, each into a new file with WAL and synchronous=FULL:

    ours      Ingest as its process does it where many wait, MAX_GROUP_BATCHES at a time: inflate, check, derive, insert
              batches, merge histograms, counters and health
    grouped   bare sqlite3: the same batch blobs and the same histogram blobs in the same transactions
    single    bare sqlite3: the same, one commit for each batch

The ratio that counts is ours / grouped: the same blobs by the same number of commits. Ours / single would flatter us,
since it only shows what grouping saves.
"""

import argparse
import gc
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from uuid import uuid4

from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.record import Batch, BatchIdentity, encode_batch
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.allocator import keep_memory
from osbench.coordinator.ingest import MAX_GROUP_BATCHES, CommitResult, Frames, Ingest
from osbench.coordinator.sample_records import steady_rows
from osbench.coordinator.store.database import PAGE_BYTES
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.store.values import HistogramRow

ROWS = 1_000
DEMANDED = 0.5
HistogramColumns = tuple[int, int, int, int, int, int, bytes]


def made_batches(run: str, workers: int, seconds: int) -> list[Batch]:
    """One batch a second from each worker, in order of arrival; four workers an agent."""
    batches = []
    for second in range(seconds):
        for worker in range(workers):
            identity = BatchIdentity(
                run=run, agent=f"load-{worker // 4}", life=1, worker=worker % 4, start_ns=10**15 + worker
            )
            # The worker's second is shifted against that of the run, as its flushes are.
            shift_ns = (worker % 10) * NS_PER_S // 10
            rows = steady_rows(
                Random(second * 1_000 + worker),
                identity.start_ns + shift_ns,
                second,
                (second * workers + worker) * ROWS,
                ROWS,
            )
            batches.append(encode_batch(identity, second + 1, rows))
    return batches


def grouped(batches: Sequence[Batch], size: int) -> list[list[Frames]]:
    frames = [(batch.header, batch.header_bytes, batch.body) for batch in batches]
    return [frames[begin : begin + size] for begin in range(0, len(frames), size)]


def ours(folder: Path, run: str, groups: list[list[Frames]]) -> tuple[float, float, list[Sequence[HistogramRow]]]:
    """Wall and CPU seconds of our path, and the histogram rows that each commit added."""
    store = open_store(folder / "ours.db", clock=SystemClock())
    workload = Workload(scenario="NovaServers.list_servers", position=0)
    spec = TaskSpec(title="bench", format_version=2, subtasks=(Subtask(title="bench", workloads=(workload,)),))
    deployment = store.deployment_create(name="bench", engine="existing", spec={})
    store.run_create(task=store.task_create(deployment=deployment.id, spec=spec).id, workload=workload, run=run)
    ingest = Ingest(store)
    # The first commit of a process also compiles its statements.
    header, _, body = groups[0][0]
    ingest.commit([(header._replace(life=0), b"", body)])
    done: list[CommitResult] = []
    wall, cpu = time.perf_counter(), time.process_time()
    for group in groups:
        ingest.begin(group)
        done += ingest.finished()
    done += ingest.finished(all_of_them=True)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    ingest.close()
    store.close()
    for group, result in zip(groups, done, strict=True):
        assert result.acks == tuple(header.key for header, _, _ in group), result.rejected
    return *spent, [result.committed.derived.histograms for result in done]


def bare(
    folder: Path, groups: Sequence[Sequence[Frames]], blobs: Sequence[Sequence[HistogramColumns]]
) -> tuple[float, float]:
    """Wall and CPU seconds of a bare loop: one commit for each group, with the histogram rows of that group."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in (f"page_size = {PAGE_BYTES}", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE batches (number INTEGER PRIMARY KEY, run TEXT, agent TEXT, life INTEGER, worker INTEGER,"
        " seq INTEGER, body BLOB, UNIQUE (run, agent, life, worker, seq))"
    )
    connection.execute(
        "CREATE TABLE histograms (series INTEGER, second INTEGER, n INTEGER, sum_us INTEGER, min_us INTEGER,"
        " max_us INTEGER, spans BLOB, PRIMARY KEY (series, second))"
    )
    wall, cpu = time.perf_counter(), time.process_time()
    for group, rows in zip(groups, blobs, strict=True):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR IGNORE INTO batches (run, agent, life, worker, seq, body) VALUES (?, ?, ?, ?, ?, ?)",
            [(*header.key, body) for header, _, body in group],
        )
        connection.executemany("INSERT OR REPLACE INTO histograms VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    spent = time.perf_counter() - wall, time.process_time() - cpu
    connection.close()
    return spent


def numbered(added: Sequence[Sequence[HistogramRow]]) -> list[list[HistogramColumns]]:
    """Histogram rows with a number for their series, as a table has it."""
    series: dict[tuple[str, str, int], int] = {}
    return [
        [
            (
                series.setdefault((row.kind, row.name, row.outcome), len(series)),
                row.second,
                row.n,
                row.sum_us,
                row.min_us,
                row.max_us,
                row.spans,
            )
            for row in rows
        ]
        for rows in added
    ]


def in_new_folder(parent: Path | None, measure: Callable[[Path], tuple[float, float]]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        return measure(Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description="ingest against a bare loop of inserts")
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    keep_memory()
    run = str(uuid4())
    batches = made_batches(run, options.workers, options.seconds)
    groups = grouped(batches, MAX_GROUP_BATCHES)
    singles = grouped(batches, 1)

    def our_path(folder: Path) -> tuple[float, float]:
        return ours(folder, run, groups)[:2]

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        of_groups = numbered(ours(Path(folder), run, groups)[2])
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        of_singles = numbered(ours(Path(folder), run, singles)[2])
    # As the process of ingest does: what is there by now is not looked through again by the collector.
    gc.collect()
    gc.freeze()
    spent: dict[str, list[tuple[float, float]]] = {"ours": [], "grouped": [], "single": []}
    for _ in range(options.rounds):
        spent["ours"].append(in_new_folder(options.folder, our_path))
        spent["grouped"].append(in_new_folder(options.folder, lambda folder: bare(folder, groups, of_groups)))
        spent["single"].append(in_new_folder(options.folder, lambda folder: bare(folder, singles, of_singles)))
    count = len(batches)
    body = sum(len(batch.body) for batch in batches) / count
    rows = sum(len(one) for one in of_groups) / len(groups)
    print(
        f"{count} batches of 3 x {ROWS} rows, {body / 1024:.1f} KiB a blob; {len(groups)} commits of {MAX_GROUP_BATCHES},"
    )
    print(f"{rows:.1f} histogram rows a commit; {options.rounds} rounds, medians")
    for name, times in spent.items():
        wall, cpu = median(time_[0] for time_ in times), median(time_[1] for time_ in times)
        print(
            f"  {name:8} {wall / count * 1e3:6.3f} ms a batch ({cpu / count * 1e3:6.3f} ms CPU)"
            f"  {3 * ROWS * count / wall / 1e6:5.2f} M records/s"
        )
    ratios = {
        name: median(one[0] / mine[0] for one, mine in zip(spent[name], spent["ours"], strict=True))
        for name in ("grouped", "single")
    }
    print(f"  ours / single  {ratios['single']:.2f}  (one commit a batch there: shows what grouping saves)")
    verdict = "met" if ratios["grouped"] >= DEMANDED else "NOT met"
    print(f"  ours / grouped {ratios['grouped']:.2f}  (counts; at least {DEMANDED} is asked: {verdict})")


if __name__ == "__main__":
    main()
