"""The supervisor: an agent's own process. It speaks with the coordinator, keeps workers, and ships their batches.

Rules: it runs no scenario and decides nothing: what happens is told to `AgentState`, and what that answers is carried out
here, in order. All its work is small, so that a stop is obeyed and a clock probe answered at once. Nothing that the
network, the disk or a job does ends it: only a signal does, or its own wish to (`linger_s`).
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from osbench.agent.agent_events import (
    AgentEvent,
    AgentInstruction,
    AgentSettings,
    DeleteRun,
    ExtendLease,
    KillWorker,
    LeaveAsked,
    LifeFound,
    OrderWorker,
    SendHello,
    SendProbe,
    SendReport,
    SpawnWorkers,
    TimePassed,
    WriteLog,
)
from osbench.agent.agent_state import AgentState
from osbench.agent.config import AgentConfig
from osbench.agent.control import ControlChannel, ToldAgent
from osbench.agent.host import HostMeter, HostRecords
from osbench.agent.link import Link
from osbench.agent.run_site import RunSite, spool_changed
from osbench.agent.spool_folder import SpoolFolder
from osbench.agent.spool_index import SpoolIndex
from osbench.agent.status_writer import StatusWriter
from osbench.agent.uplink import Uplink
from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.messages import (
    ClockProbe,
    Prepare,
)
from osbench.common.sockets import bulk_dealer, control_dealer

log = logging.getLogger(__name__)

TICK_S = 0.1
#: Ticks between two looks at workers' progress, and at the host and the disk.
PROGRESS_TICKS = 2
HOST_TICKS = 10
#: When the time to drain is over, workers are stopped, and killed after so long.
STOP_S = 2.0
#: What drained is given so long to be acknowledged before the agent ends; the spool keeps the rest.
DELIVER_S = 2.0


class Supervisor:
    """One life of an agent.

    Args:
        config: of the agent. folder: its spool, which no other agent works on.
        grace_s: how long workers may drain when the agent is told to end.
    """

    def __init__(self, config: AgentConfig, folder: SpoolFolder, grace_s: float) -> None:
        self.config = config
        self.clock = SystemClock()
        self.folder = folder
        self.life = self.folder.next_life(self.clock.wall_ns())
        self.index = SpoolIndex()
        self.sites: dict[str, RunSite] = {}
        settings = AgentSettings(workers=config.worker_count)
        self.state = AgentState(config.name, self.life, settings)
        self._context = zmq.asyncio.Context()
        own, server_key = config.keys, config.coordinator_key
        control = control_dealer(self._context, config.name, own=own, server_key=server_key)
        bulk = bulk_dealer(self._context, config.name, own=own, server_key=server_key)
        self._control = ControlChannel(control, config, self.life, self.clock, self._hear)
        self._bulk_link = Link(bulk, config.bulk, "bulk", self.clock)
        self.uplink = Uplink(bulk, self.index, self.clock, self._on_spool)
        self._status = StatusWriter(config, self.state, self._control, self._bulk_link.watch, self.index, self.clock)
        self._meter = HostMeter(spool_bytes=lambda: self._spool_bytes)
        self._hosts = HostRecords(config.name, self.life, self.folder, self.index)
        self._jobs: dict[str, Prepare] = {}
        self._spool_bytes = 0
        self._cpu_permille = self._memory_permille = 0
        self._todo: deque[AgentInstruction] = deque()
        self._is_performing = False
        self._grace_s = grace_s
        self._leaving = asyncio.Event()
        self._ending = asyncio.Event()

    # Life and death.

    async def live(self) -> None:
        """Run until told to stop, or until nothing is left to do and nobody is heard."""
        past = await asyncio.to_thread(self.folder.past_workers, self.index, self.life, self._leaving.is_set)
        if self._leaving.is_set():
            self._context.destroy(linger=0)
            return
        self._meter.begin()
        await self.tell(LifeFound(now_ns=self.clock.now_ns(), past=past))
        parts: tuple[Callable[[], Awaitable[None]], ...] = (
            self._control.listen,
            self._control.link.keep,
            self._bulk_link.keep,
            self.uplink.listen,
            self.uplink.ship,
            self._tick,
            self._leave,
        )
        tasks = [asyncio.ensure_future(part()) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*(site.close(patience_s=0.0) for site in self.sites.values()))
            self._control.link.close()
            self._bulk_link.close()
            # All sockets at once, the monitors' ends too: a context waits for each that is open.
            self._context.destroy(linger=0)

    def stop(self) -> None:
        """End this life: workers drain, the spool stays for the next. Told again: end it now."""
        if self._leaving.is_set():
            log.warning("told twice to end: ending now")
            self._ending.set()
        self._leaving.set()

    async def _leave(self) -> None:
        """When told to: drain, deliver what is left if that is quick, and end."""
        await self._leaving.wait()
        log.info("told to end: draining for at most %g s", self._grace_s)
        await self.tell(LeaveAsked(now_ns=self.clock.now_ns()))
        await self._wait_while(lambda: self._processes > 0, self._grace_s)
        if self._processes and not self._ending.is_set():
            log.warning("%d workers are not done: stopping them", self._processes)
            for site in self.sites.values():
                site.stop()
            await self._wait_while(lambda: self._processes > 0, STOP_S)
        await self._wait_while(self._can_deliver, DELIVER_S)
        log.info("ending; %d batches stay in the spool", sum(self.index.waiting_by_run().values()))

    async def _wait_while(self, condition: Callable[[], bool], at_most_s: float) -> None:
        until_ns = self.clock.now_ns() + int(at_most_s * NS_PER_S)
        while condition() and self.clock.now_ns() < until_ns and not self._ending.is_set():
            await asyncio.sleep(TICK_S / 2)

    def _can_deliver(self) -> bool:
        return bool(self.index.waiting_by_run()) and self._bulk_link.watch.is_connected

    @property
    def _processes(self) -> int:
        return sum(site.alive for site in self.sites.values())

    # Events in, instructions out.

    async def _hear(self, event: AgentEvent, message: ToldAgent | None) -> None:
        """Something came over the control channel."""
        if isinstance(message, Prepare):
            self._jobs[message.run] = message
        await self.tell(event)
        if isinstance(message, Prepare) and message.run not in self.state.runs:
            self._jobs.pop(message.run, None)  # not taken, and it holds secrets

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
            await self._control.send(report)
        elif isinstance(order, SendProbe):
            await self._control.send(ClockProbe(sent_ns=self.clock.now_ns()))
        elif isinstance(order, SendHello):
            # Of a run whose marks are not trusted any more only the spool knows; what is not named is never cleaned up.
            await self._control.greet({*order.runs, *self.folder.runs()})
        elif isinstance(order, SpawnWorkers):
            await self._site(order.run).spawn(order, self._jobs[order.run])
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
        self._jobs.pop(run, None)
        if (site := self.sites.pop(run, None)) is not None:
            await site.close()
        self._hosts.forget(run)
        self.index.forget(run)
        self.uplink.forget(run)
        await asyncio.to_thread(self.folder.delete, run)

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
            if tick % HOST_TICKS == 0 or self._status.has_news():
                await self._status.write(
                    processes=self._processes, spool_bytes=self._spool_bytes, is_leaving=self._leaving.is_set()
                )
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
            if site.is_under_way and self._hosts.add(site.run, site.start_ns, row):
                self.uplink.wake()
        await asyncio.to_thread(_flush, segments)
        for run in {spool.run for spool in self.index.workers.values()} | set(self.sites):
            self._on_spool(run)

    def _on_spool(self, run: str) -> None:
        self.tell_soon(spool_changed(run, self.index, self.clock.now_ns(), self._spool_bytes))

    def _is_abandoned(self) -> bool:
        silent_ns = self.clock.now_ns() - self._control.heard_ns
        return bool(self.config.linger_s) and not self._processes and silent_ns > self.config.linger_s * NS_PER_S


def _flush(segments: list[Path]) -> None:
    """Have the kernel write these files to the disk."""
    for segment in segments:
        try:
            fd = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.fsync(fd)
        except OSError as error:
            log.error("%s may not be on the disk: %s", segment, error.strerror)
        finally:
            os.close(fd)
