"""A coordinator and agents for each test, ended after it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_osbench import Daemons


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Callable[..., Daemons]]:
    """Makes a home with settings of its coordinator; nothing is started yet."""
    made: list[Daemons] = []

    def make(**settings: Any) -> Daemons:
        made.append(Daemons(tmp_path / f"osbench-{len(made)}", settings))
        return made[-1]

    yield make
    for one in made:
        one.end_all()
        print(one.logs())  # shown of tests that fail
