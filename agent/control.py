"""The agent's end of the control channel: what the coordinator says becomes events, what the agent says goes out.

Rules: it decides nothing but how often a hello is said to a coordinator that refuses. A message that does not fit is logged
and dropped; nothing that comes over the wire ends the agent. What cannot be sent now is not kept: all is said again.
"""

import logging
import os
from collections.abc import Awaitable, Callable

import msgspec
import psutil
import zmq
import zmq.asyncio

from osbench.agent.admission import Admission
from osbench.agent.agent_events import (
    AgentEvent,
    ClockReplied,
    Connected,
    OrdersReceived,
    PrepareReceived,
    Refused,
    Welcomed,
)
from osbench.agent.config import AgentConfig
from osbench.agent.link import Link
from osbench.agent.spool_folder import is_run_name
from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import ProtocolError
from osbench.common.job import unpack_job
from osbench.common.messages import (
    PROTOCOL_MIN,
    PROTOCOL_VERSION,
    ClockReply,
    Hello,
    Orders,
    Prepare,
    Refusal,
    ToCoordinator,
    Welcome,
)
from osbench.common.release import release
from osbench.common.wire import TO_AGENT, decode, encode

log = logging.getLogger(__name__)

ToldAgent = Welcome | Refusal | ClockReply | Prepare | Orders


class ControlChannel:
    """Speaks with the coordinator for one life of the agent.

    Args:
        socket: DEALER, not connected. config: of the agent. life: of it. clock: of the agent.
        hear: takes each event, and the message it was made of, if any.
    """

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        config: AgentConfig,
        life: int,
        clock: Clock,
        hear: Callable[[AgentEvent, ToldAgent | None], Awaitable[None]],
    ) -> None:
        self.link = Link(socket, config.control, "control", clock, self._on_connected)
        self.admission = Admission()
        self.heard_ns = clock.now_ns()
        self._socket = socket
        self._config = config
        self._life = life
        self._clock = clock
        self._hear = hear

    async def send(self, message: ToCoordinator) -> None:
        """Say something, if there is anybody to hear it."""
        try:
            await self._socket.send(encode(message), flags=zmq.NOBLOCK)
        except zmq.Again:
            return  # no connection: all is said again when there is one

    async def greet(self, runs: set[str]) -> None:
        """Say hello, unless it is too early to ask a coordinator again that refused.

        Args:
            runs: all that this host has anything of.
        """
        if not self.admission.may_greet(self._clock.now_ns()):
            return
        nofile, _ = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)
        hello = Hello(
            agent=self._config.name,
            life=self._life,
            protocol=PROTOCOL_VERSION,
            protocol_min=PROTOCOL_MIN,
            version=release(),
            workers=self._config.worker_count,
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=psutil.virtual_memory().total,
            nofile=nofile,
            labels=self._config.labels,
            runs=tuple(sorted(runs)),
        )
        await self.send(hello)

    async def listen(self) -> None:
        """Take what is said, for ever."""
        while True:
            frames = await self._socket.recv_multipart()
            now_ns = self._clock.now_ns()
            try:
                message = decode(frames[-1], TO_AGENT)
                event = self._event_of(message, now_ns)
            except ProtocolError as error:
                log.warning("control channel: %s", error)
                continue
            self.heard_ns = now_ns
            await self._hear(event, message)

    async def _on_connected(self) -> None:
        self.admission.disconnected()
        await self._hear(Connected(now_ns=self._clock.now_ns()), None)

    def _event_of(self, message: ToldAgent, now_ns: int) -> AgentEvent:
        match message:
            case ClockReply():
                return ClockReplied(
                    now_ns=now_ns,
                    probe_sent_ns=message.probe_sent_ns,
                    received_ns=message.received_ns,
                    replied_ns=message.replied_ns,
                )
            case Orders() | Prepare() if not is_run_name(message.run):
                raise ProtocolError(f"{message.run!r:.80} is no name of a run")
            case Orders():
                return OrdersReceived(now_ns=now_ns, orders=message)
            case Prepare():
                drain_ns = _drain_ns(message.job)
                return PrepareReceived(now_ns=now_ns, run=message.run, revision=message.revision, drain_ns=drain_ns)
            case Welcome():
                return self._on_welcome(message, now_ns)
        if self.admission.refused(message.reason, now_ns):
            log.warning("the coordinator refuses this agent: %s", message.reason)
        return Refused(now_ns=now_ns, reason=message.reason)

    def _on_welcome(self, message: Welcome, now_ns: int) -> Welcomed:
        if message.life == self._life and not self.admission.is_welcome:
            self.admission.welcomed()
            log.info("welcomed by the coordinator, lease %g s", message.lease_ns / NS_PER_S)
        return Welcomed(now_ns=now_ns, life=message.life, lease_ns=message.lease_ns)


def _drain_ns(job: bytes) -> int:
    """The time a plan gives to draining; a job that cannot be read fails in its workers, with the reason."""
    try:
        return unpack_job(job).plan.drain_ns
    except msgspec.MsgspecError:
        return 0
