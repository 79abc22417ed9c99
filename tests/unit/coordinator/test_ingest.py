"""Ingest: what can be taken is taken, what cannot is rejected by itself, and nothing falls over."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osbench.common.clock import ManualClock
from osbench.common.error import StoreError
from osbench.common.record import (
    CODEC_PLAIN,
    ActionRow,
    Batch,
    BatchIdentity,
    CallHistogram,
    CallRow,
    IterationRow,
    Rows,
    encode_batch,
    inflate,
)
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator import ingest as ingest_module
from osbench.coordinator.ingest import CommitResult, Ingest
from osbench.coordinator.sample_records import odd_rows
from osbench.coordinator.store.sql import SqlStore, open_store

START = 10**15
S = 10**9
RUN = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
TEXTS: dict[str, Any] = {"names": {1: "a", 2: "b"}, "errors": {}, "request_ids": {}}
GOOD = IterationRow(0, -1, START, START + S, 0, 0, 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    opened = open_store(Path(tmp_path_factory.mktemp("ingest")) / "store.db", clock=ManualClock())
    deployment = opened.deployment_create(name="cloud", engine="existing", spec={})
    workload = Workload(scenario="Dummy.dummy", position=0)
    spec = TaskSpec(title="t", format_version=2, subtasks=(Subtask(title="s", workloads=(workload,)),))
    task = opened.task_create(deployment=deployment.id, spec=spec)
    opened.run_create(task=task.id, workload=workload, run=RUN)
    yield opened
    opened.close()


class Numbers:
    """Sequence numbers that no two tests share."""

    last = 0


def batch(rows: Rows, run: str = RUN) -> Batch:
    Numbers.last += 1
    return encode_batch(BatchIdentity(run=run, agent="a", life=1, worker=0, start_ns=START), Numbers.last, rows)


def commit(store: SqlStore, *batches: Batch) -> CommitResult:
    ingest = Ingest(store)
    try:
        return ingest.commit([(one.header, one.header_bytes, one.body) for one in batches])
    finally:
        ingest.close()


def call(**fields: Any) -> CallRow:
    plain = dict.fromkeys(CallRow._fields, 0) | {"name": 1, "started_ns": START, "ended_ns": START + S, "status": 200}
    return CallRow(**(plain | fields))


BAD = {
    "a stamp after the start": Rows(iterations=[GOOD._replace(ended_ns=START + 13 * 86_400 * S)], **TEXTS),
    "a stamp after": Rows(iterations=[GOOD._replace(started_ns=-(2**63))], **TEXTS),
    "idle_ns is between -1 and": Rows(iterations=[GOOD._replace(idle_ns=-1)], **TEXTS),
    "scheduled_ns is between": Rows(iterations=[GOOD._replace(scheduled_ns=2**62)], **TEXTS),
    r"outcomes \[3\]": Rows(iterations=[GOOD._replace(outcome=3)], **TEXTS),
    r"outcomes \[255\]": Rows(calls=[call(outcome=255)], **TEXTS),
    "error 7 is used": Rows(iterations=[GOOD._replace(error=7, outcome=1)], **TEXTS),
    "a name is used in calls": Rows(calls=[call(name=9)], **TEXTS),
    "a name is used in actions": Rows(actions=[ActionRow(0, 0, -1, 0, START, START, -1, 0)], **TEXTS),
    "parent does not come before": Rows(actions=[ActionRow(0, 0, 0, 1, START, START, -1, 0)], **TEXTS),
    "around an action is not in": Rows(actions=[ActionRow(0, 1, 0, 1, START, START, -1, 0)], **TEXTS),
    "nest deeper than 64": Rows(
        actions=[ActionRow(0, at, at - 1, 1, START, START, -1, 0) for at in range(70)], **TEXTS
    ),
    "names are numbered": Rows(calls=[call()], names={70_000: "x"}, errors={}, request_ids={}),
    "of its tail is out of bounds": Rows(histograms=[CallHistogram(1, 0, 0, 1, 1, 1, (7_490, 1))], **TEXTS),
    "its tail is out of bounds": Rows(histograms=[CallHistogram(1, 0, 0, 1, 1, 1, (5, 1, 5, 1))], **TEXTS),
    "second 46[0-9]+ of the run": Rows(health=[[2**62, 0, *[0] * 8]], **TEXTS),
}


@pytest.mark.parametrize(("reason", "rows"), BAD.items())
def test_a_batch_that_does_not_hold_together_is_rejected_alone(store: SqlStore, reason: str, rows: Rows) -> None:
    """One sick agent must not stop the records of the others."""
    before, bad, after = batch(Rows(iterations=[GOOD], **TEXTS)), batch(rows), batch(Rows(iterations=[GOOD], **TEXTS))
    result = commit(store, before, bad, after)

    assert result.acks == (before.header.key, after.header.key)
    ((key, _, why),) = result.rejected
    assert key == bad.header.key
    assert re.search(reason, why)
    assert [one.seq for one in result.committed.batches] == [before.header.seq, after.header.seq]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\x28\xb5\x2f\xfd\xe0" + (1 << 46).to_bytes(8, "little") + b"\x01\x00\x00",
        zstandard.ZstdCompressor().compress(b"another body"),
    ],
)
def test_a_body_that_does_not_inflate_is_rejected(store: SqlStore, body: bytes) -> None:
    good, bad = batch(Rows(iterations=[GOOD], **TEXTS)), batch(Rows(iterations=[GOOD], **TEXTS))
    result = commit(store, Batch(bad.header, bad.header_bytes, body), good)

    assert [rejected.key for rejected in result.rejected] == [bad.header.key]
    assert result.acks == (good.header.key,)


def test_a_body_with_fewer_rows_than_its_header_says_is_rejected(store: SqlStore) -> None:
    made = batch(Rows(iterations=[GOOD], **TEXTS))
    result = commit(store, Batch(made.header._replace(calls=900_000), made.header_bytes, made.body))

    assert "its tables take" in result.rejected[0].reason


def test_a_batch_of_a_run_that_is_not_there_is_rejected(store: SqlStore) -> None:
    good, lost = batch(Rows(iterations=[GOOD], **TEXTS)), batch(Rows(iterations=[GOOD], **TEXTS), run="nobody")
    result = commit(store, lost, good)

    assert [rejected.key for rejected in result.rejected] == [lost.header.key]
    assert result.acks == (good.header.key,)


def test_the_same_batch_twice_in_a_commit_counts_once(store: SqlStore) -> None:
    made = batch(Rows(iterations=[GOOD, GOOD], **TEXTS))
    result = commit(store, made, made)

    assert result.acks == (made.header.key, made.header.key)
    (committed,) = result.committed.batches
    assert (committed.outcomes, committed.calls) == ((2, 0, 0, 0, 0), 0)
    assert [counter.n for counter in result.committed.derived.counters] == [2]


def test_nothing_to_commit_is_fine(store: SqlStore) -> None:
    assert commit(store).acks == ()
    empty = batch(Rows(names={}, errors={}, request_ids={}))
    assert commit(store, empty).acks == (empty.header.key,)


def test_paths_of_nested_actions_are_joined_outermost_first(store: SqlStore) -> None:
    rows = [
        ActionRow(5, 0, -1, 1, START, START + S, -1, 0),
        ActionRow(5, 1, 0, 2, START, START + S, -1, 0),
        ActionRow(5, 2, 1, 1, START, START + S, -1, 0),
        ActionRow(6, 0, -1, 2, START, START + S, -1, 0),
    ]
    derived = commit(store, batch(Rows(actions=list(reversed(rows)), **TEXTS))).committed.derived

    assert {row.name: row.ordinal for row in derived.histograms} == {"a": 0, "a/b": 1, "a/b/a": 2, "b": 0}


def test_a_name_of_any_length_and_with_nul_fits_a_column(store: SqlStore) -> None:
    texts: dict[str, Any] = {"names": {1: "n\x00" * 1_000}, "errors": {1: ("k" * 500, "m\x00")}, "request_ids": {}}
    result = commit(store, batch(Rows(calls=[call(outcome=1, error=1)], **texts)))

    assert not result.rejected
    assert len(result.committed.derived.histograms[0].name) == 512
    (error,) = result.committed.derived.errors
    assert (len(error.kind), error.message) == (128, "m\ufffd")


def test_a_large_backlog_is_committed_in_parts_and_adds_up(store: SqlStore) -> None:
    count = ingest_module.MAX_GROUP_BATCHES * 2 + 3
    made = [batch(Rows(iterations=[GOOD], calls=[call(outcome=1)], **TEXTS)) for _ in range(count)]
    result = commit(store, *made)

    assert result.acks == tuple(one.header.key for one in made)
    assert sum(counter.n for counter in result.committed.derived.counters if counter.kind == "call") == count


class Failing:
    """A store that fails once, after so many transactions."""

    def __init__(self, store: SqlStore, after: int) -> None:
        self.store = store
        self.left = after
        self.runs_known = store.runs_known

    def batches_add(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == -1:
            raise StoreError("database or disk is full")
        return self.store.batches_add(*arguments)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_store_that_failed_is_tried_again_and_everything_is_told_once(store: SqlStore, after: int) -> None:
    """What was stored before the failure comes again as a duplicate: untold then, the live numbers would miss it."""
    made = [batch(Rows(iterations=[GOOD], **TEXTS)) for _ in range(2 * ingest_module.MAX_GROUP_BATCHES + 5)]
    frames = [(one.header, one.header_bytes, one.body) for one in made]
    ingest = Ingest(Failing(store, after))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="disk is full"):
        ingest.commit(frames)
    result = ingest.commit(frames)
    third = ingest.commit(frames)
    ingest.close()

    assert result.acks == tuple(one.header.key for one in made)
    assert sorted(one.seq for one in result.committed.batches) == [one.header.seq for one in made]
    assert sum(counter.n for counter in result.committed.derived.counters) == len(made)
    assert third.committed.batches == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_any_damage_to_a_body_is_rejected_or_taken(store: SqlStore, seed: int, flips: int) -> None:
    """What comes over the wire may be anything; ingest must never fall over it."""
    random = Random(seed)
    made = batch(odd_rows(random, START, 0, 6))
    raw = bytearray(inflate(made.header, made.body))
    for _ in range(flips):
        raw[random.randrange(len(raw))] = random.randrange(256)
    header = made.header._replace(codec=CODEC_PLAIN)
    result = commit(store, Batch(header, made.header_bytes, bytes(raw)))

    assert len(result.acks) + len(result.rejected) == 1
