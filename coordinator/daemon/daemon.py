"""The coordinator's daemon: everything is built here and handed in. The composition root of a control node.

Rules: the very parts of a local run (coordinator/local_run) in another frame: agents come over the network and prove who
they are, tasks come over the API and wait in a queue. Killed at any moment, the next start finds in the store what was
under way, and agents that are still at it.

    this process     control channel, enrolment, roster, runs, queue, REST API       (one loop, uvloop; store in threads)
     ├─ ingest       bulk channel, transactions
     └─ contexts     clouds set up and cleaned
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version

import zmq.asyncio

from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.curve import KeyPair
from osbench.common.error import AgentError, OsbenchError
from osbench.common.open_files import ensure_open_files
from osbench.common.sockets import bound_endpoint, control_router
from osbench.coordinator.api.access import ApiAccess, make_token, remove_access, write_access
from osbench.coordinator.api.server import serve_api
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.contexts.process import ContextsProcess
from osbench.coordinator.crew import RosterCrew, Wishes
from osbench.coordinator.daemon.bulletin import Bulletin
from osbench.coordinator.daemon.clock_anchor import anchored_clock
from osbench.coordinator.daemon.config import CoordinatorConfig
from osbench.coordinator.daemon.front_desk import FrontDesk
from osbench.coordinator.daemon.late_records import LateRecords
from osbench.coordinator.daemon.members import Members
from osbench.coordinator.daemon.task_queue import TaskQueue
from osbench.coordinator.enrolment import EnrolmentDesk
from osbench.coordinator.gatekeeper import Gatekeeper
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.home import Home
from osbench.coordinator.ingest_link import IngestLink
from osbench.coordinator.ingest_messages import IngestSetup
from osbench.coordinator.keyring import KeyRing
from osbench.coordinator.membership import server_key
from osbench.coordinator.peers import KeyedPeers
from osbench.coordinator.progress import ProgressUpdate
from osbench.coordinator.roster import Roster, RosterSettings
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.task_run import TaskRun
from osbench.coordinator.task_state import Task

log = logging.getLogger(__name__)

#: Agents that were connected to an earlier process of this coordinator come back within this time.
COME_BACK_NS = 6 * NS_PER_S


class Daemon:
    """One life of a coordinator.

    Args:
        home: its folder. config: its settings. store: opened. key: by which agents know it. clock: the coordinator's.
    """

    def __init__(self, home: Home, config: CoordinatorConfig, store: Store, key: KeyPair, clock: SystemClock) -> None:
        self._home = home
        self._config = config
        self._store = store
        self._key = key
        self._clock = clock
        self._settled_ns = clock.now_ns() + COME_BACK_NS
        self._context = zmq.asyncio.Context()
        self._ring = KeyRing()
        self._peers = KeyedPeers(self._ring)
        self._roster = Roster(RosterSettings(lease_ns=round(config.lease_s * NS_PER_S)))
        self._late = LateRecords(
            store,
            conductor=lambda: self._conductor,
            clock=clock,
            is_queued=lambda task: self._queue.owns(task),
            settings=self._settings,
        )
        self._conductor = Conductor(store, clock, self._roster, on_held=self._late.held)
        self._ingest = IngestLink(
            IngestSetup(database=home.database, endpoint=config.endpoint(config.bulk_port), server=key)
        )
        self._contexts = ContextsProcess()
        self._bulletin = Bulletin()
        self._queue = TaskQueue(home, store, self._make_run, self._bulletin, max_queued=config.max_queued)
        self._members = Members(store, self._ring, self._conductor, self._ingest.set_keys)

    @property
    def _settings(self) -> RunSettings:
        """How runs are conducted over a network; agents are named by a crew."""
        return RunSettings(
            expected=(),
            join_timeout_ns=round(self._config.ready_wait_s * NS_PER_S),
            lost_wait_ns=round(self._config.lost_wait_s * NS_PER_S),
            start_margin_ns=round(self._config.start_margin_s * NS_PER_S),
        )

    def _make_run(self, task: Task, on_progress: Callable[[ProgressUpdate], None]) -> TaskRun:
        options = task.options
        crew = RosterCrew(
            Wishes(agents=options.agents, min_agents=options.min_agents, labels=frozenset(options.labels)),
            entries=lambda: self._roster.entries,
            drained=lambda: self._conductor.drained,
            enrolled=lambda: self._members.enrolled,
            settings=self._settings,
            clock=self._clock,
            wait_s=self._config.agent_wait_s,
            settled_ns=self._settled_ns,
        )
        return TaskRun(
            task,
            store=self._store,
            conductor=self._conductor,
            contexts=self._contexts,
            clock=self._clock,
            crew=crew,
            on_progress=on_progress,
            abort_on_sla_failure=options.abort_on_sla_failure,
        )

    async def run(self, stop: asyncio.Event, on_up: Callable[[], None] = lambda: None) -> None:
        """Serve until told to stop; then leave a task under way as it is.

        Args:
            on_up: called once it serves.

        Raises:
            OsbenchError: a port is taken, a process does not come up, or a part of the daemon has ended.
        """
        async with AsyncExitStack() as stack:
            loops = await self._begin(stack)
            on_up()
            stopping = asyncio.create_task(_wait(stop))
            loops.append(asyncio.create_task(self._queue.work(), name="queue"))
            done, _ = await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
            if self._queue.current:
                log.warning(
                    "task %s is left under way: its agents go on for up to %g s; start again to take it up",
                    self._queue.current,
                    self._config.lease_s,
                )
            stack.push_async_callback(_end_all, [stopping, *loops])
            for loop in done - {stopping}:
                loop.result()
                raise AgentError(f"the {loop.get_name()} loop ended unasked")

    async def _begin(self, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        """Bring everything up, in the order in which each needs what was before; the stack takes it down."""
        config = self._config
        stack.callback(partial(self._context.destroy, linger=0))
        await self._ingest.start()
        stack.push_async_callback(self._ingest.close)
        stack.push_async_callback(self._contexts.close)
        gatekeeper = Gatekeeper(self._context, self._ring)
        gatekeeper.start()
        stack.callback(gatekeeper.stop)
        await self._members.begin()
        control = control_router(self._context, config.endpoint(config.control_port), server=self._key)
        self._conductor.gateway = Gateway(control, self._clock, self._conductor.hear_agent, self._peers)
        enrolment = EnrolmentDesk(
            self._context,
            config.endpoint(config.enrol_port),
            self._key,
            self._store,
            clock=self._clock,
            control_port=port_of(bound_endpoint(control)),
            bulk_port=port_of(self._ingest.endpoint),
            advertise=config.advertise,
            on_enrolled=self._members.refresh,
        )
        adopted = await self._queue.adopt()
        if adopted:
            log.info("taken up again, or waiting: %s", ", ".join(adopted))
        await self._serve_api(stack)
        stack.push_async_callback(self._late.close)
        log.info(
            "coordinator %s of home %s serves agents: control %s, bulk %s, enrolment %s",
            version("osbench"),
            self._home.path,
            bound_endpoint(control),
            self._ingest.endpoint,
            enrolment.endpoint,
        )
        return [
            asyncio.create_task(self._conductor.gateway.listen(), name="control"),
            asyncio.create_task(self._conductor.work(), name="conductor"),
            asyncio.create_task(
                self._ingest.serve(self._conductor.hear_ingest, self._conductor.tell_stored_again), name="ingest"
            ),
            asyncio.create_task(self._members.follow(), name="members"),
            asyncio.create_task(enrolment.serve(), name="enrolment"),
        ]

    async def _serve_api(self, stack: AsyncExitStack) -> None:
        """The API, and the file by which the command line of this home finds it."""
        token = make_token()
        url = await stack.enter_async_context(
            serve_api(
                self._front_desk(),
                self._store,
                self._home,
                host=self._config.api_listen,
                port=self._config.api_port,
                token=token,
                allow_remote=self._config.api_allow_remote,
            )
        )
        await asyncio.to_thread(write_access, self._home.path, ApiAccess(url=url, token=token))
        stack.callback(partial(remove_access, self._home.path))
        log.info("the API listens at %s; its token is in the home", url)

    def _front_desk(self) -> FrontDesk:
        return FrontDesk(
            self._store,
            queue=self._queue,
            bulletin=self._bulletin,
            members=self._members,
            roster=self._roster,
            conductor=self._conductor,
            clock=self._clock,
            addresses=self._peers.addresses,
            version=version("osbench"),
            store_url=_without_password(self._home.database),
            processes=self._processes,
        )

    def _processes(self) -> Mapping[str, int | None]:
        return {"coordinator": os.getpid(), "ingest": self._ingest.pid, "contexts": self._contexts.pid}


async def run_daemon(
    home: Home, config: CoordinatorConfig, stop: asyncio.Event, on_up: Callable[[], None] = lambda: None
) -> None:
    """Open what a coordinator needs, and serve until told to stop.

    Args:
        on_up: called once it serves.

    Raises:
        OsbenchError: it cannot be opened, or what `Daemon.run` raises.
    """
    ensure_open_files(2 * config.max_agents + 256, "set max_agents lower")
    clock = anchored_clock(home.path / "coordinator-clock.json")
    store = await asyncio.to_thread(open_store, home.database, clock=clock, key_file=home.key_file)
    try:
        await Daemon(home, config, store, server_key(home.path), clock).run(stop, on_up)
    except zmq.ZMQError as error:
        raise OsbenchError(
            f"an address of this coordinator cannot be used: {error}; is another one running?"
        ) from error
    finally:
        store.close()


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _end_all(loops: list[asyncio.Task[None]]) -> None:
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


def port_of(endpoint: str) -> int:
    """The TCP port of a bound ZeroMQ endpoint."""
    return int(endpoint.rpartition(":")[2])


def _without_password(database: str) -> str:
    """A database's URL, or its file, for people."""
    if "://" not in database:
        return database
    from sqlalchemy.engine import make_url

    return make_url(database).render_as_string(hide_password=True)
