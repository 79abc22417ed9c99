"""Speaks to the coordinator's API: requests out, typed values and our errors back.

Rules: blocking, for the command line. The token goes to the one URL it was made for: no proxy of the environment is used
and no redirect is followed. What comes back is decoded into typed values or is an error that says what to do.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx2 as httpx
import msgspec

from osbench.common.error import CoordinatorError, NotFoundError, ProtocolError
from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.api.access import ApiAccess
from osbench.coordinator.api.bodies import (
    NAME_PATTERN,
    AgentPage,
    DeploymentDraft,
    DeploymentPage,
    DrainRequest,
    EndRequest,
    Said,
    SubmitBundle,
    TaskPage,
)
from osbench.coordinator.api.events import EventReader, ToldEvent
from osbench.coordinator.api.fault import NO_SUCH_ROUTE, FaultBody, error_of
from osbench.coordinator.deployment_service import DeploymentConfig, DeploymentDetail
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.desk import CoordinatorStatus
from osbench.coordinator.report.json import read_json
from osbench.coordinator.result import TaskResult
from osbench.coordinator.task_line import TaskDetail, TaskLine
from osbench.deploy.fingerprint import CloudFacts

T = TypeVar("T")

CONNECT_S: Final = 5.0
#: Answers made of what is stored; what a cloud or an engine has to do for.
ANSWER_S: Final = 120.0
CLOUD_S: Final = 1800.0
#: Silence on an event stream: the API sends something every ten seconds.
SILENCE_S: Final = 35.0
MAX_ANSWER_BYTES: Final = 2**30
NAME: Final = re.compile(NAME_PATTERN)
VERSION_HEADER: Final = "osbench-version"


class ApiClient:
    """A coordinator's API. Used by one thread at a time; `close` it, or use it in a `with` block.

    Args:
        release: of this command line, for messages. http: a client to use, for tests.
    """

    def __init__(self, access: ApiAccess, *, release: str, http: httpx.Client | None = None) -> None:
        self._access = access
        self._release = release
        #: Release of whoever answered last, empty if he did not say.
        self._heard = ""
        # Reading the system's certificates takes longer than a request; over plain HTTP nobody asks for them.
        is_tls = access.url.startswith("https:")
        self._http = http or httpx.Client(trust_env=False, follow_redirects=False, verify=is_tls)
        self._headers = {"authorization": f"Bearer {access.token}", "accept": "application/json, text/event-stream"}

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    # Tasks.

    def task_submit(self, bundle: SubmitBundle) -> TaskLine:
        return self._ask("POST", "/v1/tasks", TaskLine, body=bundle)

    def task_list(self, filters: Mapping[str, str]) -> Sequence[TaskLine]:
        return self._ask("GET", "/v1/tasks", TaskPage, query=filters).tasks

    def task_show(self, task: str) -> TaskDetail:
        return self._ask("GET", f"/v1/tasks/{_part('task', task)}", TaskDetail)

    def task_result(self, task: str) -> TaskResult:
        return read_json(self._send("GET", f"/v1/tasks/{_part('task', task)}/results"))

    def task_end(self, task: str, *, soft: bool) -> str:
        return self._ask("POST", f"/v1/tasks/{_part('task', task)}/abort", Said, body=EndRequest(soft=soft)).message

    def task_resume(self, task: str) -> str:
        return self._ask("POST", f"/v1/tasks/{_part('task', task)}/resume", Said).message

    def task_delete(self, task: str, *, force: bool) -> None:
        self._send("DELETE", f"/v1/tasks/{_part('task', task)}", query={"force": "true" if force else "false"})

    def task_events(self, task: str, reader: EventReader) -> Iterator[ToldEvent]:
        """One connection's worth of a task's events; ends where the stream does.

        Args:
            reader: keeps the id of the newest event, so that the next connection goes on from it.

        Raises:
            CoordinatorError: nobody answers, or the connection was cut.
        """
        headers = {**self._headers, "last-event-id": reader.last_id} if reader.last_id else self._headers
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        url = f"{self._access.url}/v1/tasks/{_part('task', task)}/events"
        try:
            with self._http.stream("GET", url, headers=headers, timeout=timeout) as response:
                self._heard = response.headers.get(VERSION_HEADER, "")
                if response.status_code != 200:
                    response.read()
                    self._raise(response, response.content)
                for line in response.iter_lines():
                    event = reader.feed(line)
                    if event is not None:
                        yield event
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        except msgspec.DecodeError as error:
            raise self._not_understood(error) from error

    # Deployments.

    def deployment_create(self, draft: DeploymentDraft) -> Deployment:
        return self._ask("POST", "/v1/deployments", Deployment, body=draft, timeout_s=CLOUD_S)

    def deployment_list(self) -> Sequence[Deployment]:
        return self._ask("GET", "/v1/deployments", DeploymentPage).deployments

    def deployment_show(self, deployment: str) -> DeploymentDetail:
        return self._ask("GET", f"/v1/deployments/{_part('deployment', deployment)}", DeploymentDetail)

    def deployment_config(self, deployment: str) -> DeploymentConfig:
        return self._ask("GET", f"/v1/deployments/{_part('deployment', deployment)}/config", DeploymentConfig)

    def deployment_check(self, deployment: str) -> CloudFacts:
        return self._ask("POST", f"/v1/deployments/{_part('deployment', deployment)}/check", CloudFacts)

    def deployment_destroy(self, deployment: str) -> Deployment:
        return self._ask("DELETE", f"/v1/deployments/{_part('deployment', deployment)}", Deployment, timeout_s=CLOUD_S)

    # Agents, and the coordinator.

    def agent_list(self) -> Sequence[AgentLine]:
        return self._ask("GET", "/v1/agents", AgentPage).agents

    def agent_show(self, name: str) -> AgentLine:
        return self._ask("GET", f"/v1/agents/{_part('agent', name)}", AgentLine)

    def agent_drain(self, name: str, *, undo: bool) -> str:
        return self._ask("POST", f"/v1/agents/{_part('agent', name)}/drain", Said, body=DrainRequest(undo=undo)).message

    def status(self) -> CoordinatorStatus:
        return self._ask("GET", "/v1/status", CoordinatorStatus)

    # How it is done.

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_S,
    ) -> T:
        data = self._send(method, path, body=body, query=query, timeout_s=timeout_s)
        try:
            return msgspec.json.decode(data, type=answer)
        except msgspec.DecodeError as error:
            raise self._not_understood(error) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_S,
    ) -> bytes:
        """A request, and the bytes of its answer if that is a success."""
        headers, content = self._headers, None
        if body is not None:
            headers, content = {**headers, "content-type": "application/json"}, msgspec.json.encode(body)
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        url = self._access.url + path
        try:
            with self._http.stream(
                method, url, params=dict(query or {}), content=content, headers=headers, timeout=timeout
            ) as response:
                self._heard = response.headers.get(VERSION_HEADER, "")
                data = _read_bounded(response)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            self._raise(response, data)
        return data

    def _raise(self, response: httpx.Response, data: bytes) -> None:
        """The error that an answer tells of."""
        if response.status_code == 401:
            raise CoordinatorError(
                f"the coordinator at {self._access.url} refused the token of {self._access.origin}: it is another one's, "
                f"or the coordinator was started anew since; use its present token, or --local to do without it"
            )
        try:
            fault = msgspec.json.decode(data, type=FaultBody).error
        except msgspec.DecodeError as error:
            raise self._not_understood(error, f"HTTP {response.status_code}: ") from error
        if fault.kind == NO_SUCH_ROUTE:
            raise self._not_understood(ValueError(fault.message))
        raise error_of(fault)

    def _unreachable(self, error: Exception) -> CoordinatorError:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        return CoordinatorError(
            f"the coordinator at {self._access.url} (of {self._access.origin}) does not answer: {said}; start it with "
            f"`osbench-coordinator start`, or use --local to do without it"
        )

    def _not_understood(self, error: Exception, said: str = "") -> ProtocolError:
        """Something answered and is not what this release understands."""
        who = f"a coordinator of release {self._heard}" if self._heard else "something that is no coordinator"
        return ProtocolError(
            f"{who} answered at {self._access.url} what is not understood: {said}{str(error)[:200]}; this is osbench "
            f"{self._release}: use the same release on both ends"
        )


def _read_bounded(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ProtocolError(f"the answer is larger than {MAX_ANSWER_BYTES:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _part(what: str, name: str) -> str:
    """A name as a part of a path.

    Raises:
        NotFoundError: it looks like no name at all, so that there cannot be such a thing.
    """
    if not NAME.fullmatch(name):
        raise NotFoundError(f"there is no {what} {name!r:.150}")
    return quote(name, safe="")
