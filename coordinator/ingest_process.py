"""Stage 7/10 · The ingest process: the bulk channel's end, apart from the coordinator's loop.

Rules: it polls, takes all that waits, and gives it to `Ingest`, which commits it in one transaction; only then it
acknowledges. A store that is gone costs nothing but time: nothing is acknowledged, and the agents send again. A frame
that does not fit is refused and told to its sender; nothing falls over.
"""

import logging
import os
import sys
import time
from collections import defaultdict

import zmq

from osbench.common.clock import SystemClock
from osbench.common.error import ProtocolError, StoreError
from osbench.common.framing import pack_frame, read_frame_blocking
from osbench.common.messages import Ack, Rejected
from osbench.common.record import BatchHeader
from osbench.common.sockets import bulk_router
from osbench.common.wire import decode_batch_frames, encode
from osbench.coordinator.ingest import CommitResult, Ingest
from osbench.coordinator.ingest_messages import (
    FromIngest,
    IngestCommitted,
    IngestReady,
    IngestRejected,
    IngestSetup,
    IngestTrouble,
    to_ingest,
)

log = logging.getLogger(__name__)

POLL_MS = 200
#: At most so many batches, or so many bytes, in one transaction.
GROUP_BATCHES = 256
GROUP_BYTES = 64 * 1024 * 1024
#: Batches an agent may have under way; fewer when a whole group was waiting.
CREDIT = 32
CREDIT_BUSY = 8
STORE_RETRY_S = 1.0

Received = tuple[bytes, BatchHeader, bytes, bytes]


class IngestProcess:
    """The loop of the process.

    Args:
        ingest: commits. socket: ROUTER, bound. report: tells the coordinator.
    """

    def __init__(self, ingest: Ingest, socket: "zmq.Socket[bytes]") -> None:
        self._ingest = ingest
        self._socket = socket
        self._trouble = ""

    def run(self) -> None:
        """Work until the coordinator closes the pipe."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        while True:
            events = dict(poller.poll(POLL_MS))
            if sys.stdin.fileno() in events and not os.read(sys.stdin.fileno(), 65_536):
                return
            if self._socket in events:
                self._take_group()

    def _take_group(self) -> None:
        received = self._receive()
        if not received:
            return
        try:
            result = self._ingest.commit([(header, header_bytes, body) for _, header, header_bytes, body in received])
        except StoreError as error:
            self._tell_trouble(str(error))
            time.sleep(STORE_RETRY_S)
            return
        self._tell_trouble("")
        self._answer(received, result)

    def _receive(self) -> list[Received]:
        """All that waits, within the bounds of a group."""
        received: list[Received] = []
        size = 0
        while len(received) < GROUP_BATCHES and size < GROUP_BYTES:
            try:
                sender, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                header, header_bytes, body = decode_batch_frames(frames)
                if header.agent.encode() != sender:
                    raise ProtocolError(f"{sender!r:.80} sends a batch of agent {header.agent!r:.80}")
            except ProtocolError as error:
                log.warning("bulk channel: refused what %r sent: %s", sender[:64], error)
                continue
            received.append((sender, header, header_bytes, body))
            size += len(body)
        return received

    def _answer(self, received: list[Received], result: CommitResult) -> None:
        credit = CREDIT_BUSY if len(received) >= GROUP_BATCHES else CREDIT
        reasons = {refusal.key: refusal.reason for refusal in result.rejected}
        acks: dict[tuple[bytes, str, int, int], list[int]] = defaultdict(list)
        for sender, header, _, _ in received:
            if header.key in reasons:
                self._reject(sender, header, reasons[header.key])
            else:
                acks[sender, header.run, header.life, header.worker].append(header.seq)
        for (sender, run, life, worker), seqs in acks.items():
            self._send(sender, Ack(run=run, life=life, worker=worker, seqs=tuple(seqs), credit=credit))
        if result.committed.batches:
            _say(IngestCommitted(committed=result.committed))

    def _reject(self, sender: bytes, header: BatchHeader, reason: str) -> None:
        self._send(
            sender, Rejected(run=header.run, life=header.life, worker=header.worker, seq=header.seq, reason=reason)
        )
        _say(
            IngestRejected(
                run=header.run,
                agent=header.agent,
                life=header.life,
                worker=header.worker,
                seq=header.seq,
                iterations=header.iterations,
                reason=reason,
            )
        )

    def _send(self, sender: bytes, message: Ack | Rejected) -> None:
        try:
            self._socket.send_multipart([sender, encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # The agent is gone or slow: it will send the batches again and be told again.
            log.info("cannot answer %r: %s", sender[:64], error)

    def _tell_trouble(self, error: str) -> None:
        if error != self._trouble:
            self._trouble = error
            _say(IngestTrouble(error=error))


def _say(message: FromIngest) -> None:
    data = pack_frame(message)
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


def main() -> None:
    """Entry point of `python -m osbench.coordinator.ingest_process`."""
    logging.basicConfig(level=os.environ.get("OSBENCH_LOG", "INFO"), format="%(asctime)s ingest %(message)s")
    setup = read_frame_blocking(sys.stdin.fileno(), to_ingest)
    if not isinstance(setup, IngestSetup):
        return
    from osbench.coordinator.store.sql import open_store

    store = open_store(setup.database, clock=SystemClock())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = bulk_router(context, setup.endpoint)
    _say(IngestReady())
    try:
        IngestProcess(Ingest(store), socket).run()
    finally:
        socket.close(linger=0)
        context.term()
        store.close()


if __name__ == "__main__":
    main()
