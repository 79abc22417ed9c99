"""The routes of tasks."""

import hashlib
from collections.abc import Mapping

import msgspec
from starlette.responses import Response, StreamingResponse

from osbench.common.error import InputError
from osbench.coordinator.api.bodies import (
    DeleteChoice,
    EndRequest,
    Said,
    SubmitBundle,
    SubmitOptions,
    TaskFilter,
    TaskPage,
)
from osbench.coordinator.api.fault import BUSY, RefusedError
from osbench.coordinator.api.office import MAX_WATCHERS, Ask, Office
from osbench.coordinator.api.stream import event_stream
from osbench.coordinator.report.html import task_html
from osbench.coordinator.report.json import task_json
from osbench.coordinator.task_file.catalog import Catalog
from osbench.coordinator.task_file.reader import LoadedTask, load_rendered
from osbench.coordinator.task_line import TaskDetail, TaskLine
from osbench.coordinator.task_service import DAEMON, SlaCheck, check_sla
from osbench.coordinator.task_state import TaskOptions

#: A report is one file that loads nothing: what is in it may run, and nothing else.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


async def list_tasks(office: Office, ask: Ask) -> TaskPage:
    wanted = ask.query_as(TaskFilter)
    lines = await office.read(
        lambda: office.service.task_list(
            deployment=wanted.deployment or None, status=wanted.status or None, tag=wanted.tag or None
        )
    )
    return TaskPage(tasks=tuple(placed(office, line) for line in lines))


async def submit_task(office: Office, ask: Ask) -> TaskLine:
    bundle = ask.body_as(SubmitBundle)
    options = task_options(bundle.options)
    loaded = await office.read(lambda: read_bundle(bundle, office.catalog))
    task = await office.desk.submit(
        loaded.spec, loaded.rendered, deployment=bundle.deployment, tags=bundle.tags, options=options
    )
    detail = await office.read(lambda: office.service.task_show(task.id))
    return placed(office, detail.line)


def read_bundle(bundle: SubmitBundle, catalog: Catalog) -> LoadedTask:
    """The task of a bundle; takes a while for a large one.

    Raises:
        InputError: its text or its files do not fit.
    """
    check_files(bundle.files)
    return load_rendered(bundle.source, title=bundle.title, catalog=catalog)


def task_options(asked: SubmitOptions) -> TaskOptions:
    """How the daemon is to run a task.

    Raises:
        InputError: more agents are needed at least than are asked for.
    """
    if asked.agents is not None and asked.min_agents is not None and asked.min_agents > asked.agents:
        raise InputError(f"min_agents {asked.min_agents} is above the {asked.agents} agents asked for; lower it")
    return TaskOptions(
        runner=DAEMON,
        agents=asked.agents,
        min_agents=asked.min_agents,
        labels=asked.labels,
        abort_on_sla_failure=asked.abort_on_sla_failure,
    )


def check_files(files: Mapping[str, bytes]) -> None:
    """Look whether the files of a bundle are what their names say, and whether anything needs them.

    Raises:
        InputError: one is not what its digest says, or nothing of this release refers to files.
    """
    for digest, data in files.items():
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            raise InputError(
                f"the file called {digest} has the SHA-256 {found}: it was damaged on its way; send it again"
            )
    if files:
        raise InputError(
            f"the bundle has {len(files)} files and nothing in the task refers to them: no scenario of this release "
            f"takes local files; send the task without them"
        )


async def show_task(office: Office, ask: Ask) -> TaskDetail:
    detail = await office.read(lambda: office.service.task_show(ask.path["task"]))
    return msgspec.structs.replace(detail, line=placed(office, detail.line))


def placed(office: Office, line: TaskLine) -> TaskLine:
    """A task with its place in the queue."""
    position = office.desk.position(line.id)
    return line if position is None else msgspec.structs.replace(line, position=position)


async def delete_task(office: Office, ask: Ask) -> None:
    task, choice = ask.path["task"], ask.query_as(DeleteChoice)
    position = office.desk.position(task)
    if position is not None:
        raise InputError(f"task {task} waits in the queue, place {position}; `osbench task abort {task}` first")
    await office.read(lambda: office.service.task_delete(task, force=choice.force))


async def end_task(office: Office, ask: Ask) -> Said:
    name, soft = ask.path["task"], ask.body_as(EndRequest).soft
    task = await office.read(lambda: office.service.store.task_get(name))
    if task.options.runner == DAEMON:
        return Said(message=await office.desk.end(task.id, soft=soft))
    return Said(message=await office.read(lambda: office.service.task_end(task.id, soft=soft)))


async def resume_task(office: Office, ask: Ask) -> Said:
    task = await office.read(lambda: office.service.store.task_get(ask.path["task"]))
    if task.options.runner != DAEMON:
        raise InputError(
            f"task {task.id} was run by a command on the coordinator's machine: "
            f"`osbench --local task resume {task.id}` there"
        )
    return Said(message=await office.desk.resume(task.id))


async def watch_task(office: Office, ask: Ask) -> Response:
    task = await office.read(lambda: office.service.store.task_get(ask.path["task"]))
    if office.watchers >= MAX_WATCHERS:
        raise RefusedError(
            503, BUSY, f"{MAX_WATCHERS} watch already, which is as many as may; ask for the task instead"
        )
    return StreamingResponse(event_stream(office, task, ask.last_event_id + 1), media_type="text/event-stream")


async def task_result(office: Office, ask: Ask) -> Response:
    data = await office.read(lambda: task_json(office.service.task_result(ask.path["task"])))
    return Response(data, media_type="application/json")


async def task_report(office: Office, ask: Ask) -> Response:
    page = await office.read(lambda: task_html(office.service.task_result(ask.path["task"])).encode())
    return Response(page, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


async def task_sla(office: Office, ask: Ask) -> SlaCheck:
    return await office.read(lambda: check_sla(office.service.task_result(ask.path["task"])))
