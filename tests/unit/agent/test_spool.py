"""The spool: what was written is read back whole; what is torn or damaged is not shipped."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.agent.spool import SEGMENT_BYTES, SpoolWriter, read_entry, scan_segment, segment_path
from osbench.common.error import ProtocolError
from osbench.common.record import (
    ActionRow,
    Batch,
    BatchIdentity,
    CallRow,
    HealthRow,
    IterationRow,
    Rows,
    decode_rows,
    encode_batch,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "spool-v1.seg"
IDENTITY = BatchIdentity(run="run", agent="a", life=7, worker=2, start_ns=0)


def batch(seq: int, iterations: int = 3) -> Batch:
    rows = [(i, -1, i, i + 5, 0, 0, 0) for i in range(iterations)]
    return encode_batch(IDENTITY, seq, Rows(iterations=rows, names={}, errors={}, request_ids={}))


#: What is in the two batches of the golden segment, number 41 and 42; a third was cut off in the middle.
GOLDEN_IDENTITY = BatchIdentity(
    run="11111111-2222-4333-8444-555555555555", agent="load-1", life=3, worker=2, start_ns=10**15
)
GOLDEN_ROWS = (
    Rows(
        iterations=[
            IterationRow(7, 10**15 + 1, 10**15 + 5, 10**15 + 2 * 10**9, 10**8, 0, 0),
            IterationRow(10**12, -1, 10**15 + 9, 10**15 + 3 * 10**9, 0, 2, 1),
        ],
        actions=[ActionRow(7, 0, -1, 2, 10**15 + 6, 10**15 + 10**9, -1, 0)],
        calls=[CallRow(7, 0, 1, 10**15 + 7, 10**15 + 8, 1, 503, 1, 2, 9, 1, 2, 3, 4, 5, 6, 7)],
        health=[],
        hosts=[],
        names={1: "nova GET /servers/{id}", 2: "nova.böot"},
        errors={1: ("http_503", "503 on GET /servers/{id}")},
        request_ids={0: "req-1"},
    ),
    Rows(
        iterations=[],
        actions=[],
        calls=[],
        health=[HealthRow(10**15 + 10**9, 10**9, 1, 2, 3, 4, 5, 6, 7, 8)],
        hosts=[],
        names={},
        errors={},
        request_ids={},
    ),
)


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A segment with three batches."""
    writer = SpoolWriter(tmp_path, 7, 2)
    for seq in (1, 2, 3):
        writer.write(batch(seq))
    writer.close()
    return segment_path(tmp_path, 7, 2, 1)


def test_batches_come_back_in_order_and_whole(segment: Path) -> None:
    entries = list(scan_segment(segment))

    assert [entry.header.seq for entry in entries] == [1, 2, 3]
    assert [read_entry(entry) for entry in entries] == [(batch(n).header_bytes, batch(n).body) for n in (1, 2, 3)]


def test_a_torn_last_batch_ends_the_segment(segment: Path) -> None:
    """The writer was killed in the middle of a write."""
    os.truncate(segment, segment.stat().st_size - 1)

    assert [entry.header.seq for entry in scan_segment(segment)] == [1, 2]


@given(cut=st.integers(min_value=0, max_value=400))
def test_wherever_a_segment_is_cut_only_whole_batches_are_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    writer = SpoolWriter(folder, 7, 2)
    ends = []
    for seq in (1, 2, 3):
        writer.write(batch(seq))
        ends.append(segment_path(folder, 7, 2, 1).stat().st_size)
    writer.close()
    os.truncate(segment_path(folder, 7, 2, 1), min(cut, ends[-1]))

    whole = [entry.header.seq for entry in scan_segment(segment_path(folder, 7, 2, 1))]

    assert whole == [seq for seq, end in zip((1, 2, 3), ends, strict=True) if end <= cut]


def test_a_flipped_bit_is_noticed(segment: Path) -> None:
    entries = list(scan_segment(segment))
    with segment.open("r+b") as file:
        file.seek(entries[1].offset + 60)
        byte = file.read(1)
        file.seek(entries[1].offset + 60)
        file.write(bytes([byte[0] ^ 1]))

    assert [entry.header.seq for entry in scan_segment(segment)] == [1]
    with pytest.raises(ProtocolError, match=r"batch 2 at \d+ is damaged"):
        read_entry(entries[1])


def test_a_segment_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1-1-000001.seg"
    path.write_bytes(b"OSBSPOOL\x02\x00\x00\x00")

    with pytest.raises(ProtocolError, match="not a spool segment of version 1"):
        list(scan_segment(path))


def test_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 7, 2)
    writer.write(batch(1))
    os.truncate(segment_path(tmp_path, 7, 2, 1), SEGMENT_BYTES)
    writer._size = SEGMENT_BYTES

    assert writer.write(batch(2)) == (2, 12)
    writer.close()


def test_spool_files_are_for_their_owner_only(segment: Path) -> None:
    assert segment.stat().st_mode & 0o777 == 0o600


def test_after_its_segment_was_deleted_a_worker_writes_to_a_new_one(tmp_path: Path) -> None:
    """Else everything until the end of the run would go into a file that nobody can read."""
    writer = SpoolWriter(tmp_path, 7, 2)
    writer.write(batch(1))
    segment_path(tmp_path, 7, 2, 1).unlink()

    assert writer.write(batch(2)) == (2, 12)
    assert [entry.header.seq for entry in scan_segment(segment_path(tmp_path, 7, 2, 2))] == [2]
    writer.close()


def test_golden_segment_of_version_1_stays_readable() -> None:
    """An upgraded agent finds what the one before it could not deliver: none of it may be lost."""
    entries = list(scan_segment(GOLDEN))
    found = [read_entry(entry) for entry in entries]

    assert [entry.header.key for entry in entries] == [
        (GOLDEN_IDENTITY.run, "load-1", 3, 2, 41),
        (GOLDEN_IDENTITY.run, "load-1", 3, 2, 42),
    ]
    assert [entry.header.start_ns for entry in entries] == [10**15, 10**15]
    assert [decode_rows(entry.header, body) for entry, (_, body) in zip(entries, found, strict=True)] == [*GOLDEN_ROWS]
    assert GOLDEN.stat().st_size > entries[-1].offset + sum(map(len, found[-1]))
