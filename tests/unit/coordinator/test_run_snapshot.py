"""Saved runs of earlier releases: a task whose coordinator died is resumed by the next release too."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from osbench.common.error import ProtocolError
from osbench.common.messages import LostBatches
from osbench.coordinator.run_snapshot import (
    SNAPSHOT_VERSION,
    Division,
    Heir,
    NotRun,
    RejectedBatch,
    Rest,
    RunSnapshot,
    SharePlace,
    SlotPlace,
    WorkerKey,
    WorkerPlace,
    pack_snapshot,
    unpack_snapshot,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "snapshot-v1.msgpack"
GOLDEN_2 = Path(__file__).parents[2] / "golden" / "snapshot-v2.msgpack"
ONE, OTHER = WorkerKey("load-1", 3, 0), WorkerKey("load-2", 2**62, 1)
SNAPSHOT = RunSnapshot(
    version=1,
    run="11111111-2222-4333-8444-555555555555",
    phase="running",
    goal="run",
    revision=5,
    start_ns=2**62,
    aborted="asked for by the user",
    collected=True,
    lives={"load-1": 3, "load-2": 2**62},
    divisions=(
        Division(epoch=1, source_epoch=0, source_owner=0, begin=0, takers=(ONE, OTHER), revision=1),
        Division(epoch=2, source_epoch=1, source_owner=1, begin=17, takers=(ONE,), revision=4),
    ),
    shares=(
        SharePlace(epoch=1, owner=0, started=20, until=None, closed=False),
        SharePlace(epoch=1, owner=1, started=17, until=17, closed=True),
    ),
    workers=(
        WorkerPlace(key=ONE, state="running", last_seq=4, since_ns=-1, error=""),
        WorkerPlace(
            key=OTHER,
            state="died",
            last_seq=3,
            since_ns=5,
            error="ended by signal 9",
            lost=(LostBatches(first_seq=2, last_seq=3, iterations=5, first_ns=1, last_ns=2),),
        ),
    ),
    rests=(Rest(epoch=2, owner=0, begin=3, since_ns=6, reason="ended by signal 9"),),
    not_run=(
        NotRun(key=OTHER, count=7, at_ns=8, reason="aborted"),
        NotRun(key=None, count=9, at_ns=10, reason="no worker was left"),
    ),
)
#: What version 2 added, wherever it can be said.
SNAPSHOT_2 = replace(
    SNAPSHOT,
    version=2,
    divisions=(
        *SNAPSHOT.divisions,
        Division(
            epoch=3, source_epoch=1, source_owner=0, begin=30, end=900, takers=(ONE, OTHER), weights=(3, 1), revision=5
        ),
    ),
    shares=(
        *SNAPSHOT.shares,
        SharePlace(
            epoch=3, owner=0, started=4, until=100, closed=False, limit=50, heirs=(Heir(ONE, 2), Heir(OTHER, 1))
        ),
    ),
    workers=(
        SNAPSHOT.workers[0],
        replace(SNAPSHOT.workers[1], rejected=(RejectedBatch(seq=1, iterations=4, reason="of version 9"),)),
    ),
    rests=(
        *SNAPSHOT.rests,
        Rest(epoch=3, owner=1, begin=3, end=17, since_ns=6, reason="it leaves it", heirs=(Heir(OTHER, 1),)),
    ),
    drained=("load-2",),
    stints={"load-1": 4},
    slots=(SlotPlace(key=ONE, asked=3, bound=5, raised=4),),
)


def test_golden_snapshot_of_version_1_stays_readable() -> None:
    assert unpack_snapshot(GOLDEN.read_bytes()) == SNAPSHOT


def test_golden_snapshot_of_version_2_stays_readable() -> None:
    assert unpack_snapshot(GOLDEN_2.read_bytes()) == SNAPSHOT_2
    assert SNAPSHOT_VERSION == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            pack_snapshot(replace(SNAPSHOT, version=3)),
            "of version 3, this release reads 1 to 2; resume",
        ),
        (b"\x81\xa7version\x01", "cannot be read: .*missing required field"),
        (b"\xc1", "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["of another version", "with fields missing", "not msgpack", "empty"],
)
def test_what_cannot_be_read_is_told(data: bytes, message: str) -> None:
    """Guessing at it would run some indices twice."""
    with pytest.raises(ProtocolError, match=message):
        unpack_snapshot(data)
