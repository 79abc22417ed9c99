"""Private files: their mode, and whole or not at all."""

import os
from pathlib import Path

import pytest

from osbench.common.private_file import write_private


def test_only_the_owner_may_read_it_whatever_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Else whoever may put a link there chooses what is overwritten."""
    target, path = tmp_path / "target", tmp_path / "secret"
    target.write_bytes(b"theirs")
    path.symlink_to(target)
    write_private(path, b"ours")

    assert (target.read_bytes(), path.read_bytes(), path.is_symlink()) == (b"theirs", b"ours", False)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "in it").touch()
    with pytest.raises(OSError):
        write_private(folder, b"a file cannot replace a folder")

    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "no" / "such" / "folder", b"")
