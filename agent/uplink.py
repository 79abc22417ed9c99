"""Stage 7/10 · The uplink: ships batches from the spool until each is acknowledged.

Rules: the spool is the buffer, not ZeroMQ: at most `credit` batches are under way, each is sent again when no word of it
came for a while, and none is forgotten before its acknowledgement. Being slow or cut off here never touches the load.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import zmq
import zmq.asyncio

from osbench.agent.spool import read_entry
from osbench.agent.spool_index import SpoolIndex
from osbench.common.clock import NS_PER_S, Clock
from osbench.common.error import ProtocolError
from osbench.common.messages import Ack
from osbench.common.record import BatchKey
from osbench.common.wire import TO_UPLINK, decode

log = logging.getLogger(__name__)

#: Batches under way before the first acknowledgement says how many may be.
FIRST_CREDIT = 16
#: A batch of which nothing was heard for so long is sent again.
RESEND_NS = 5 * NS_PER_S


class Uplink:
    """Ships what the index holds over the bulk socket.

    Args:
        socket: DEALER, connected to the ingest process.
        index: what waits. clock: of the agent.
        on_change: called when batches were acknowledged or lost, with their run.
    """

    def __init__(
        self, socket: zmq.asyncio.Socket, index: SpoolIndex, clock: Clock, on_change: Callable[[str], None]
    ) -> None:
        self._socket = socket
        self._index = index
        self._clock = clock
        self._on_change = on_change
        self._credit = FIRST_CREDIT
        self._sent_ns: dict[BatchKey, int] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something new to ship."""
        self._wake.set()

    def forget(self, run: str) -> None:
        """The run is deleted: what is under way of it takes no credit from others."""
        for key in [key for key in self._sent_ns if key.run == run]:
            del self._sent_ns[key]

    async def ship(self) -> None:
        """Send within the credit, for ever."""
        while True:
            self._wake.clear()
            await self._send_due()
            try:
                async with asyncio.timeout(1.0):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _send_due(self) -> None:
        now_ns = self._clock.now_ns()
        overdue = [key for key, sent_ns in self._sent_ns.items() if now_ns - sent_ns >= RESEND_NS]
        for key in overdue:
            del self._sent_ns[key]
        # Those under way come first in the index, so these are enough to find all that may be sent now.
        candidates = tuple(islice(self._index.waiting(), len(self._sent_ns) + self._credit))
        for entry in candidates:
            if len(self._sent_ns) >= self._credit:
                return
            key = entry.header.key
            if key in self._sent_ns:
                continue
            try:
                frames = read_entry(entry)
            except (OSError, ProtocolError) as error:
                log.error("batch %s is lost: %s", key, error)
                self._index.lose(key)
                self._on_change(key.run)
                continue
            try:
                await self._socket.send_multipart(frames, flags=zmq.NOBLOCK)
            except zmq.Again:
                return  # no connection, or it is full: the spool keeps it
            self._sent_ns[key] = self._clock.now_ns()

    async def listen(self) -> None:
        """Take acknowledgements, for ever."""
        while True:
            frames = await self._socket.recv_multipart()
            try:
                message = decode(frames[-1], TO_UPLINK)
            except ProtocolError as error:
                log.warning("bulk channel: %s", error)
                continue
            if isinstance(message, Ack):
                self._acknowledge(message)
            else:
                key = next((k for k in self._sent_ns if k[2:] == (message.life, message.worker, message.seq)), None)
                log.error("batch %d of worker %d was refused: %s", message.seq, message.worker, message.reason)
                if key is not None:
                    del self._sent_ns[key]
                    self._index.lose(key)
            self._on_change(message.run)
            self._wake.set()

    def _acknowledge(self, ack: Ack) -> None:
        self._credit = max(ack.credit, 1)
        acked = set(ack.seqs)
        for key in [k for k in self._sent_ns if (k.run, k.life, k.worker) == (ack.run, ack.life, ack.worker)]:
            if key.seq in acked:
                del self._sent_ns[key]
        for segment in self._index.acknowledge(ack.run, ack.life, ack.worker, ack.seqs):
            _delete(segment)


def _delete(segment: Path) -> None:
    segment.unlink(missing_ok=True)
