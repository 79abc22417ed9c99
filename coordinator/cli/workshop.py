"""What the commands work with: home, service, catalog, runner, engines, made when they are first needed.

Rules: the composition root of the command line. Heavy modules are imported inside the functions that need them, so that
`osbench … --help` and completion answer at once; a test replaces any part by handing in another `Parts`.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from osbench.coordinator.api.access import ApiAccess
    from osbench.coordinator.api.client import ApiClient
    from osbench.coordinator.home import Home
    from osbench.coordinator.progress import ProgressUpdate, RunControls, TaskOutcome
    from osbench.coordinator.service.contract import OsbenchService
    from osbench.coordinator.service.local import LocalService
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


def _connect(access: "ApiAccess") -> "ApiClient":
    from importlib.metadata import version

    from osbench.coordinator.api.client import ApiClient

    return ApiClient(access, release=version("osbench"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How the parts are made; `environment` has the variables of the process."""

    open_store: "Callable[[Home], Store]" = _open_store
    catalog: "Callable[[], Catalog]" = _known_catalog
    runner: Callable[[], Runner] = _local_runner
    engines: "Callable[[], Mapping[str, Engine]]" = _engines
    connect: "Callable[[ApiAccess], ApiClient]" = _connect
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(slots=True, kw_only=True)
class Workshop:
    """What one command line works with.

    Attributes:
        home_path: of `--home`. verbosity: -1 quiet, 0, 1, 2.
        is_local: of `--local`: whatever coordinator there is, this machine's store and processes are used.
    """

    parts: Parts = field(default_factory=Parts)
    home_path: str | None = None
    verbosity: int = 0
    is_local: bool = False
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

    def access(self) -> "ApiAccess | None":
        """Where the coordinator's API is; None if there is none to be used.

        Raises:
            InputError: what says where it is cannot be used.
        """
        from osbench.coordinator.api.access import find_access

        return None if self.is_local else find_access(self.home.path, self.parts.environment)

    def service(self) -> "AbstractContextManager[OsbenchService]":
        """The coordinator's service if one is configured, else this machine's; closed at the end of the block."""
        return closing(self._remote_service() if self.access() is not None else self._local_service())

    def local_service(self) -> "AbstractContextManager[LocalService]":
        """This machine's service; closed at the end of the block."""
        return closing(self._local_service())

    def _local_service(self) -> "LocalService":
        from osbench.coordinator.service.local import LocalService

        return LocalService(store=self.parts.open_store(self.home), home=self.home, engines=self.parts.engines())

    def _remote_service(self) -> "OsbenchService":
        import time

        from osbench.common.clock import SystemClock
        from osbench.common.error import CoordinatorError
        from osbench.coordinator.service.remote import RemoteService

        def connect() -> "ApiClient":
            # Asked anew each time: a coordinator that was started again may have another port and token.
            access = self.access()
            if access is None:
                raise CoordinatorError(
                    "the coordinator has ended; start it with `osbench-coordinator start`, or use --local to do without it"
                )
            return self.parts.connect(access)

        return RemoteService(connect, clock=SystemClock(), sleep=time.sleep)
