"""A disk without room: an agent starts on it all the same, since only then can it deliver what fills it.

The disk is a small one of the test's own, in a mount namespace that goes with its process.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_osbench import wait_for

from osbench.agent.marks import Marks
from osbench.agent.spool import SpoolFullError, SpoolWriter
from osbench.agent.spool_lock import holder
from osbench.common.record import BatchIdentity, Rows, encode_batch

pytestmark = pytest.mark.slow


def test_an_agent_starts_and_ends_well_on_a_full_disk_and_what_finds_no_room_is_told_as_such(tmp_path: Path) -> None:
    answer = subprocess.run(
        ["unshare", "--mount", sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "Operation not permitted" in answer.stderr:
        pytest.skip(f"no mount namespace may be made here: {answer.stderr.strip()}")
    assert answer.returncode == 0, answer.stderr

    told = json.loads(answer.stdout)

    assert told["statuses"] == [0, 0]
    first, second = told["lives"]
    assert second > first
    assert told["marks"] == errno.ENOSPC
    assert told["batch"] == "SpoolFullError"


def _inside(folder: Path) -> None:
    spool = folder / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(spool)], check=True)
    (spool / "run").mkdir()
    told = {"statuses": [0, 0], "lives": [0, 0]}
    told["statuses"][0], told["lives"][0] = _live_once(folder)
    _fill(spool)
    told["statuses"][1], told["lives"][1] = _live_once(folder)
    print(json.dumps({**told, "marks": _marks(spool / "run"), "batch": _batch(spool / "run")}))


def _live_once(folder: Path) -> tuple[int, int]:
    """An agent whose coordinator is not there, until it has looked at its disk; its exit status and its life."""
    config = folder / "agent.json"
    endpoint = f"ipc://{folder}/none"
    config.write_text(json.dumps({"name": "a", "control": endpoint, "bulk": endpoint, "spool": str(folder / "spool")}))
    command = [sys.executable, "-m", "osbench.agent.main", "start", "--config", str(config)]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stderr=log)
        wait_for("the agent", lambda: holder(folder / "spool") == process.pid or process.poll() is not None, 20)
        wait_for("a look at the link", lambda: "nobody answers" in (folder / "log").read_text(), 20)
        process.send_signal(signal.SIGTERM)
        return process.wait(20), int((folder / "spool" / "life").read_text())


def _fill(spool: Path) -> None:
    with (spool / "filler").open("wb", buffering=0) as file:
        while os.statvfs(spool).f_bavail:
            file.write(b"x" * 1_024)


def _marks(folder: Path) -> int:
    """A sparse file would be made well, and end the worker by SIGBUS when it is first written to."""
    try:
        Marks(folder / "1-0.marks", create=True)
    except OSError as error:
        return error.errno or 0
    return 0


def _batch(folder: Path) -> str:
    identity = BatchIdentity(run="run", agent="a", life=1, worker=0, start_ns=0)
    try:
        SpoolWriter(folder, 1, 0).write(
            encode_batch(identity, 1, Rows(iterations=[], names={}, errors={}, request_ids={}))
        )
    except SpoolFullError as error:
        return type(error).__name__
    return ""


if __name__ == "__main__":
    _inside(Path(sys.argv[1]))
