"""The port of the command line to OSBench: everything that it asks for, apart from running a task in its own process.

Contract, for every adapter:
- Verbs block; each is whole when it returns. A service is used by one thread, but `task_watch` may be by another.
- A task is named by its id, a deployment by id or name.
- Errors are those of common/error: NotFoundError for what is not there, InputError for what cannot be done or taken,
  CloudError where a cloud refused, CoordinatorError where there is no coordinator to ask.
- Nothing that comes out holds a secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.deployment_service import DeploymentConfig, DeploymentDetail
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.result import TaskResult
from osbench.coordinator.task_file.reader import LoadedTask
from osbench.coordinator.task_line import QueuePlace, TaskDetail, TaskLine
from osbench.coordinator.task_state import TaskOptions, TaskStatus
from osbench.deploy.fingerprint import CloudFacts

#: What watching a task gives.
TaskEvent = QueuePlace | ProgressUpdate | TaskOutcome


class OsbenchService(Protocol):
    """Tasks, deployments and agents."""

    # Tasks.

    def task_create(
        self, loaded: LoadedTask, *, deployment: str, tags: Sequence[str], options: TaskOptions
    ) -> TaskLine:
        """A new task. A coordinator puts it at the end of its queue; without one it waits in `init` to be run.

        Raises:
            InputError: the deployment cannot run a task.
        """
        ...

    def task_list(
        self, *, deployment: str | None = None, status: TaskStatus | None = None, tag: str | None = None
    ) -> Sequence[TaskLine]:
        """Those that meet all that is given, oldest first."""
        ...

    def task_show(self, task: str) -> TaskDetail:
        """Where one stands."""
        ...

    def task_result(self, task: str) -> TaskResult:
        """What is stored of it, judged; of a task under way what there is so far."""
        ...

    def task_watch(self, task: str) -> Iterator[TaskEvent]:
        """How it goes: places in the queue, then updates, then its outcome, which is the last. At rest: its outcome.

        Raises:
            InputError: nobody works on it, so that it would be watched in vain.
        """
        ...

    def task_end(self, task: str, *, soft: bool) -> str:
        """Ask it to end; soft lets what is in flight end. Returns what will happen, in words.

        Raises:
            InputError: it has ended, or its process is gone and has left something on the cloud.
        """
        ...

    def task_resume(self, task: str) -> str:
        """Have the coordinator go on with a task that crashed. Returns what it will do, in words.

        Raises:
            InputError: it has not crashed; or there is no coordinator, and whoever resumes it runs it himself.
        """
        ...

    def task_delete(self, task: str, *, force: bool) -> None:
        """Forget it and all that it stored.

        Raises:
            InputError: it is under way, or has left something on the cloud and is not forced.
        """
        ...

    # Deployments.

    def deployment_create(self, *, name: str, engine: str, spec: Mapping[str, Any]) -> Deployment:
        """Put a cloud there, or take one as it is, and remember it.

        Raises:
            InputError: the name is taken or does not fit, the engine is not known, or the spec does not fit.
        """
        ...

    def deployment_list(self) -> Sequence[Deployment]:
        """All, oldest first."""
        ...

    def deployment_show(self, deployment: str) -> DeploymentDetail:
        """One, and how it signs in."""
        ...

    def deployment_config(self, deployment: str) -> DeploymentConfig:
        """What it was made of."""
        ...

    def deployment_check(self, deployment: str) -> CloudFacts:
        """Sign in to its cloud and look around."""
        ...

    def deployment_destroy(self, deployment: str) -> Deployment:
        """Remove what its engine made, and forget it; as it was last.

        Raises:
            InputError: it still has tasks.
        """
        ...

    def close(self) -> None:
        """Give back files and connections; it is not used after it."""
        ...

    # Agents.

    def agent_list(self) -> Sequence[AgentLine]:
        """All that the coordinator knows, by name."""
        ...

    def agent_show(self, name: str) -> AgentLine:
        """One of them."""
        ...

    def agent_drain(self, name: str, *, undo: bool) -> str:
        """Give it no new work, or take it in again. Returns what will happen, in words."""
        ...
