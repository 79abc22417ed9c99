"""Writes down each second how the agent stands (agent/status says what).

Rules: it only looks, and a disk that is full costs no more than an old status.
"""

import asyncio
import logging
import os
from pathlib import Path

from osbench.agent.agent_state import AgentState
from osbench.agent.config import AgentConfig
from osbench.agent.control import ControlChannel
from osbench.agent.link import LinkWatch
from osbench.agent.spool_index import SpoolIndex
from osbench.agent.status import AgentStatus, LinkStatus, link_status, run_statuses, write_status
from osbench.common.clock import NS_PER_S, Clock
from osbench.common.release import release

log = logging.getLogger(__name__)


class StatusWriter:
    """Looks at the parts of one life of an agent.

    Args:
        config: of the agent. state, control, bulk, index: what is looked at. clock: of the agent.
    """

    def __init__(
        self,
        config: AgentConfig,
        state: AgentState,
        control: ControlChannel,
        bulk: LinkWatch,
        index: SpoolIndex,
        clock: Clock,
    ) -> None:
        self._config = config
        self._state = state
        self._control = control
        self._bulk = bulk
        self._index = index
        self._clock = clock
        self._started_ns = clock.wall_ns()
        self._has_failed = False
        self._written: tuple[str, str] | None = None

    def has_news(self) -> bool:
        """Whether the links stand otherwise than was written last: worth a file before its second is over."""
        return self._written != (self._control_status().state, link_status(self._bulk, self._clock.now_ns()).state)

    async def write(self, *, processes: int, spool_bytes: int, is_leaving: bool) -> None:
        """Replace the file; a failure is logged once."""
        status = self.look(processes=processes, spool_bytes=spool_bytes, is_leaving=is_leaving)
        self._written = (status.control.state, status.bulk.state)
        try:
            await asyncio.to_thread(write_status, Path(self._config.spool), status)
        except OSError as error:
            if not self._has_failed:
                log.warning("the status file cannot be written: %s", error.strerror)
            self._has_failed = True
        else:
            self._has_failed = False

    def look(self, *, processes: int, spool_bytes: int, is_leaving: bool) -> AgentStatus:
        """How the agent stands now."""
        now_ns, state, config = self._clock.now_ns(), self._state, self._config
        clock, unacked = state.fit.estimate(now_ns), self._index.waiting_by_run()
        lease_left_s = (state.heard_ns + state.lease_ns - now_ns) / NS_PER_S if state.lease_ns else None
        return AgentStatus(
            name=config.name,
            life=state.life,
            pid=os.getpid(),
            release=release(),
            started_ns=self._started_ns,
            written_ns=self._clock.wall_ns(),
            spool=config.spool,
            control=self._control_status(),
            bulk=link_status(self._bulk, now_ns),
            lease_left_s=None if lease_left_s is None else round(max(lease_left_s, 0.0), 1),
            clock_offset_ns=clock.offset_ns if clock else None,
            clock_error_ns=clock.error_ns if clock else None,
            runs=run_statuses(state, unacked),
            unacked=sum(unacked.values()),
            spool_bytes=spool_bytes,
            spool_limit_bytes=config.spool_limit_bytes,
            workers=config.worker_count,
            worker_processes=processes,
            labels=config.labels,
            is_leaving=is_leaving,
        )

    def _control_status(self) -> LinkStatus:
        control = self._control
        return link_status(
            control.link.watch, self._clock.now_ns(), refusal=control.admission.reason, heard_ns=control.heard_ns
        )
