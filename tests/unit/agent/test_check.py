"""The doctor of a load host: what it makes of what it finds."""

import json
import resource
from pathlib import Path

import pytest

from osbench.agent.check import check_host, clock, cores, nofile, spool_room

MIB, GIB = 1024**2, 1024**3


def test_few_open_files_are_a_warning_and_hardly_any_a_failure() -> None:
    """A worker that meets the limit can neither connect nor spool."""
    assert nofile(65_536).level == "ok"
    assert nofile(resource.RLIM_INFINITY).level == "ok"
    assert nofile(4_096).level == "warn"
    assert nofile(512).level == "fail"


def test_a_quota_below_the_cores_is_a_warning() -> None:
    """The generator would be throttled, and its pauses be taken for the cloud's."""
    assert cores(4, None).level == "ok"
    assert cores(4, 4.0).level == "ok"
    assert cores(4, 1.5).level == "warn"


def test_room_in_the_spool_is_judged_by_its_limit() -> None:
    assert spool_room(Path("/s"), 10 * GIB, 4 * GIB).level == "ok"
    assert spool_room(Path("/s"), 2 * GIB, 4 * GIB).level == "warn"
    assert spool_room(Path("/s"), MIB, 4 * GIB).level == "fail"


def test_a_coarse_clock_is_a_warning() -> None:
    assert clock(1e-9).level == "ok"
    assert clock(4e-3).level == "warn"


def test_without_a_configuration_the_host_itself_is_looked_at_all_the_same(tmp_path: Path) -> None:
    findings = check_host(tmp_path / "none.json", {})

    assert [one.what for one in findings if one.level == "fail"] == ["config"]
    assert {"files", "cores", "clock", "zeromq", "libcurl"} <= {one.what for one in findings}


def test_a_coordinator_that_is_not_there_fails_with_a_cure(tmp_path: Path) -> None:
    config = {"name": "a", "control": f"ipc://{tmp_path}/c", "bulk": f"ipc://{tmp_path}/b", "spool": str(tmp_path)}
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(config))

    findings = {one.what: one for one in check_host(path, {})}

    assert findings["control"].level == findings["bulk"].level == "fail"
    assert "start the coordinator" in findings["control"].cure
    assert findings["agent"].text == "none runs on this spool"


@pytest.mark.parametrize("level", ["fail", "warn"])
def test_what_is_not_well_has_a_cure(level: str, tmp_path: Path) -> None:
    found = [nofile(512), cores(4, 1.0), clock(1.0), spool_room(tmp_path, MIB, GIB), nofile(4_096)]

    assert all(one.cure for one in found if one.level == level)
