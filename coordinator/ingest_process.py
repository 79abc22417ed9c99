"""Stage 7/10 · The ingest process: the bulk channel's end, apart from the coordinator's loop.

Rules: it polls, takes all that waits, and gives it to `Ingest`, which commits it in one transaction; once that is told
to be done, exactly what it says was stored is acknowledged. Meanwhile the next group is taken. A store that is gone
costs nothing but time: nothing is acknowledged, and the agents send again. A frame that does not fit is refused and
told to its sender; nothing falls over.
"""

import gc
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
from osbench.common.sockets import bulk_router
from osbench.common.wire import decode_batch_frames, encode
from osbench.coordinator.allocator import keep_memory
from osbench.coordinator.ingest import MAX_GROUP_BATCHES, CommitResult, Frames, Ingest
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
GROUP_BATCHES = MAX_GROUP_BATCHES
GROUP_BYTES = 64 * 1024 * 1024
#: Batches an agent may have under way; fewer when a whole group was waiting.
CREDIT = 32
CREDIT_BUSY = 8
STORE_RETRY_S = 1.0


class Bell:
    """Wakes the loop from another thread: a pipe that can be polled."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)

    def ring(self) -> None:
        """Wake the loop; from any thread."""
        try:
            os.write(self._write_fd, b"\0")
        except BlockingIOError:
            # The pipe is full of rings that nobody heard yet: one more would say nothing new.
            return

    def clear(self) -> None:
        """Forget all rings so far; only after a poll that saw one."""
        os.read(self.fd, 65_536)


class IngestProcess:
    """The loop of the process.

    Args:
        ingest: commits; rings the bell when it has. socket: ROUTER, bound.
    """

    def __init__(self, ingest: Ingest, bell: Bell, socket: "zmq.Socket[bytes]") -> None:
        self._ingest = ingest
        self._bell = bell
        self._socket = socket
        self._trouble = ""

    def run(self) -> None:
        """Work until the coordinator closes the pipe."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        poller.register(self._bell.fd, zmq.POLLIN)
        while True:
            events = dict(poller.poll(POLL_MS))
            if sys.stdin.fileno() in events and not os.read(sys.stdin.fileno(), 65_536):
                return
            try:
                if self._bell.fd in events:
                    self._bell.clear()
                    self._answer_finished()
                if self._socket in events:
                    self._ingest.begin(self._receive())
            except StoreError as error:
                self._tell_trouble(str(error))
                time.sleep(STORE_RETRY_S)
                # What comes after the failure in the line is looked at without another ring.
                self._bell.ring()

    def _answer_finished(self) -> None:
        for result in self._ingest.finished():
            self._tell_trouble("")
            self._answer(result)

    def _receive(self) -> list[Frames]:
        """All that waits, within the bounds of a group."""
        received: list[Frames] = []
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
            received.append((header, header_bytes, body))
            size += len(body)
        return received

    def _answer(self, result: CommitResult) -> None:
        """Tell the agents and the coordinator; who sends a batch is checked to be its agent when it comes in."""
        credit = CREDIT_BUSY if len(result.acks) >= GROUP_BATCHES else CREDIT
        acks: dict[tuple[str, str, int, int], list[int]] = defaultdict(list)
        for key in result.acks:
            acks[key.agent, key.run, key.life, key.worker].append(key.seq)
        for (agent, run, life, worker), seqs in acks.items():
            self._send(agent, Ack(run=run, life=life, worker=worker, seqs=tuple(seqs), credit=credit))
        for (run, agent, life, worker, seq), iterations, reason in result.rejected:
            self._send(agent, Rejected(run=run, life=life, worker=worker, seq=seq, reason=reason))
            _say(
                IngestRejected(
                    run=run, agent=agent, life=life, worker=worker, seq=seq, iterations=iterations, reason=reason
                )
            )
        if result.committed.batches:
            _say(IngestCommitted(committed=result.committed))

    def _send(self, agent: str, message: Ack | Rejected) -> None:
        try:
            self._socket.send_multipart([agent.encode(), encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # The agent is gone or slow: it will send the batches again and be told again.
            log.info("cannot answer %r: %s", agent[:64], error)

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
    keep_memory()
    logging.basicConfig(level=os.environ.get("OSBENCH_LOG", "INFO"), format="%(asctime)s ingest %(message)s")
    setup = read_frame_blocking(sys.stdin.fileno(), to_ingest)
    if not isinstance(setup, IngestSetup):
        return
    from osbench.coordinator.store.sql import open_store

    store = open_store(setup.database, clock=SystemClock())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = bulk_router(context, setup.endpoint)
    bell = Bell()
    ingest = Ingest(store, bell.ring)
    # What is there by now stays: the collector need not look through it again and again (20 ms each time).
    gc.collect()
    gc.freeze()
    _say(IngestReady())
    try:
        IngestProcess(ingest, bell, socket).run()
    finally:
        ingest.close()
        socket.close(linger=0)
        context.term()
        store.close()


if __name__ == "__main__":
    main()
