"""The service on this machine: straight on the store. The coordinator's API answers by the same functions."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from osbench.common.error import CoordinatorError, InputError
from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.deployment_service import (
    DeploymentConfig,
    DeploymentDetail,
    cloud_of,
    create_deployment,
    deployment_config,
    describe_deployment,
    destroy_deployment,
)
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.home import Home
from osbench.coordinator.result import TaskResult
from osbench.coordinator.result_reader import read_task
from osbench.coordinator.service.contract import TaskEvent
from osbench.coordinator.store.contract import Store
from osbench.coordinator.stored_progress import watch_stored
from osbench.coordinator.task_file.reader import LoadedTask
from osbench.coordinator.task_line import TaskDetail, TaskLine
from osbench.coordinator.task_service import create_task, delete_task, describe_task, list_tasks, request_end
from osbench.coordinator.task_state import TaskOptions, TaskStatus
from osbench.deploy.contract import Engine
from osbench.deploy.fingerprint import CloudFacts, cloud_facts

NO_COORDINATOR = (
    "agents belong to a coordinator, and none is configured here: start one with `osbench-coordinator start`, or name one "
    "that runs elsewhere by OSBENCH_API and OSBENCH_API_TOKEN_FILE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalService:
    """An `OsbenchService` on a store of this machine.

    Attributes:
        home: where its locks tell which tasks are run. engines: by name. sleep: waits so many seconds.
    """

    store: Store
    home: Home
    engines: Mapping[str, Engine] = field(default_factory=dict)
    sleep: Callable[[float], object] = time.sleep

    def task_create(
        self, loaded: LoadedTask, *, deployment: str, tags: Sequence[str], options: TaskOptions
    ) -> TaskLine:
        created = create_task(self.store, loaded, deployment=deployment, tags=tags, options=options)
        return describe_task(self.store, self.home, created.id).line

    def task_list(
        self, *, deployment: str | None = None, status: TaskStatus | None = None, tag: str | None = None
    ) -> Sequence[TaskLine]:
        return list_tasks(self.store, self.home, deployment=deployment, status=status, tag=tag)

    def task_show(self, task: str) -> TaskDetail:
        return describe_task(self.store, self.home, task)

    def task_result(self, task: str) -> TaskResult:
        return read_task(self.store, task)

    def task_watch(self, task: str) -> Iterator[TaskEvent]:
        return watch_stored(self.store, self.home, task, sleep=self.sleep)

    def task_end(self, task: str, *, soft: bool) -> str:
        return request_end(self.store, self.home, task, soft=soft)

    def task_resume(self, task: str) -> str:
        raise InputError(f"task {task} is gone on with by the process that resumes it: `osbench task resume {task}`")

    def task_delete(self, task: str, *, force: bool) -> None:
        delete_task(self.store, self.home, task, force=force)

    def deployment_create(self, *, name: str, engine: str, spec: Mapping[str, Any]) -> Deployment:
        return create_deployment(self.store, self.home, self.engines, name=name, engine=engine, spec=spec)

    def deployment_list(self) -> Sequence[Deployment]:
        return self.store.deployment_list()

    def deployment_show(self, deployment: str) -> DeploymentDetail:
        return describe_deployment(self.store, deployment)

    def deployment_config(self, deployment: str) -> DeploymentConfig:
        return deployment_config(self.store, deployment)

    def deployment_check(self, deployment: str) -> CloudFacts:
        return asyncio.run(cloud_facts(cloud_of(self.store, deployment)))

    def deployment_destroy(self, deployment: str) -> Deployment:
        return destroy_deployment(self.store, self.home, self.engines, deployment)

    def close(self) -> None:
        self.store.close()

    def agent_list(self) -> Sequence[AgentLine]:
        raise CoordinatorError(NO_COORDINATOR)

    def agent_show(self, name: str) -> AgentLine:
        raise CoordinatorError(NO_COORDINATOR)

    def agent_drain(self, name: str, *, undo: bool) -> str:
        raise CoordinatorError(NO_COORDINATOR)
