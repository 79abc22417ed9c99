"""The daemon as the API sees it: implements coordinator/desk.Desk on the queue, the roster and the store.

Rules: runs on the daemon's loop and decides nothing; what needs the store goes through threads.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import psutil

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import NotFoundError
from osbench.common.messages import Report
from osbench.common.nearest import did_you_mean
from osbench.common.task import TaskSpec
from osbench.coordinator.agent_line import AgentLine, Standing
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.daemon.bulletin import Bulletin
from osbench.coordinator.daemon.members import Members
from osbench.coordinator.daemon.task_queue import TaskQueue
from osbench.coordinator.desk import CoordinatorStatus, ProcessLine
from osbench.coordinator.outcome_reader import stored_outcome
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.roster import Roster, RosterEntry
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import KnownAgent
from osbench.coordinator.task_service import usable_deployment
from osbench.coordinator.task_state import Task, TaskOptions


class FrontDesk:
    """What people can ask of this coordinator.

    Args:
        store: where all is kept. queue, bulletin, members, roster, conductor: the daemon's. clock: the coordinator's.
        addresses: agents are heard from. version: release. store_url: shown; without its password.
        processes: the daemon's own, by what they are for.
    """

    def __init__(
        self,
        store: Store,
        *,
        queue: TaskQueue,
        bulletin: Bulletin,
        members: Members,
        roster: Roster,
        conductor: Conductor,
        clock: Clock,
        addresses: Mapping[str, str],
        version: str,
        store_url: str,
        processes: Callable[[], Mapping[str, int | None]],
    ) -> None:
        self._store = store
        self._queue = queue
        self._bulletin = bulletin
        self._members = members
        self._roster = roster
        self._conductor = conductor
        self._clock = clock
        self._addresses = addresses
        self._version = version
        self._store_url = store_url
        self._processes = processes
        self._measured: dict[int, psutil.Process] = {}
        self._up_since_ns = clock.wall_ns()

    # Tasks.

    async def submit(
        self, spec: TaskSpec, source: str, *, deployment: str, tags: Sequence[str], options: TaskOptions
    ) -> Task:
        self._queue.check_room()
        task = await asyncio.to_thread(self._create, spec, source, deployment, tags, options)
        self._queue.add(task.id)
        return task

    def _create(self, spec: TaskSpec, source: str, deployment: str, tags: Sequence[str], options: TaskOptions) -> Task:
        target = usable_deployment(self._store, deployment)
        return self._store.task_create(deployment=target.id, spec=spec, source=source, tags=tags, options=options)

    async def end(self, task: str, *, soft: bool) -> str:
        return await self._queue.end(task, soft=soft)

    async def resume(self, task: str) -> str:
        return await self._queue.resume(task)

    async def updates(self, task: str) -> AsyncIterator[ProgressUpdate | TaskOutcome]:
        await asyncio.to_thread(self._store.task_get, task)
        if self._queue.owns(task) or self._bulletin.newest(task) is not None:
            async for update in self._bulletin.watch(task):
                yield update
            return
        yield await asyncio.to_thread(stored_outcome, self._store, task)

    def position(self, task: str) -> int | None:
        return self._queue.position(task)

    # Agents.

    def agents(self) -> Sequence[AgentLine]:
        return [self._line(name) for name in self._names()]

    def agent(self, name: str) -> AgentLine:
        if name not in (names := self._names()):
            raise NotFoundError(f"no agent is called {name!r:.80}{did_you_mean(name, names)}")
        return self._line(name)

    def _names(self) -> list[str]:
        """All that were ever enrolled or heard."""
        return sorted(self._members.enrolled | set(self._members.known) | set(self._roster.entries))

    async def drain(self, name: str, *, undo: bool) -> str:
        self.agent(name)
        await self._members.drain(name, undo=undo)
        self._conductor.drain_agent(name, undo=undo)
        if undo:
            return f"Agent {name} takes work again."
        run = self._run_of(self._conductor.latest.get(name))
        under_way = f"; what it has not started of run {run} goes to others" if run else ""
        return f"Agent {name} gets no new work{under_way}."

    def _line(self, name: str) -> AgentLine:
        known = self._members.known.get(name) or KnownAgent(name=name, life=0)
        entry = self._roster.entries.get(name)
        hello = entry.hello if entry else None
        report = self._conductor.latest.get(name)
        return AgentLine(
            name=name,
            standing=self._standing(name, entry, known),
            is_drained=name in self._conductor.drained,
            life=entry.life if entry else known.life,
            workers=hello.workers if hello else known.workers,
            cores=hello.cores if hello else known.cores,
            memory_bytes=hello.memory_bytes if hello else known.memory_bytes,
            nofile=hello.nofile if hello else known.nofile,
            labels=hello.labels if hello else known.labels,
            version=hello.version if hello else known.version,
            run=self._run_of(report),
            cpu_permille=report.cpu_permille if report else 0,
            memory_permille=report.memory_permille if report else 0,
            unacked=sum(run.unacked for run in report.runs) if report else 0,
            spool_bytes=max((run.spool_bytes for run in report.runs), default=0) if report else 0,
            offset_ns=report.offset_ns if report else 0,
            offset_error_ns=report.offset_error_ns if report else -1,
            heard_ago_s=self._heard_ago_s(entry, known),
            address=self._addresses.get(name, ""),
        )

    def _standing(self, name: str, entry: RosterEntry | None, known: KnownAgent) -> Standing:
        if name not in self._members.enrolled:
            return Standing.REVOKED
        if entry is not None:
            return Standing(entry.standing.value)
        return Standing.EXPECTED if known.seen_ns else Standing.NEVER_SEEN

    def _heard_ago_s(self, entry: RosterEntry | None, known: KnownAgent) -> float | None:
        if entry is not None and entry.hello is not None:
            return max(self._clock.now_ns() - entry.heard_ns, 0) / NS_PER_S
        return max(self._clock.wall_ns() - known.seen_ns, 0) / NS_PER_S if known.seen_ns else None

    def _run_of(self, report: Report | None) -> str:
        runs = report.runs if report else ()
        return next((part.run for part in runs if self._conductor.is_conducted(part.run)), "")

    # Itself.

    async def status(self) -> CoordinatorStatus:
        standings = Counter(line.standing.value for line in self.agents())
        return CoordinatorStatus(
            version=self._version,
            up_since_ns=self._up_since_ns,
            agents=dict(standings),
            task=self._queue.current,
            queued=len(self._queue),
            processes=tuple(self._measure(name, pid) for name, pid in self._processes().items() if pid),
            store_url=self._store_url,
            trouble=(self._conductor.trouble,) if self._conductor.trouble else (),
        )

    def _measure(self, name: str, pid: int) -> ProcessLine:
        """What a process uses; the share of a core since it was measured last."""
        try:
            process = self._measured.setdefault(pid, psutil.Process(pid))
            cpu = process.cpu_percent(None)
            return ProcessLine(name=name, pid=pid, cpu_permille=round(cpu * 10), memory_bytes=process.memory_info().rss)
        except psutil.NoSuchProcess:
            self._measured.pop(pid, None)
            return ProcessLine(name=name, pid=pid)
