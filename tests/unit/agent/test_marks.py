"""Marks: what a worker notes is there for whoever looks later."""

import os
import struct
from pathlib import Path

import pytest

from osbench.agent.marks import COUNTERS, WORDS, Marks, writer_pid
from osbench.common.error import ProtocolError
from osbench.common.messages import ShareProgress
from osbench.common.share import MAX_SHARES


def test_what_was_marked_is_read_by_another_who_maps_the_file(tmp_path: Path) -> None:
    writer = Marks(tmp_path / "m", create=True)
    word = writer.add_share(3)
    writer.words[word] = 17
    writer.add_share(4)
    writer.state = "running"
    for number, counter in enumerate(COUNTERS):
        writer.set(counter, number + 1)

    reader = Marks(tmp_path / "m")

    assert reader.state == "running"
    assert reader.shares() == (ShareProgress(epoch=3, started=17), ShareProgress(epoch=4, started=0))
    assert [reader.get(counter) for counter in COUNTERS] == list(range(1, len(COUNTERS) + 1))
    reader.close()
    writer.close()


def test_what_a_worker_leaves_and_holds_is_read_by_another(tmp_path: Path) -> None:
    """Others are given what it leaves on the strength of this alone."""
    writer = Marks(tmp_path / "m", create=True)
    writer.add_share(3)
    writer.words[writer.add_share(4)] = 5
    assert (writer.slots, writer.revision) == (-1, 0)
    writer.set_limit(1, 9)
    writer.slots, writer.revision = 0, 7

    reader = Marks(tmp_path / "m")

    assert reader.shares() == (
        ShareProgress(epoch=3, started=0, limit=-1),
        ShareProgress(epoch=4, started=5, limit=9),
    )
    assert (reader.slots, reader.revision) == (0, 7)
    reader.close()
    writer.close()


def test_as_many_shares_as_a_worker_may_be_given_find_room(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "m", create=True)
    for share in range(MAX_SHARES):
        marks.words[marks.add_share(share + 1)] = share
        marks.set_limit(share, 2 * share)
    marks.slots, marks.revision = 17, 18

    assert marks.shares()[-1] == ShareProgress(epoch=MAX_SHARES, started=MAX_SHARES - 1, limit=2 * MAX_SHARES - 2)
    assert (marks.slots, marks.revision) == (17, 18)
    marks.close()


def test_marks_of_version_1_are_read_as_having_no_limit(tmp_path: Path) -> None:
    """An agent of a later release finds what an earlier one left."""
    words = [0x4F53424D_00000001, 2, *[0] * 510]
    words[13], words[16], words[17] = 1, 1, 42
    (tmp_path / "m").write_bytes(struct.pack("<512Q", *words))

    marks = Marks(tmp_path / "m")

    assert marks.shares() == (ShareProgress(epoch=1, started=42, limit=-1),)
    assert (marks.state, marks.slots, marks.revision) == ("running", -1, 0)
    marks.close()


@pytest.mark.parametrize("content", [b"", b"\0" * WORDS * 8, b"x" * 100])
def test_what_is_not_marks_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)

    with pytest.raises(ProtocolError, match="marks"):
        Marks(tmp_path / "m")


def test_marks_that_may_still_move_name_their_writer(tmp_path: Path) -> None:
    """The next life of an agent would otherwise take the progress of an orphan for final, and run indices twice."""
    writer = Marks(tmp_path / "m", create=True)

    assert writer_pid(tmp_path / "m") == os.getpid()
    writer.close()
    assert writer_pid(tmp_path / "m") == 0
