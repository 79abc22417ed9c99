"""The command line rehearsed: an engine that puts nothing anywhere, a runner that runs nothing, a shell to type into.

Rules: the fakes of this package's ports, for tests; the store, the home and the services are the real ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.error import CloudError, InputError
from osbench.coordinator.cli.main import cli
from osbench.coordinator.cli.workshop import Parts, Workshop
from osbench.coordinator.home import Home
from osbench.coordinator.progress import Phase, ProgressUpdate, RunControls, TaskOutcome
from osbench.coordinator.store.contract import Store
from osbench.coordinator.task_state import TaskStatus


class RehearsedEngine:
    """An engine whose cloud is wherever the spec says, or that fails as the spec says."""

    def deploy(self, spec: Mapping[str, Any], folder: Path) -> CloudSpec:
        if spec.get("wrong"):
            raise InputError("spec: wrong")
        if spec.get("broken"):
            raise CloudError("nothing could be put there")
        (folder / "cloud").write_text("is there")
        return CloudSpec(admin=CloudCredentials(auth_url="http://127.0.0.1:1/v3", username="admin", password="hush"))

    def destroy(self, spec: Mapping[str, Any], folder: Path) -> None:
        if spec.get("stays"):
            raise CloudError("it does not go away")
        (folder / "cloud").unlink(missing_ok=True)


@dataclass(slots=True)
class RehearsedRunner:
    """Runs nothing: moves the task through its states and answers what it was told to."""

    answer: Callable[[str], TaskOutcome] = lambda task: TaskOutcome(task=task)
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def run_task(
        self,
        home: Home,
        store: Store,
        task_id: str,
        *,
        agents: int,
        workers: int | None,
        abort_on_sla_failure: bool,
        on_progress: Callable[[ProgressUpdate], None],
        attach: Callable[[RunControls], None],
    ) -> TaskOutcome:
        self.asked.append({"agents": agents, "workers": workers, "abort_on_sla_failure": abort_on_sla_failure})
        on_progress(
            ProgressUpdate(
                task=task_id, workload=1, workloads=1, scenario="Dummy.dummy", phase=Phase.RUNNING, planned=9
            )
        )
        assert home.is_task_run(task_id)
        for status in (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING):
            store.task_update_status(task_id, status)
        outcome = self.answer(task_id)
        store.task_update_status(task_id, TaskStatus.CRASHED if outcome.failure else TaskStatus.FINISHED)
        return outcome

    async def resume_task(
        self,
        home: Home,
        store: Store,
        task_id: str,
        *,
        on_progress: Callable[[ProgressUpdate], None],
        abort_on_sla_failure: bool,
        attach: Callable[[RunControls], None],
    ) -> TaskOutcome:
        self.asked.append({"resumed": task_id})
        return self.answer(task_id)


@dataclass(slots=True)
class Shell:
    """Types commands, each in a new process as it were: only the home is shared."""

    home: Path
    runner: RehearsedRunner
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        parts = Parts(
            engines=lambda: {
                "nowhere": RehearsedEngine(),
                "existing": RehearsedEngine(),
                "simulated": RehearsedEngine(),
            },
            runner=lambda: self.runner,
            environment={"OSBENCH_HOME": str(self.home), **self.environment},
        )
        """Run one command line."""
        return CliRunner().invoke(cli, list(words), obj=Workshop(parts=parts), input=stdin)
