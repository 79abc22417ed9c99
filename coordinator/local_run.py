"""A task on this machine: coordinator, ingest, contexts and agents as processes here, over ipc. The composition root.

Rules: everything is built here and handed in. The very same parts serve a coordinator that runs as a daemon; what is
local is only who starts the agents, and that the channels are files in a folder nobody else may enter. If this process
is killed, the agents go on by their plan and spool; `resume_task` builds the same again at the same place and adopts
them.
"""

import asyncio
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import zmq.asyncio

from osbench.common.clock import NS_PER_MS, NS_PER_S, SystemClock
from osbench.common.error import AgentError, InputError
from osbench.common.naming import task_mark
from osbench.common.sockets import control_router
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.contexts.process import ContextsProcess
from osbench.coordinator.crew import FixedCrew
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.home import Home
from osbench.coordinator.ingest_link import IngestLink
from osbench.coordinator.ingest_messages import IngestSetup
from osbench.coordinator.local_agents import LocalAgent, local_agents
from osbench.coordinator.peers import NamedPeers
from osbench.coordinator.progress import Phase, ProgressUpdate, RunControls, TaskOutcome
from osbench.coordinator.roster import Roster, RosterSettings
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.store.contract import Store
from osbench.coordinator.task_run import TaskRun
from osbench.coordinator.task_state import Task, TaskStatus

log = logging.getLogger(__name__)

#: On one machine orders arrive at once, and a start needs no long margin.
START_MARGIN_NS = 300 * NS_PER_MS
DELIVERY_NS = 200 * NS_PER_MS
#: Agents go on without a coordinator for so long: time to resume a task whose coordinator was killed.
LEASE_NS = 60 * NS_PER_S
JOIN_NS = 30 * NS_PER_S
#: How often it is looked whether the agents live, and how often any of them is started again.
LOOK_S = 0.5
RESTARTS = 5


async def run_task(
    home: Home,
    store: Store,
    task_id: str,
    *,
    agents: int,
    workers: int | None,
    abort_on_sla_failure: bool,
    on_progress: Callable[[ProgressUpdate], None],
    attach: Callable[[RunControls], None] = lambda _: None,
) -> TaskOutcome:
    """Run a task that was created and is in status `init`.

    Args:
        home: where agents spool. store: where all is kept.
        agents: how many to start here, 1 or more. workers: processes of each; None shares the cores among them.
        abort_on_sla_failure: end as soon as a criterion has failed.
        on_progress: told twice a second. attach: given the controls by which the task can be asked to end.
    """
    for status in (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING):
        await asyncio.to_thread(store.task_update_status, task_id, status)
    return await _run(home, store, task_id, agents, workers, abort_on_sla_failure, on_progress, attach)


async def resume_task(
    home: Home,
    store: Store,
    task_id: str,
    *,
    on_progress: Callable[[ProgressUpdate], None],
    abort_on_sla_failure: bool = False,
    attach: Callable[[RunControls], None] = lambda _: None,
) -> TaskOutcome:
    """Take up a task whose coordinator died: adopt its agents, deliver what they spooled, run what is left, clean up."""
    task = await asyncio.to_thread(store.task_get, task_id)
    if task.status is TaskStatus.CRASHED:
        await asyncio.to_thread(store.task_update_status, task_id, TaskStatus.RUNNING)
    count, workers = _agents_before(home, task_id)
    outcome = await _run(home, store, task_id, count, workers, abort_on_sla_failure, on_progress, attach)
    return outcome


async def _run(
    home: Home,
    store: Store,
    task_id: str,
    agents: int,
    workers: int | None,
    abort_on_sla_failure: bool,
    on_progress: Callable[[ProgressUpdate], None],
    attach: Callable[[RunControls], None],
) -> TaskOutcome:
    if agents < 1:
        raise InputError(f"--agents {agents}: at least 1 agent is needed")
    task = await asyncio.to_thread(store.task_get, task_id)
    clock = SystemClock(offset_ns=_clock_offset_ns(task_id))
    hosts = local_agents(_agents_folder(home, task_id), agents)
    on_progress(_starting(task))
    workers = workers or _share_of_cores(agents)
    async with local_parts(home, store, task_id, clock, hosts, workers) as (conductor, contexts):
        settings = RunSettings(
            expected=tuple(host.name for host in hosts),
            join_timeout_ns=JOIN_NS,
            start_margin_ns=START_MARGIN_NS,
            delivery_ns=DELIVERY_NS,
        )
        run = TaskRun(
            task,
            store=store,
            conductor=conductor,
            contexts=contexts,
            clock=clock,
            crew=FixedCrew(settings=settings),
            on_progress=on_progress,
            abort_on_sla_failure=abort_on_sla_failure,
        )
        attach(run)
        return await run.execute()


