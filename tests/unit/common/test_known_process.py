"""Processes known for sure: this one is at hand for that."""

from pathlib import Path

import msgspec
import psutil
import pytest

from osbench.common.error import ProtocolError
from osbench.common.known_process import KnownProcess, boot_number, know, read_process


def test_a_running_process_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    know(psutil.Process()).save(path)
    found = read_process(path)

    assert found is not None
    assert found.alive() == psutil.Process()
    assert path.stat().st_mode & 0o777 == 0o600


def changed(**changes: float) -> KnownProcess:
    return msgspec.structs.replace(know(psutil.Process()), **changes)


@pytest.mark.parametrize(
    "other",
    [changed(started_s=know(psutil.Process()).started_s - 1), changed(boot=boot_number() + 1), changed(pid=2**22 + 1)],
    ids=["started at another time", "of another boot", "no such process"],
)
def test_a_process_with_the_same_id_is_not_taken_for_it(other: KnownProcess) -> None:
    """A record of yesterday must not end whatever has that id today."""
    assert other.alive() is None


def test_what_was_not_written_is_none_and_what_was_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "process.json"

    assert read_process(path) is None
    path.write_text('{"pid": 1}')
    with pytest.raises(ProtocolError, match="no record of a process"):
        read_process(path)
