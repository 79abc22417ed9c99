"""Runs that agents hold something of and nobody conducts: over before all was delivered, or of no store of ours.

An agent was lost for so long that its run ended without it; or the coordinator was killed between the end of a run and the
agent's word that it had deleted it. What it still has in its spool belongs into the store, the account of the run has to
say so, and then the agent is told to forget it.

Rules: a run of a task that waits or is under way is left to the queue. A run this store does not know is forgotten: its
batches can never be stored. The load of a run that is over is never started again: agents are told to end it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import msgspec

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import NotFoundError, OsbenchError
from osbench.common.job import Job
from osbench.common.messages import Orders
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.result_reader import read_run
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.run_snapshot import unpack_snapshot
from osbench.coordinator.run_state import RunState
from osbench.coordinator.store.contract import Store

log = logging.getLogger(__name__)

#: An agent that is told to forget is not told again before.
AGAIN_NS = 5 * NS_PER_S
#: Revision of orders to forget, above all that a run ever had.
LAST_REVISION = 2**53


class LateRecords:
    """Brings in what runs that are over left with agents.

    Args:
        store: where runs are. conductor: drives them. clock: the coordinator's. is_queued: whether a task waits or is
            under way. settings: how runs are conducted.
    """

    def __init__(
        self,
        store: Store,
        *,
        conductor: Callable[[], Conductor],
        clock: Clock,
        is_queued: Callable[[str], bool],
        settings: RunSettings,
    ) -> None:
        self._store = store
        self._conductor = conductor
        self._clock = clock
        self._is_queued = is_queued
        self._settings = settings
        self._told_ns: dict[tuple[str, str], int] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def held(self, agent: str, life: int, run: str) -> None:
        """An agent holds something of a run that nobody conducts (the conductor's callback)."""
        if run in self._under_way:
            return
        now_ns = self._clock.now_ns()
        if now_ns < self._told_ns.get((agent, run), -AGAIN_NS) + AGAIN_NS:
            return
        self._told_ns = {key: told for key, told in self._told_ns.items() if now_ns < told + 10 * AGAIN_NS}
        self._told_ns[agent, run] = now_ns
        bringing = self._under_way[run] = asyncio.create_task(self._look(agent, life, run))
        bringing.add_done_callback(lambda _: self._under_way.pop(run, None))

    async def close(self) -> None:
        """Leave what is under way."""
        left = list(self._under_way.values())
        for bringing in left:
            bringing.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _look(self, agent: str, life: int, run: str) -> None:
        try:
            found = await asyncio.to_thread(self._store.run_get, run)
            if self._is_queued(found.task):
                return
            await self._bring_in(run)
        except NotFoundError:
            log.warning("agent %s holds run %s, which this store does not know: it is told to forget it", agent, run)
            await self._conductor().order(agent, Orders(run=run, life=life, revision=LAST_REVISION, goal="forget"))
        except OsbenchError as error:
            log.error("run %s, of which agent %s still holds records: %s", run, agent, error)

    async def _bring_in(self, run: str) -> None:
        """Conduct a run that is over once more: take in what comes, settle the account, have agents forget it."""
        conductor = self._conductor()
        if conductor.is_conducted(run):
            return
        plan = (await asyncio.to_thread(self._store.run_get, run)).plan
        snapshot = await asyncio.to_thread(self._store.run_snapshot, run)
        if plan is None or not snapshot:
            raise OsbenchError("it was never started by this coordinator")
        saved = unpack_snapshot(snapshot)
        settings = replace(self._settings, expected=tuple(saved.lives))
        state = RunState.restore(plan, settings, saved, self._clock.now_ns())
        conductor.remember_agents(saved.lives)
        log.info("run %s is over, and agents still hold records of it: taking them in", run)
        job = Job(plan=plan)
        accounting = await conductor.conduct(
            state,
            job,
            admits=lambda hello, taking: False,
            is_adopted=True,
            until_delivered=True,
            on_phase=lambda _: None,
            on_committed=lambda _: None,
        )
        result = await asyncio.to_thread(read_run, self._store, run, accounting=accounting)
        await asyncio.to_thread(self._store.run_update, run, verdict=msgspec.to_builtins(result.verdict))
