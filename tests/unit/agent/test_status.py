"""What `osbench-agent status` shows."""

from pathlib import Path

import msgspec
import pytest
import zmq

from osbench.agent.link import NOT_HEARD, LinkWatch
from osbench.agent.status import (
    AgentStatus,
    LinkStatus,
    RunStatus,
    link_status,
    read_status,
    size,
    span,
    status_lines,
    write_status,
)
from osbench.common.clock import NS_PER_S
from osbench.common.error import ProtocolError

S = NS_PER_S
STATUS = AgentStatus(
    name="load-1",
    life=7,
    pid=4711,
    release="0.1.0",
    started_ns=1_700_000_000 * S,
    written_ns=1_700_003_700 * S,
    spool="/var/lib/osbench/agent",
    control=LinkStatus(endpoint="tcp://c:7761", state="connected", since_s=3_600),
    bulk=LinkStatus(endpoint="tcp://c:7762", state="unconnected", reason="nobody answers", since_s=5),
    lease_left_s=27.5,
    clock_offset_ns=10**15,
    clock_error_ns=250_000,
    runs=(RunStatus(run="r1", phase="running", workers=2, unacked=3), RunStatus(run="r0", phase="past")),
    unacked=3,
    spool_bytes=5 * 1024**2,
    spool_limit_bytes=4 * 1024**3,
    workers=2,
    worker_processes=2,
    labels=("ssd",),
)


def test_a_status_is_read_as_it_was_written_and_by_its_owner_only(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS)

    assert read_status(tmp_path) == STATUS
    assert (tmp_path / "status.json").stat().st_mode & 0o777 == 0o600


def test_no_status_is_none_and_a_strange_one_is_an_error(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None

    (tmp_path / "status.json").write_text("[]")
    with pytest.raises(ProtocolError, match="no status of an agent of this release"):
        read_status(tmp_path)


def test_people_see_a_line_for_each_thing() -> None:
    assert status_lines(STATUS, STATUS.written_ns) == [
        "agent      load-1, process 4711, up for 1 h 1 min, release 0.1.0",
        "started    2023-11-14 22:13:20 UTC",
        "control    tcp://c:7761 connected for 1 h 0 min",
        "bulk       tcp://c:7762 unconnected for 5 s: nobody answers",
        "lease      28 s left",
        "clock      offset to the coordinator's known to ± 0.250 ms",
        "workers    2 running, 2 for each run",
        "labels     ssd",
        "spool      3 batches wait, 5.0 MiB of 4.0 GiB in /var/lib/osbench/agent",
        "run        r1 running, 2 workers, 3 batches wait",
        "run        r0 past, 0 workers, 0 batches wait",
    ]


def test_an_agent_that_heard_nobody_yet_says_so() -> None:
    fresh = msgspec.structs.replace(
        STATUS, lease_left_s=None, clock_offset_ns=None, clock_error_ns=None, runs=(), labels=()
    )

    lines = status_lines(fresh, fresh.written_ns)

    assert "lease      none: the coordinator has not been heard yet" in lines
    assert "clock      offset to the coordinator's not known" in lines
    assert lines[-1] == "runs       none"


def test_a_link_is_unconnected_refused_connected_or_silent() -> None:
    watch = LinkWatch(endpoint="tcp://c:7761", now_ns=0)
    watch.handle(zmq.EVENT_CONNECT_RETRIED, 100, S)
    unconnected = link_status(watch, 2 * S)
    watch.handle(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400, 2 * S)
    refused_key = link_status(watch, 2 * S)
    watch.handle(zmq.EVENT_HANDSHAKE_SUCCEEDED, 0, 3 * S)
    refused = link_status(watch, 4 * S, refusal="another release", heard_ns=4 * S)
    connected = link_status(watch, 5 * S, heard_ns=4 * S)
    silent = link_status(watch, 20 * S, heard_ns=4 * S)

    assert [one.state for one in (unconnected, refused_key, refused, connected, silent)] == [
        "unconnected",
        "refused",
        "refused",
        "connected",
        "silent",
    ]
    assert (unconnected.reason, refused.reason, connected.reason) == (NOT_HEARD, "another release", "")
    assert silent.reason == "no word came for 16 s"


def test_times_and_sizes_are_for_people() -> None:
    assert [span(s) for s in (0, 59.9, 61, 3_661, 90_000)] == ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]
    assert [size(b) for b in (0, 1_023, 1_024, 5 * 1024**3)] == ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]
