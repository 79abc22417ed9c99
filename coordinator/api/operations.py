"""Every operation of the API in one table, from which both the routes and the OpenAPI document are made.

Rules: what is not in the table is not served, and nothing is served that is not described. Names in a path are ids or
names by `bodies.NAME_PATTERN`; whatever does not look like one is not there.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.api import deployments, fleet, tasks
from osbench.coordinator.api.bodies import (
    BUNDLE_BYTES,
    DRAFT_BYTES,
    SMALL_BYTES,
    AgentPage,
    DeleteChoice,
    DeploymentDraft,
    DeploymentPage,
    DrainRequest,
    EndRequest,
    NoQuery,
    Said,
    SubmitBundle,
    TaskFilter,
    TaskPage,
)
from osbench.coordinator.api.office import Ask, Office
from osbench.coordinator.deployment_service import DeploymentConfig, DeploymentDetail
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.desk import CoordinatorStatus
from osbench.coordinator.report.json import Document
from osbench.coordinator.task_line import TaskDetail, TaskLine
from osbench.coordinator.task_service import SlaCheck
from osbench.deploy.fingerprint import CloudFacts

JSON, HTML, EVENTS = "application/json", "text/html", "text/event-stream"
#: Status of an InputError where the request is nothing but a name: what stands there does not allow it.
CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        name: unique; operationId of the document. answer: type of the answer's JSON, None where there is none.
        body: type of the request's JSON, None where there is none; may be left out if it has a default for all.
        refusal: HTTP status of an InputError.
    """

    method: str
    path: str
    name: str
    summary: str
    handle: Callable[[Office, Ask], Awaitable[Any]]
    answer: Any = None
    media: str = JSON
    status: int = 200
    body: Any = None
    max_bytes: int = SMALL_BYTES
    query: Any = NoQuery
    refusal: int = 400

    @property
    def is_body_needed(self) -> bool:
        """Whether a request without a body is refused."""
        return self.body in (SubmitBundle, DeploymentDraft)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tasks",
        name="listTasks",
        summary="Tasks, oldest first.",
        handle=tasks.list_tasks,
        answer=TaskPage,
        query=TaskFilter,
    ),
    Operation(
        method="POST",
        path="/v1/tasks",
        name="submitTask",
        summary="Put a task at the end of the queue. Its file comes with the template expanded.",
        handle=tasks.submit_task,
        answer=TaskLine,
        status=201,
        body=SubmitBundle,
        max_bytes=BUNDLE_BYTES,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{task}",
        name="showTask",
        summary="Where a task stands.",
        handle=tasks.show_task,
        answer=TaskDetail,
    ),
    Operation(
        method="DELETE",
        path="/v1/tasks/{task}",
        name="deleteTask",
        summary="Forget a task and all that it stored.",
        handle=tasks.delete_task,
        status=204,
        query=DeleteChoice,
        refusal=CONFLICT,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{task}/events",
        name="watchTask",
        summary="A task's progress as server-sent events: queued, progress, and at last outcome or fault.",
        handle=tasks.watch_task,
        media=EVENTS,
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{task}/abort",
        name="endTask",
        summary="Ask a task to end; it cleans up first.",
        handle=tasks.end_task,
        answer=Said,
        body=EndRequest,
        refusal=CONFLICT,
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{task}/resume",
        name="resumeTask",
        summary="Put a task that crashed into the queue again: it goes on where it was, and cleans up.",
        handle=tasks.resume_task,
        answer=Said,
        refusal=CONFLICT,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{task}/results",
        name="showResults",
        summary="A task's results, as docs/results.md describes them; of one under way what there is so far.",
        handle=tasks.task_result,
        answer=Document,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{task}/report",
        name="showReport",
        summary="A task's report: one HTML file that loads nothing.",
        handle=tasks.task_report,
        media=HTML,
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{task}/sla-check",
        name="checkSla",
        summary="Every SLA criterion of a task, and the exit code that it comes to.",
        handle=tasks.task_sla,
        answer=SlaCheck,
        refusal=CONFLICT,
    ),
    Operation(
        method="GET",
        path="/v1/deployments",
        name="listDeployments",
        summary="Deployments, oldest first.",
        handle=deployments.list_deployments,
        answer=DeploymentPage,
    ),
    Operation(
        method="POST",
        path="/v1/deployments",
        name="createDeployment",
        summary="Make a cloud known, or put one there with an engine; answered when it is there.",
        handle=deployments.create_deployment,
        answer=Deployment,
        status=201,
        body=DeploymentDraft,
        max_bytes=DRAFT_BYTES,
    ),
    Operation(
        method="GET",
        path="/v1/deployments/{deployment}",
        name="showDeployment",
        summary="One deployment, and how it signs in, without secrets.",
        handle=deployments.show_deployment,
        answer=DeploymentDetail,
    ),
    Operation(
        method="DELETE",
        path="/v1/deployments/{deployment}",
        name="destroyDeployment",
        summary="Remove what its engine made, and forget a deployment that has no tasks.",
        handle=deployments.destroy_deployment,
        answer=Deployment,
        refusal=CONFLICT,
    ),
    Operation(
        method="GET",
        path="/v1/deployments/{deployment}/config",
        name="showDeploymentConfig",
        summary="What a deployment was made of, secrets hidden.",
        handle=deployments.show_config,
        answer=DeploymentConfig,
    ),
    Operation(
        method="POST",
        path="/v1/deployments/{deployment}/check",
        name="checkDeployment",
        summary="Sign in to a deployment's cloud and list its services.",
        handle=deployments.check_deployment,
        answer=CloudFacts,
        refusal=CONFLICT,
    ),
    Operation(
        method="GET",
        path="/v1/agents",
        name="listAgents",
        summary="Load agents, by name.",
        handle=fleet.list_agents,
        answer=AgentPage,
    ),
    Operation(
        method="GET",
        path="/v1/agents/{agent}",
        name="showAgent",
        summary="One load agent.",
        handle=fleet.show_agent,
        answer=AgentLine,
    ),
    Operation(
        method="POST",
        path="/v1/agents/{agent}/drain",
        name="drainAgent",
        summary="Give an agent no new work, or take it in again.",
        handle=fleet.drain_agent,
        answer=Said,
        body=DrainRequest,
        refusal=CONFLICT,
    ),
    Operation(
        method="GET",
        path="/v1/status",
        name="showStatus",
        summary="How the coordinator is.",
        handle=fleet.show_status,
        answer=CoordinatorStatus,
    ),
)
