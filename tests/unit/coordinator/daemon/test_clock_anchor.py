"""The coordinator's clock goes on where it was."""

from pathlib import Path

import msgspec
import pytest

from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.error import OsbenchError
from osbench.coordinator.daemon.clock_anchor import ClockAnchor, anchored_clock


def test_a_restart_within_one_boot_keeps_the_very_same_clock(tmp_path: Path) -> None:
    first = anchored_clock(tmp_path / "anchor", boot=7)

    assert anchored_clock(tmp_path / "anchor", boot=7) == first


def test_after_a_boot_the_axis_goes_on_by_the_wall_time_that_passed(tmp_path: Path) -> None:
    wall_ns = SystemClock(offset_ns=0).wall_ns()
    kept = ClockAnchor(boot=7, offset_ns=5, clock_ns=900 * NS_PER_S, wall_ns=wall_ns - 100 * NS_PER_S)
    (tmp_path / "anchor").write_bytes(msgspec.json.encode(kept))

    shown_ns = anchored_clock(tmp_path / "anchor", boot=8).now_ns()

    assert 1000 * NS_PER_S <= shown_ns < 1010 * NS_PER_S
    again = msgspec.json.decode((tmp_path / "anchor").read_bytes(), type=ClockAnchor)
    assert again.boot == 8


def test_a_broken_anchor_is_told_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "anchor").write_text("{")

    with pytest.raises(OsbenchError, match="no run that is under way can be taken up"):
        anchored_clock(tmp_path / "anchor")
    assert (tmp_path / "anchor").read_text() == "{"
