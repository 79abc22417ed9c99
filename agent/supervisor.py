"""The supervisor: an agent's own process. It speaks with the coordinator, keeps workers, and ships their batches.

Rules: it runs no scenario and decides nothing: what happens is told to `AgentState`, and what that answers is carried out
here, in order. All its work is small, so that a stop is obeyed and a clock probe answered at once.
"""

import asyncio
import logging
import os
from collections import deque
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil
import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from osbench.agent.agent_events import (
    AgentEvent,
    AgentInstruction,
    AgentSettings,
    ClockReplied,
    Connected,
    DeleteRun,
    ExtendLease,
    KillWorker,
    LifeFound,
    OrdersReceived,
    OrderWorker,
    PrepareReceived,
    Refused,
    SendHello,
    SendProbe,
    SendReport,
    SpawnWorkers,
    TimePassed,
    Welcomed,
    WriteLog,
)
from osbench.agent.agent_state import AgentState
from osbench.agent.config import AgentConfig
from osbench.agent.host import HostMeter
from osbench.agent.recorder import Recorder
from osbench.agent.run_site import RunSite, spool_changed
from osbench.agent.spool import SpoolFullError, SpoolWriter, scan_segment, segment_path
from osbench.agent.spool_folder import SpoolFolder
from osbench.agent.spool_index import SpoolIndex
from osbench.agent.uplink import Uplink
from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.error import ProtocolError
from osbench.common.job import unpack_job
from osbench.common.messages import (
    PROTOCOL_VERSION,
    ClockProbe,
    ClockReply,
    Hello,
    Orders,
    Prepare,
    Refusal,
    ToCoordinator,
    Welcome,
)
from osbench.common.record import SUPERVISOR, BatchIdentity, HostRow
from osbench.common.sockets import bulk_dealer, control_dealer
from osbench.common.wire import TO_AGENT, decode, encode

log = logging.getLogger(__name__)

TICK_S = 0.1
#: Ticks between two looks at workers' progress, and at the host and the disk.
PROGRESS_TICKS = 2
HOST_TICKS = 10


