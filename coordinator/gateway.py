"""Stage 7/10 · The gateway: the coordinator's end of the control channel.

Rules: it decodes, answers clock probes at once, and hands everything else on with the time it came. Who sent a message is
what the connection proves (coordinator/peers), and a message that says another name is refused. A frame that does not
fit is logged with its sender and dropped; nothing falls over, and the log does not fill. What cannot be delivered is not
an error here: orders are said again until an agent's report shows them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import zmq
import zmq.asyncio

from osbench.common.clock import Clock
from osbench.common.error import ProtocolError
from osbench.common.messages import ClockProbe, ClockReply, Hello, Refusal, Report, ToAgent, ToCoordinator
from osbench.common.wire import TO_COORDINATOR, decode, encode
from osbench.coordinator.bounded_log import BoundedLog
from osbench.coordinator.handshakes import HandshakeWatch
from osbench.coordinator.peers import Peers

log = logging.getLogger(__name__)

#: Messages taken in a row before the loop's other work has its turn: while some wait, awaiting one does not give it up.
TURN_MESSAGES = 32


class Gateway:
    """Speaks with all agents.

    Args:
        socket: ROUTER, bound (common/sockets.control_router).
        clock: the coordinator's.
        on_message: called with the agent's name, its message and when it came.
        peers: who is at the other end.
    """

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        clock: Clock,
        on_message: Callable[[str, ToCoordinator, int], None],
        peers: Peers,
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._on_message = on_message
        self._peers = peers
        self._refused = BoundedLog(log, clock)
        self._handshakes = HandshakeWatch(socket, "control", clock)

    async def listen(self) -> None:
        """Take messages, for ever."""
        watching = asyncio.create_task(self._handshakes.watch())
        try:
            while True:
                for _ in range(TURN_MESSAGES):
                    frames = await self._socket.recv_multipart(copy=False)
                    await self._take(frames, self._clock.now_ns())
                await asyncio.sleep(0)
        finally:
            watching.cancel()
            self._handshakes.close()
            await asyncio.gather(watching, return_exceptions=True)

    async def _take(self, frames: Sequence[zmq.Frame], received_ns: int) -> None:
        try:
            agent = self._peers.identify(frames)
        except ProtocolError as error:
            self._refused.warning("refused a message: %s", error)
            return
        try:
            message = _read(frames, agent)
        except ProtocolError as error:
            self._refused.warning("refused a message of agent %s: %s", agent, error)
            await self.send(agent, Refusal(reason=str(error)))
            return
        if isinstance(message, ClockProbe):
            reply = ClockReply(probe_sent_ns=message.sent_ns, received_ns=received_ns, replied_ns=self._clock.now_ns())
            await self.send(agent, reply)
        self._on_message(agent, message, received_ns)

    async def send(self, agent: str, message: ToAgent) -> bool:
        """Send to an agent; False if there is no way to it now."""
        routing_id = self._peers.route(agent)
        if routing_id is None:
            return False
        try:
            await self._socket.send_multipart([routing_id, encode(message)], flags=zmq.NOBLOCK)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True


def _read(frames: Sequence[zmq.Frame], agent: str) -> ToCoordinator:
    """The message of an agent.

    Raises:
        ProtocolError: it does not fit, or says that it is another agent's.
    """
    if len(frames) != 2:
        raise ProtocolError(f"control message of {len(frames) - 1} frames; it has one")
    message: ToCoordinator = decode(frames[1].bytes, TO_COORDINATOR)
    if isinstance(message, Hello | Report) and message.agent != agent:
        raise ProtocolError(f"{agent!r} speaks as {message.agent!r:.80}")
    return message
