"""The contexts process: takes requests from its input, does them at the same time, answers on its output.

Rules: it keeps nothing between requests and writes nothing to disk. A request that fails or is cancelled has its own
set-up taken down again before it is answered. When the input ends, the coordinator is gone: the process drops what it is
doing and ends, and removes nothing, for it cannot know whether the coordinator comes back; a later clean-up finds all.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from osbench.common.cloud.administration import CloudView
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.error import AbortedError, CloudError, InputError, OsbenchError, ProtocolError
from osbench.common.job import CloudAccess, UserAccess
from osbench.common.scenarios.arguments import check_arguments
from osbench.common.scenarios.registry import find_scenario
from osbench.coordinator.cleanup import UNLISTED, Scope, clean_up
from osbench.coordinator.cleanup_kinds import KIND_NAMES
from osbench.coordinator.contexts.contract import Context, Stage
from osbench.coordinator.contexts.messages import (
    Cancel,
    CleanUp,
    CleanUpDone,
    CloudResource,
    FromContexts,
    Gone,
    Intended,
    Leftover,
    Made,
    Progress,
    Recorded,
    Refused,
    SetUp,
    SetUpDone,
    read_to_contexts,
)
from osbench.coordinator.contexts.registry import configured_contexts
from osbench.coordinator.contexts.resolve import require_services, resolve_arguments

log = logging.getLogger(__name__)

#: Progress is told at most so often, seconds; the last of each kind always.
PROGRESS_S = 0.2

OpenCloud = Callable[[CloudCredentials], AbstractAsyncContextManager[CloudView]]


class PipeReporter:
    """Tells the coordinator what one request does."""

    def __init__(self, request: int, say: Callable[[FromContexts], None]) -> None:
        self._request = request
        self._say = say
        self._marks = itertools.count(1)
        self._awaited: dict[int, asyncio.Future[None]] = {}
        self._told_s = 0.0
        #: All that may have been made.
        self.intended: list[CloudResource] = []

    async def intend(self, resources: tuple[CloudResource, ...]) -> None:
        self.intended.extend(resources)
        mark = next(self._marks)
        recorded = self._awaited[mark] = asyncio.get_running_loop().create_future()
        self._say(Intended(request=self._request, mark=mark, resources=resources))
        await recorded

    def recorded(self, mark: int) -> None:
        """The coordinator has recorded what was intended under `mark`."""
        recorded = self._awaited.pop(mark, None)
        if recorded is not None and not recorded.done():
            recorded.set_result(None)

    def made(self, *resources: CloudResource) -> None:
        self._say(Made(request=self._request, resources=resources))

    def gone(self, *resources: CloudResource) -> None:
        if resources:
            self._say(Gone(request=self._request, resources=resources))

    def progress(self, what: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        if done >= total or now_s - self._told_s >= PROGRESS_S:
            self._told_s = now_s
            self._say(Progress(request=self._request, what=what, done=done, total=total))


class ContextsServer:
    """Does requests.

    Args:
        open_cloud: makes a signed-in cloud of a deployment's credentials.
        say: sends a message to the coordinator.
    """

    def __init__(self, open_cloud: OpenCloud, say: Callable[[FromContexts], None]) -> None:
        self._open_cloud = open_cloud
        self._say = say
        self._reporters: dict[int, PipeReporter] = {}
        #: The part of a request that `Cancel` ends, and its whole.
        self._work: dict[int, asyncio.Task[FromContexts]] = {}
        self._whole: dict[int, asyncio.Task[None]] = {}
        self._runs: dict[int, str] = {}
        #: The input has ended.
        self._is_leaving = False

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Take requests until the input ends, then drop whatever is under way."""
        try:
            while (message := await read_to_contexts(reader)) is not None:
                match message:
                    case SetUp() | CleanUp():
                        self._begin(message)
                    case Recorded(request=request, mark=mark) if request in self._reporters:
                        self._reporters[request].recorded(mark)
                    case Cancel(request=request) if request in self._work:
                        self._work[request].cancel()
                    case _:
                        log.info("message for a request that is over: %s", type(message).__name__)
        finally:
            self._is_leaving = True
            left = list(self._whole.values())
            for whole in left:
                whole.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _begin(self, order: SetUp | CleanUp) -> None:
        self._reporters[order.request] = PipeReporter(order.request, self._say)
        self._runs[order.request] = order.run
        self._whole[order.request] = asyncio.create_task(self._do(order))

    async def _do(self, order: SetUp | CleanUp) -> None:
        """One request from its first message to its last."""
        request, reporter = order.request, self._reporters[order.request]
        try:
            await self._wait_for_earlier(order)
            work = self._set_up(order, reporter) if isinstance(order, SetUp) else self._clean_up(order, reporter)
            self._work[request] = asyncio.create_task(work)
            try:
                answer = await self._work[request]
            except OsbenchError as error:
                answer = await self._refuse(order, reporter, error)
            except asyncio.CancelledError:
                if self._is_leaving:
                    raise  # nothing is taken down then
                answer = await self._refuse(order, reporter, AbortedError("ended on request"))
            except Exception as error:
                log.error("request %d failed by a fault of our own", request, exc_info=error)
                fault = CloudError(f"fault in the contexts process, see its log: {type(error).__name__}: {error}")
                answer = await self._refuse(order, reporter, fault)
            try:
                self._say(answer)
            except ProtocolError as error:  # Longer than a message may be: it must be answered all the same.
                self._say(await self._refuse(order, reporter, error))
        finally:
            for table in (self._reporters, self._work, self._whole, self._runs):
                table.pop(request, None)

    async def _wait_for_earlier(self, order: SetUp | CleanUp) -> None:
        """A clean-up of a run that is still being set up would race with it."""
        for request, whole in list(self._whole.items()):
            if request < order.request and order.run and self._runs[request] == order.run:
                await asyncio.wait([whole])

    async def _refuse(self, order: SetUp | CleanUp, reporter: PipeReporter, error: OsbenchError) -> Refused:
        """Take down what a failed set-up has made, and say why it failed."""
        leftovers: tuple[Leftover, ...] = ()
        if isinstance(order, SetUp) and reporter.intended:
            try:
                async with self._stage(order, reporter) as (stage, contexts):
                    for context in reversed(contexts):
                        leftovers += await context.clean_up(stage)
                reporter.gone(*settled(reporter.intended, leftovers))
            except OsbenchError as again:
                log.warning("what the set-up of run %s made cannot be looked for: %s", order.run, again)
        return Refused(request=order.request, error=type(error).__name__, message=str(error), leftovers=leftovers)

    @asynccontextmanager
    async def _stage(self, order: SetUp, reporter: PipeReporter) -> AsyncIterator[tuple[Stage, list[Context]]]:
        contexts = configured_contexts(order.contexts)
        spec = cloud_spec(order.credentials)
        async with self._open_cloud(spec.admin) as cloud:
            stage = Stage(task=order.task, run=order.run, cloud=cloud, reporter=reporter, existing_users=spec.users)
            yield stage, contexts

    async def _set_up(self, order: SetUp, reporter: PipeReporter) -> FromContexts:
        scenario = find_scenario(order.scenario)
        check_arguments(scenario, order.arguments)
        contexts: dict[str, Any] = dict(order.contexts)
        if scenario.needs_users:
            contexts.setdefault("users", {})
        if not contexts and not scenario.services and not scenario.needs_admin:
            return SetUpDone(
                request=order.request, cloud=CloudAccess(), users=(), admin=None, arguments=dict(order.arguments)
            )
        order = msgspec.structs.replace(order, contexts=contexts)
        async with self._stage(order, reporter) as (stage, ready):
            require_services(stage.cloud, scenario)
            arguments = await resolve_arguments(stage.cloud, scenario, order.arguments)
            for context in ready:
                await context.set_up(stage)
            return SetUpDone(
                request=order.request,
                cloud=stage.cloud.cloud_access,
                users=tuple(stage.users),
                admin=stage.cloud.access if scenario.needs_admin else None,
                arguments=arguments,
            )

    async def _clean_up(self, order: CleanUp, reporter: PipeReporter) -> FromContexts:
        scope = Scope(task=order.task, run=order.run)
        spec = cloud_spec(order.credentials)
        async with self._open_cloud(spec.admin) as cloud:
            tenants = await _views(cloud, spec, order.users)
            outcome = await clean_up(cloud, scope, reporter, recorded=order.recorded, tenants=tenants)
        reporter.gone(*settled(order.recorded, outcome.leftovers))
        return CleanUpDone(request=order.request, removed=outcome.removed, leftovers=tuple(outcome.leftovers))