@asynccontextmanager
async def local_parts(
    home: Home, store: Store, task_id: str, clock: SystemClock, hosts: Sequence[LocalAgent], workers: int
) -> AsyncIterator[tuple[Conductor, ContextsProcess]]:
    """All processes and loops of a local run; ended in reverse order."""
    folder = socket_folder(task_id)
    control, bulk = f"ipc://{folder}/control", f"ipc://{folder}/bulk"
    context = zmq.asyncio.Context()
    conductor = Conductor(store, clock, Roster(RosterSettings(lease_ns=LEASE_NS)))
    socket = control_router(context, control)
    conductor.gateway = Gateway(socket, clock, conductor.hear_agent, NamedPeers())
    ingest = IngestLink(IngestSetup(database=home.database, endpoint=bulk))
    await ingest.start()
    contexts = ContextsProcess()
    loops = [
        asyncio.create_task(conductor.gateway.listen()),
        asyncio.create_task(conductor.work()),
        asyncio.create_task(ingest.serve(conductor.hear_ingest, conductor.tell_stored_again)),
    ]
    for loop in loops:
        loop.add_done_callback(conductor.loop_ended)
    keeping: asyncio.Task[None] | None = None
    try:
        start = partial(_start_all, hosts, control=control, bulk=bulk, workers=workers)
        start()
        keeping = asyncio.create_task(_keep_agents(hosts, start))
        yield conductor, contexts
    finally:
        if keeping is not None:
            keeping.cancel()
        await contexts.close()
        await asyncio.gather(*(host.end() for host in hosts))
        for loop in loops:
            loop.remove_done_callback(conductor.loop_ended)
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await ingest.close()
        socket.close(linger=0)
        context.term()
        _remove(folder, hosts)


def _start_all(hosts: Sequence[LocalAgent], *, control: str, bulk: str, workers: int) -> None:
    for host in hosts:
        host.ensure(control=control, bulk=bulk, workers=workers)


async def _keep_agents(hosts: Sequence[LocalAgent], start: Callable[[], None]) -> None:
    """Start an agent that is gone again: its new life delivers what the old one spooled, and takes work over."""
    for _ in range(RESTARTS):
        while all(host.process() is not None for host in hosts):
            await asyncio.sleep(LOOK_S)
        gone = [host.name for host in hosts if host.process() is None]
        log.warning("starting again: %s, which ended unasked", ", ".join(gone))
        start()
    while True:
        await asyncio.sleep(LOOK_S)


def socket_folder(task_id: str) -> Path:
    """Where the channels of a local run are: short, as names of sockets must be, and for this user only.

    Raises:
        AgentError: somebody else made it.
    """
    folder = Path(tempfile.gettempdir()) / f"osbench-{os.geteuid()}-{task_mark(task_id)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise AgentError(f"{folder} is not a folder of yours alone; remove it and try again")
    return folder


def _remove(folder: Path, hosts: Sequence[LocalAgent]) -> None:
    """Remove what a run needed only while it ran; a spool that still holds batches stays."""
    shutil.rmtree(folder, ignore_errors=True)
    for host in hosts:
        if not host.has_spooled():
            shutil.rmtree(host.folder, ignore_errors=True)
    for parent in {host.folder.parent for host in hosts}:
        with suppress(OSError):  # Not empty: one of them stays.
            parent.rmdir()


def _agents_folder(home: Home, task_id: str) -> Path:
    return home.agent_folder(task_mark(task_id))


def _agents_before(home: Home, task_id: str) -> tuple[int, int | None]:
    """How many agents a task had, and workers of each, as their folders tell."""
    configs = sorted(_agents_folder(home, task_id).glob("local-*/agent.json"))
    workers = json.loads(configs[0].read_text())["workers"] if configs else None
    return max(len(configs), 1), workers


def _share_of_cores(agents: int) -> int:
    return max(len(os.sched_getaffinity(0)) // agents, 1)


def _clock_offset_ns(task_id: str) -> int:
    """The offset of the coordinator's clock: the same whenever this task is taken up again on this machine."""
    digest = hashlib.blake2b(task_id.encode(), digest_size=6).digest()
    return 3_600 * NS_PER_S + int.from_bytes(digest, "little") * 1_000


def _starting(task: Task) -> ProgressUpdate:
    workloads = task.spec.workloads
    return ProgressUpdate(
        task=task.id,
        workload=1,
        workloads=len(workloads),
        scenario=workloads[0].scenario if workloads else "",
        phase=Phase.STARTING,
    )
