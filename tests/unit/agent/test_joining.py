"""What is refused before the coordinator is asked at all."""

from pathlib import Path

import pytest

from osbench.agent.joining import JoinOptions, join
from osbench.agent.spool import SpoolWriter
from osbench.common.curve import make_key_pair
from osbench.common.error import InputError
from osbench.common.invitation import Invitation, make_secret
from osbench.common.record import BatchIdentity, Rows, encode_batch

INVITATION = Invitation(
    name="load-1", host="127.0.0.1", port=1, server_key=make_key_pair().public, secret=make_secret()
)


def options(folder: Path, *, is_forced: bool = False, labels: tuple[str, ...] = ()) -> JoinOptions:
    return JoinOptions(
        config=folder / "agent.json",
        spool=folder / "spool",
        workers=0,
        spool_limit_bytes=4 * 1024**3,
        labels=labels,
        is_forced=is_forced,
        timeout_s=1.0,
    )


def test_a_configuration_that_is_there_is_not_written_over_unasked(tmp_path: Path) -> None:
    (tmp_path / "agent.json").write_text("precious")

    with pytest.raises(
        InputError, match="is there already: this host has joined; --force replaces it, its spool stays"
    ):
        join(INVITATION, options(tmp_path))

    assert (tmp_path / "agent.json").read_text() == "precious"


def test_records_of_an_agent_of_another_name_are_not_taken_over(tmp_path: Path) -> None:
    """The coordinator would refuse them, and they would be lost."""
    run = tmp_path / "spool" / "run"
    run.mkdir(parents=True)
    identity = BatchIdentity(run="run", agent="old", life=7, worker=0, start_ns=0)
    writer = SpoolWriter(run, 7, 0)
    writer.write(encode_batch(identity, 1, Rows(iterations=[], names={}, errors={}, request_ids={})))
    writer.close()

    with pytest.raises(
        InputError, match="still holds records of agent 'old': let that one deliver them, or give load-1"
    ):
        join(INVITATION, options(tmp_path, is_forced=True))


def test_options_that_do_not_hold_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label 'two words'"):
        join(INVITATION, options(tmp_path, labels=("two words",)))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool"]
