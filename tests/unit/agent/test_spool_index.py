"""Which batches wait, which segments may go, and what is lost."""

from pathlib import Path

import pytest

from osbench.agent.spool import Entry, SpoolWriter, scan_segment, segment_path
from osbench.agent.spool_index import SpoolIndex, missing_segments
from osbench.common.messages import LostBatches
from osbench.common.record import BatchIdentity, Rows, encode_batch

S = 1_000_000_000


def write(folder: Path, worker: int, seqs: range) -> list[Entry]:
    writer = SpoolWriter(folder, 7, worker)
    identity = BatchIdentity(run="run", agent="a", life=7, worker=worker, start_ns=100 * S)
    for seq in seqs:
        rows = [(i, -1, 0, (100 + seq) * S + i, 0, 0, 0) for i in range(10)]
        writer.write(encode_batch(identity, seq, Rows(iterations=rows, names={}, errors={}, request_ids={})))
    writer.close()
    return list(scan_segment(segment_path(folder, 7, worker, 1)))


@pytest.fixture
def index(tmp_path: Path) -> SpoolIndex:
    made = SpoolIndex()
    for entry in write(tmp_path, 0, range(1, 4)):
        made.add(entry, is_open=True)
    return made


def test_an_open_segment_stays_even_when_all_is_acknowledged(index: SpoolIndex, tmp_path: Path) -> None:
    """Its worker still appends to it."""
    assert index.acknowledge("run", 7, 0, [1, 2, 3]) == []


def test_a_closed_segment_goes_with_its_last_acknowledgement(index: SpoolIndex, tmp_path: Path) -> None:
    index.close("run", 7, 0)

    assert index.acknowledge("run", 7, 0, [1, 3]) == []
    assert index.acknowledge("run", 7, 0, [2]) == [segment_path(tmp_path, 7, 0, 1)]


def test_a_batch_is_taken_in_once_and_never_again_after_its_acknowledgement(index: SpoolIndex, tmp_path: Path) -> None:
    index.acknowledge("run", 7, 0, [1, 2])
    index.scan(tmp_path, 7, 0)

    assert [entry.header.seq for entry in index.waiting()] == [3]
    assert index.worker("run", 7, 0).iterations_written == 30


def test_batches_of_a_deleted_segment_are_lost_with_their_iterations_and_their_time(
    index: SpoolIndex, tmp_path: Path
) -> None:
    segment_path(tmp_path, 7, 0, 1).unlink()

    for key in missing_segments(index.worker("run", 7, 0)):
        index.lose(key)

    assert index.lost_of("run", 7, 0) == (
        LostBatches(first_seq=1, last_seq=3, iterations=30, first_ns=1 * S, last_ns=3 * S + 9),
    )
    assert index.unacknowledged("run") == 0


def test_a_batch_that_is_gone_before_it_was_read_is_lost_once(index: SpoolIndex) -> None:
    """The supervisor would wait for it for ever, and so would the coordinator."""
    gone = LostBatches(first_seq=4, last_seq=4, iterations=10, first_ns=4 * S, last_ns=4 * S + 9)
    index.lose_unread("run", 7, 0, gone)
    index.lose_unread("run", 7, 0, gone)

    assert index.lost_of("run", 7, 0) == (gone,)
    assert index.worker("run", 7, 0).iterations_written == 40
