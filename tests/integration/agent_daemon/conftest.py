"""A control node and load hosts of a test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from control_node import ControlNode, LoadHost


@pytest.fixture
def control_node(tmp_path: Path) -> Iterator[ControlNode]:
    folder = tmp_path / "control"
    folder.mkdir()
    node = ControlNode(folder)
    node.start()
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
def load_host(tmp_path: Path) -> Iterator[Callable[[str], LoadHost]]:
    """Makes hosts; what runs on them ends with the test."""
    hosts: list[LoadHost] = []

    def make(name: str) -> LoadHost:
        (tmp_path / name).mkdir()
        hosts.append(LoadHost(tmp_path / name))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()