class Supervisor:
    """One life of an agent.

    Args:
        config: of the agent.
    """

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self.clock = SystemClock()
        self.folder = SpoolFolder(Path(config.spool))
        self.life = self.folder.next_life(self.clock.wall_ns())
        self.index = SpoolIndex()
        self.sites: dict[str, RunSite] = {}
        settings = AgentSettings(workers=config.worker_count)
        self.state = AgentState(config.name, self.life, settings)
        self._context = zmq.asyncio.Context()
        self._control = control_dealer(self._context, config.name)
        bulk = bulk_dealer(self._context, config.bulk, config.name)
        self.uplink = Uplink(bulk, self.index, self.clock, self._on_spool)
        self._meter = HostMeter(spool_bytes=lambda: self._spool_bytes)
        self._hosts: dict[str, tuple[Recorder, SpoolWriter]] = {}
        self._spool_bytes = 0
        self._cpu_permille = self._memory_permille = 0
        self._heard_ns = self.clock.now_ns()
        self._todo: deque[AgentInstruction] = deque()
        self._is_performing = False
        self._stopping = asyncio.Event()

    # Life and death.

    async def live(self) -> None:
        """Run until told to stop, or until nothing is left to do and nobody is heard."""
        past = await asyncio.to_thread(self.folder.past_workers, self.index, self.life)
        self._meter.begin()
        await self.tell(LifeFound(now_ns=self.clock.now_ns(), past=past))
        tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._watch_link()),
            asyncio.create_task(self.uplink.listen()),
            asyncio.create_task(self.uplink.ship()),
            asyncio.create_task(self._tick()),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            for site in self.sites.values():
                await site.close()
            self._control.disable_monitor()
            # All sockets at once, the monitor's end too: a context waits for each that is open.
            self._context.destroy(linger=0)

    def stop(self) -> None:
        """End this life: workers drain, the spool stays for the next."""
        self._stopping.set()

    # Events in, instructions out.

    async def tell(self, event: AgentEvent) -> None:
        """Tell the state what happened, and carry out what it answers."""
        self._todo.extend(self.state.handle(event))
        await self._perform_all()

    def tell_soon(self, event: AgentEvent) -> None:
        """As `tell`, from where nothing can be awaited."""
        self._todo.extend(self.state.handle(event))
        if not self._is_performing:
            asyncio.get_running_loop().create_task(self._perform_all())

    async def _perform_all(self) -> None:
        if self._is_performing:
            return
        self._is_performing = True
        try:
            while self._todo:
                await self._perform(self._todo.popleft())
        finally:
            self._is_performing = False

    async def _perform(self, order: AgentInstruction) -> None:
        if isinstance(order, SendReport):
            report = msgspec.structs.replace(
                order.report, cpu_permille=self._cpu_permille, memory_permille=self._memory_permille
            )
            await self._send(report)
        elif isinstance(order, SendProbe):
            await self._send(ClockProbe(sent_ns=self.clock.now_ns()))
        elif isinstance(order, SendHello):
            await self._send(self._hello(order.runs))
        elif isinstance(order, SpawnWorkers):
            await self.sites[order.run].spawn(order)
        elif isinstance(order, OrderWorker):
            self.sites[order.run].order(order)
        elif isinstance(order, ExtendLease):
            if order.run in self.sites:
                self.sites[order.run].extend_lease(order.until_ns)
        elif isinstance(order, KillWorker):
            log.warning("run %s: ending worker %d: %s", order.run, order.worker, order.reason)
            self.sites[order.run].kill(order.worker)
        elif isinstance(order, DeleteRun):
            await self._delete(order.run)
        else:
            assert isinstance(order, WriteLog)
            log.info("%s", order.text)

    async def _delete(self, run: str) -> None:
        if (site := self.sites.pop(run, None)) is not None:
            await site.close()
        if (hosts := self._hosts.pop(run, None)) is not None:
            hosts[1].close()
        self.index.forget(run)
        await asyncio.to_thread(self.folder.delete, run)

    def _hello(self, runs: tuple[str, ...]) -> Hello:
        nofile, _ = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)
        return Hello(
            agent=self.config.name,
            life=self.life,
            protocol=PROTOCOL_VERSION,
            version=version("osbench"),
            workers=self.config.worker_count,
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=psutil.virtual_memory().total,
            nofile=nofile,
            labels=self.config.labels,
            runs=runs,
        )

    # The control channel.

    async def _send(self, message: ToCoordinator) -> None:
        try:
            await self._control.send(encode(message), flags=zmq.NOBLOCK)
        except zmq.Again:
            return  # no connection: all is said again when there is one

    async def _watch_link(self) -> None:
        """Note when the control link comes and goes; what is said before it is there would be lost."""
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        monitor = self._control.get_monitor_socket(events)
        self._control.connect(self.config.control)
        while True:
            event = (await recv_monitor_message(monitor))["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                log.info("connected to the coordinator at %s", self.config.control)
                await self.tell(Connected(now_ns=self.clock.now_ns()))
            else:
                log.warning("no connection to the coordinator at %s (event %d)", self.config.control, event)

    async def _listen(self) -> None:
        while True:
            frames = await self._control.recv_multipart()
            now_ns = self.clock.now_ns()
            try:
                message = decode(frames[-1], TO_AGENT)
            except ProtocolError as error:
                log.warning("control channel: %s", error)
                continue
            self._heard_ns = now_ns
            await self.tell(self._event_of(message, now_ns))

    def _event_of(self, message: Welcome | Refusal | ClockReply | Prepare | Orders, now_ns: int) -> AgentEvent:
        if isinstance(message, ClockReply):
            return ClockReplied(
                now_ns=now_ns,
                probe_sent_ns=message.probe_sent_ns,
                received_ns=message.received_ns,
                replied_ns=message.replied_ns,
            )
        if isinstance(message, Orders):
            return OrdersReceived(now_ns=now_ns, orders=message)
        if isinstance(message, Prepare):
            site = self._site(message.run)
            site.job = message.job
            drain_ns = unpack_job(message.job).plan.drain_ns
            return PrepareReceived(now_ns=now_ns, run=message.run, revision=message.revision, drain_ns=drain_ns)
        if isinstance(message, Welcome):
            return Welcomed(now_ns=now_ns, life=message.life, lease_ns=message.lease_ns)
        log.warning("coordinator refuses: %s", message.reason)
        return Refused(now_ns=now_ns, reason=message.reason)

    def _site(self, run: str) -> RunSite:
        if run not in self.sites:
            self.sites[run] = RunSite(
                run,
                agent=self.config.name,
                life=self.life,
                folder=self.folder.run(run),
                index=self.index,
                clock=self.clock,
                clock_offset_ns=self.clock.offset_ns,
                tell=self.tell_soon,
                on_batch=self.uplink.wake,
            )
        return self.sites[run]

    # Once in a while.

    async def _tick(self) -> None:
        tick = 0
        while True:
            await asyncio.sleep(TICK_S)
            tick += 1
            if tick % PROGRESS_TICKS == 0:
                for site in self.sites.values():
                    site.progress()
            if tick % HOST_TICKS == 0:
                await self._look_at_host()
            await self.tell(TimePassed(now_ns=self.clock.now_ns()))
            if self._is_abandoned():
                log.info("no run is left and no coordinator was heard for %g s: ending", self.config.linger_s)
                self.stop()

    async def _look_at_host(self) -> None:
        """Once a second: the host's counters, the disk, and what is missing in the spool."""
        self._spool_bytes = await asyncio.to_thread(self.folder.size_bytes)
        row = self._meter.row(self.clock.now_ns())
        self._cpu_permille, self._memory_permille = row.cpu_permille, row.memory_permille
        is_full = self._spool_bytes > self.config.spool_limit_bytes
        segments = []
        for site in self.sites.values():
            site.set_pressure(is_full)
            segments += site.open_segments()
            if site.is_under_way:
                self._record_host(site, row)
        await asyncio.to_thread(_flush, segments)
        for run in {spool.run for spool in self.index.workers.values()} | set(self.sites):
            self._on_spool(run)

    def _record_host(self, site: RunSite, row: HostRow) -> None:
        """Host rows are batches too: the supervisor writes them as a worker of its own."""
        if site.run not in self._hosts:
            identity = BatchIdentity(
                run=site.run, agent=self.config.name, life=self.life, worker=SUPERVISOR, start_ns=site.start_ns
            )
            spool = SpoolWriter(self.folder.run(site.run), self.life, SUPERVISOR)
            self._hosts[site.run] = (Recorder(identity=identity), spool)
        recorder, spool = self._hosts[site.run]
        recorder.hosts.append(row)
        try:
            number, offset = spool.write(recorder.make_batch())
        except SpoolFullError as error:
            log.warning("%s: a second of the host's counters is not kept", error)
            return
        segment = segment_path(self.folder.run(site.run), self.life, SUPERVISOR, number)
        for entry in scan_segment(segment, offset):
            self.index.add(entry, is_open=True)
        self.uplink.wake()

    def _on_spool(self, run: str) -> None:
        self.tell_soon(spool_changed(run, self.index, self.clock.now_ns(), self._spool_bytes))

    def _is_abandoned(self) -> bool:
        silent_ns = self.clock.now_ns() - self._heard_ns
        is_idle = not any(not process.has_exited for site in self.sites.values() for process in site.workers.values())
        return bool(self.config.linger_s) and is_idle and silent_ns > self.config.linger_s * NS_PER_S


def _flush(segments: list[Path]) -> None:
    """Have the kernel write these files to the disk."""
    for segment in segments:
        try:
            fd = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
