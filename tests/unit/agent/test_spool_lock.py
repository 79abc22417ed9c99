"""One agent for each spool."""

import os
from pathlib import Path

import pytest

from osbench.agent.spool_lock import SpoolLock, holder
from osbench.common.error import AgentError


def test_a_second_agent_is_refused_and_told_which_process_the_first_is(tmp_path: Path) -> None:
    """Two supervisors on one spool would ship, and delete, each other's segments."""
    lock = SpoolLock(tmp_path)

    with pytest.raises(AgentError, match=f"another agent, process {os.getpid()}, works on the spool {tmp_path}"):
        SpoolLock(tmp_path)

    lock.close()
    SpoolLock(tmp_path).close()


def test_who_looks_learns_who_holds_it_and_takes_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path) is None

    lock = SpoolLock(tmp_path)
    assert holder(tmp_path) == os.getpid()

    lock.close()
    assert holder(tmp_path) is None


def test_a_folder_that_is_not_there_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="give a spool folder that this user may write"):
        SpoolLock(tmp_path / "none")
