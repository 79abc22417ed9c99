"""What the commands work with: home, store, catalog, runner, engines, made when they are first needed.

Rules: the composition root of the command line. Heavy modules are imported inside the functions that need them, so that
`osbench … --help` and completion answer at once; a test replaces any part by handing in another `Parts`.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from osbench.coordinator.home import Home
    from osbench.coordinator.progress import ProgressUpdate, RunControls, TaskOutcome
    from osbench.coordinator.store.contract import Store
    from osbench.coordinator.task_file.catalog import Catalog
    from osbench.deploy.contract import Engine


class Runner(Protocol):
    """Runs tasks on this machine: coordinator/local_run, or a test's own."""

    async def run_task(
        self,
        home: "Home",
        store: "Store",
        task_id: str,
        *,
        agents: int,
        workers: int | None,
        abort_on_sla_failure: bool,
        on_progress: "Callable[[ProgressUpdate], None]",
        attach: "Callable[[RunControls], None]",
    ) -> "TaskOutcome":
        """Run a task that was created.

        Args:
            agents: how many to start here. workers: of each, None shares the cores.
            on_progress: called from the loop; must not block.
            attach: called once, with what asks the task to end.
        """
        ...

    async def resume_task(
        self,
        home: "Home",
        store: "Store",
        task_id: str,
        *,
        on_progress: "Callable[[ProgressUpdate], None]",
        abort_on_sla_failure: bool,
        attach: "Callable[[RunControls], None]",
    ) -> "TaskOutcome":
        """Go on with a task whose process died."""
        ...


def _open_store(home: "Home") -> "Store":
    from osbench.common.clock import SystemClock
    from osbench.coordinator.store.sql import open_store

    return open_store(home.database, clock=SystemClock(), key_file=home.key_file)


def _known_catalog() -> "Catalog":
    from osbench.coordinator.known import known_catalog

    return known_catalog()


def _local_runner() -> Runner:
    from osbench.coordinator import local_run

    return local_run


def _engines() -> "Mapping[str, Engine]":
    from osbench.deploy.engines import ENGINES

    return ENGINES


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How the parts are made; `environment` has the variables of the process."""

    open_store: "Callable[[Home], Store]" = _open_store
    catalog: "Callable[[], Catalog]" = _known_catalog
    runner: Callable[[], Runner] = _local_runner
    engines: "Callable[[], Mapping[str, Engine]]" = _engines
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(slots=True, kw_only=True)
class Workshop:
    """What one command line works with.

    Attributes:
        home_path: of `--home`. verbosity: -1 quiet, 0, 1, 2.
    """

    parts: Parts = field(default_factory=Parts)
    home_path: str | None = None
    verbosity: int = 0
    _home: "Home | None" = None

    @property
    def home(self) -> "Home":
        """The home, made if it is not there.

        Raises:
            InputError: it cannot be.
        """
        from osbench.coordinator.home import open_home

        if self._home is None:
            self._home = open_home(self.home_path, self.parts.environment)
        return self._home

    def store(self) -> "AbstractContextManager[Store]":
        """The store, closed at the end of the block."""
        return closing(self.parts.open_store(self.home))
