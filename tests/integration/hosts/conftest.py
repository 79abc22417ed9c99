"""Test hosts: network namespaces on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.lab import Lab
from lab.namespaces import missing


@pytest.fixture(scope="session")
def can_have_hosts() -> None:
    """Skips where this machine cannot have test hosts, and says why."""
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def module_lab(can_have_hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A network that all tests of a module share."""
    with Lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def lab(can_have_hosts: None, tmp_path: Path) -> Iterator[Lab]:
    """A network without hosts; what a test makes in it ends with the test."""
    with Lab(tmp_path / "lab") as made:
        yield made
