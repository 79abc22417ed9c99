"""Stage 7/10 · The gateway: the coordinator's end of the control channel.

Rules: it decodes, answers clock probes at once, and hands everything else on with the time it came. A frame that does not
fit is logged with its sender and dropped; nothing falls over. What cannot be delivered is not an error here: orders are
said again until an agent's report shows them.
"""

import logging
from collections.abc import Callable

import zmq
import zmq.asyncio

from osbench.common.clock import Clock
from osbench.common.error import ProtocolError
from osbench.common.messages import ClockProbe, ClockReply, Hello, Refusal, Report, ToAgent, ToCoordinator
from osbench.common.wire import TO_COORDINATOR, decode, encode

log = logging.getLogger(__name__)

#: Frames refused from one sender are logged up to so many times, then counted only.
LOGGED_REFUSALS = 10


class Gateway:
    """Speaks with all agents.

    Args:
        socket: ROUTER, bound (common/sockets.control_router).
        clock: the coordinator's.
        on_message: called with the agent's name, its message and when it came.
    """

    def __init__(
        self, socket: zmq.asyncio.Socket, clock: Clock, on_message: Callable[[str, ToCoordinator, int], None]
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._on_message = on_message
        self._refused: dict[bytes, int] = {}

    async def listen(self) -> None:
        """Take messages, for ever."""
        while True:
            frames = await self._socket.recv_multipart()
            received_ns = self._clock.now_ns()
            sender = frames[0]
            try:
                agent = sender.decode()
                if len(frames) != 2:
                    raise ProtocolError(f"control message of {len(frames) - 1} frames; it has one")
                message = decode(frames[1], TO_COORDINATOR)
                if isinstance(message, Hello | Report) and message.agent != agent:
                    raise ProtocolError(f"{agent!r} speaks as {message.agent!r}")
            except (ProtocolError, UnicodeDecodeError) as error:
                await self._refuse(sender, error)
                continue
            if isinstance(message, ClockProbe):
                reply = ClockReply(
                    probe_sent_ns=message.sent_ns, received_ns=received_ns, replied_ns=self._clock.now_ns()
                )
                await self.send(agent, reply)
            self._on_message(agent, message, received_ns)

    async def send(self, agent: str, message: ToAgent) -> bool:
        """Send to an agent; False if there is no way to it now."""
        try:
            await self._socket.send_multipart([agent.encode(), encode(message)], flags=zmq.NOBLOCK)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    async def _refuse(self, sender: bytes, error: Exception) -> None:
        count = self._refused[sender] = self._refused.get(sender, 0) + 1
        if count <= LOGGED_REFUSALS:
            log.warning("refused a message of %r: %s", sender[:64], error)
        try:
            await self._socket.send_multipart([sender, encode(Refusal(reason=str(error)))], flags=zmq.NOBLOCK)
        except zmq.ZMQError:
            return  # nobody there to be told
