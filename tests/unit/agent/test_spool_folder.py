"""The spool's folder: lives that only grow, runs that stay inside it."""

from pathlib import Path

import pytest

from osbench.agent.spool_folder import SpoolFolder, is_run_name


def test_lives_grow_even_when_the_clock_is_set_back(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path)

    assert [folder.next_life(now_ns) for now_ns in (1_000, 2_000, 500)] == [1_000, 2_000, 2_001]


@pytest.mark.parametrize("left", [b"", b"\0\0\0", b"-5", b"many"])
def test_a_damaged_number_of_the_last_life_is_found_again_in_what_that_life_left(tmp_path: Path, left: bytes) -> None:
    """A power cut may leave the file empty; an agent that does not start again keeps its records from being delivered."""
    folder = SpoolFolder(tmp_path)
    folder.run("run").mkdir()
    (folder.run("run") / "7000-0-000001.seg").write_bytes(b"")
    (tmp_path / "life").write_bytes(left)

    assert folder.next_life(3_000) == 7_001


def test_a_run_has_a_name_that_cannot_lead_out_of_the_spool() -> None:
    """The name comes over the wire, and what it names is deleted when the coordinator says so."""
    assert is_run_name("11111111-2222-4333-8444-555555555555")
    for name in ("", ".", "..", "../x", "a/b", "/etc", ".hidden", "a\0b", "a\n", "x" * 129, "é"):
        assert not is_run_name(name), name