def settled(recorded: Sequence[CloudResource], leftovers: Sequence[Leftover]) -> list[CloudResource]:
    """Which of what was recorded is not there any more, or never was: not the leftovers, nor what could not be listed."""
    left = {(leftover.resource.kind, leftover.resource.name) for leftover in leftovers}
    return [
        resource
        for resource in recorded
        if resource.kind in KIND_NAMES
        and (resource.kind, resource.name) not in left
        and (resource.kind, UNLISTED) not in left
    ]


def cloud_spec(credentials: Mapping[str, Any]) -> CloudSpec:
    """A deployment's credentials out of the plain data they were stored as.

    Raises:
        InputError: they do not fit.
    """
    try:
        return msgspec.convert(dict(credentials), CloudSpec)
    except msgspec.ValidationError as error:
        raise InputError(f"the deployment's credentials do not fit: {error}; recreate the deployment") from error


async def _views(cloud: CloudView, spec: CloudSpec, users: tuple[UserAccess, ...]) -> list[CloudView]:
    """Where the administrator may not see all projects: a view of each project, through one of its users."""
    if cloud.is_admin:
        return []
    views: dict[str, CloudView] = {}
    try:
        for user in users:
            if user.project_id not in views:
                views[user.project_id] = await cloud.sign_in_again(user)
        for existing in spec.users:
            view = await cloud.sign_in(existing)
            views.setdefault(view.access.project_id, view)
    except CallFailed as failed:
        raise failed.as_cloud_error("signing in to look through the projects") from failed
    return list(views.values())
