"""The service of a coordinator that runs: by its API.

Rules: what can be done with what was already answered (reports, tables) is done here, by the code that does it locally.
Watching a task survives a connection that is cut and a coordinator that is started again: events are absolute, so the
next connection goes on from the newest. While nobody answers it is tried again for `PATIENCE_S`. Every verb asks anew where
the coordinator is, for the one that was started again has another token.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import CoordinatorError
from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.api.bodies import MAX_WORD, DeploymentDraft, SubmitBundle, SubmitOptions
from osbench.coordinator.api.client import ApiClient
from osbench.coordinator.api.events import EventReader
from osbench.coordinator.api.fault import FaultBody, error_of
from osbench.coordinator.deployment_service import DeploymentConfig, DeploymentDetail
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.progress import TaskOutcome
from osbench.coordinator.result import TaskResult
from osbench.coordinator.service.contract import TaskEvent
from osbench.coordinator.task_file.reader import LoadedTask
from osbench.coordinator.task_line import QueuePlace, TaskDetail, TaskLine
from osbench.coordinator.task_state import TaskOptions, TaskStatus
from osbench.deploy.fingerprint import CloudFacts

#: How long a coordinator may be away while a task is watched, and how long is waited before it is asked again.
PATIENCE_S: Final = 120.0
RETRY_S: Final = 1.0


class RemoteService:
    """An `OsbenchService` by a coordinator's API.

    Args:
        connect: makes a client, from what is known then of where the coordinator is and of its token.
        clock, sleep: for waiting until it answers again.
    """

    def __init__(self, connect: Callable[[], ApiClient], *, clock: Clock, sleep: Callable[[float], object]) -> None:
        self._connect = connect
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Nothing is kept between two verbs."""

    def task_create(
        self, loaded: LoadedTask, *, deployment: str, tags: Sequence[str], options: TaskOptions
    ) -> TaskLine:
        asked = SubmitOptions(
            agents=options.agents,
            min_agents=options.min_agents,
            labels=options.labels,
            abort_on_sla_failure=options.abort_on_sla_failure,
        )
        bundle = SubmitBundle(
            title=_one_line(loaded.spec.title),
            source=loaded.rendered,
            deployment=deployment,
            tags=tuple(tags),
            options=asked,
        )
        with self._connect() as client:
            return client.task_submit(bundle)

    def task_list(
        self, *, deployment: str | None = None, status: TaskStatus | None = None, tag: str | None = None
    ) -> Sequence[TaskLine]:
        filters = {"deployment": deployment, "status": status.value if status else None, "tag": tag}
        with self._connect() as client:
            return client.task_list({name: value for name, value in filters.items() if value is not None})

    def task_show(self, task: str) -> TaskDetail:
        with self._connect() as client:
            return client.task_show(task)

    def task_result(self, task: str) -> TaskResult:
        with self._connect() as client:
            return client.task_result(task)

    def task_watch(self, task: str) -> Iterator[TaskEvent]:
        reader = EventReader()
        heard_ns: int | None = None
        place: QueuePlace | None = None
        while True:
            try:
                with self._connect() as client:
                    for event in client.task_events(task, reader):
                        heard_ns = self._clock.now_ns()
                        if isinstance(event, FaultBody):
                            raise error_of(event.error)
                        if isinstance(event, QueuePlace):
                            if event == place:
                                continue  # Said before the connection was cut.
                            place = event
                        yield event
                        if isinstance(event, TaskOutcome):
                            return
            except CoordinatorError as error:
                if heard_ns is None:
                    raise
                if self._clock.now_ns() - heard_ns > PATIENCE_S * NS_PER_S:
                    raise CoordinatorError(
                        f"{error}; task {task} goes on if its coordinator does: `osbench task watch {task}`"
                    ) from error
            # Cut off, or ended without an outcome since the coordinator ends: it may be started again.
            self._sleep(RETRY_S)

    def task_end(self, task: str, *, soft: bool) -> str:
        with self._connect() as client:
            return client.task_end(task, soft=soft)

    def task_resume(self, task: str) -> str:
        with self._connect() as client:
            return client.task_resume(task)

    def task_delete(self, task: str, *, force: bool) -> None:
        with self._connect() as client:
            client.task_delete(task, force=force)

    def deployment_create(self, *, name: str, engine: str, spec: Mapping[str, Any]) -> Deployment:
        with self._connect() as client:
            return client.deployment_create(DeploymentDraft(name=name, engine=engine, spec=dict(spec)))

    def deployment_list(self) -> Sequence[Deployment]:
        with self._connect() as client:
            return client.deployment_list()

    def deployment_show(self, deployment: str) -> DeploymentDetail:
        with self._connect() as client:
            return client.deployment_show(deployment)

    def deployment_config(self, deployment: str) -> DeploymentConfig:
        with self._connect() as client:
            return client.deployment_config(deployment)

    def deployment_check(self, deployment: str) -> CloudFacts:
        with self._connect() as client:
            return client.deployment_check(deployment)

    def deployment_destroy(self, deployment: str) -> Deployment:
        with self._connect() as client:
            return client.deployment_destroy(deployment)

    def agent_list(self) -> Sequence[AgentLine]:
        with self._connect() as client:
            return client.agent_list()

    def agent_show(self, name: str) -> AgentLine:
        with self._connect() as client:
            return client.agent_show(name)

    def agent_drain(self, name: str, *, undo: bool) -> str:
        with self._connect() as client:
            return client.agent_drain(name, undo=undo)


def _one_line(title: str) -> str:
    """A title as a bundle takes it; of a task of format 2 the coordinator reads the true one from the source."""
    printable = "".join(letter if letter.isprintable() else " " for letter in title)
    return " ".join(printable.split())[:MAX_WORD] or "task"
