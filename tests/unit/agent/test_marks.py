"""Marks: what a worker notes is there for whoever looks later."""

import os
from pathlib import Path

import pytest

from osbench.agent.marks import COUNTERS, WORDS, Marks, writer_pid
from osbench.common.error import ProtocolError
from osbench.common.messages import ShareProgress


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
