"""Stage 7/10 · The ingest process: the bulk channel's end, apart from the coordinator's loop.

Rules: it polls, takes all that waits, and gives it to `Ingest`, which commits it in one transaction; once that is told
to be done, exactly what it says was stored is acknowledged. Meanwhile the next group is taken. A store that is gone
costs nothing but time: nothing is acknowledged, and the agents send again. Whose a batch is says the connection it came
over, and its header has to say the same. A frame that does not fit is refused and logged with its sender; nothing falls
over, and the log does not fill.
"""

import gc
import logging
import os
import sys
import time
from collections import defaultdict

import zmq

from osbench.common.clock import Clock, SystemClock
from osbench.common.error import ProtocolError, StoreError
from osbench.common.framing import pack_frame, read_frame_blocking
from osbench.common.logs import configure_child_logging
from osbench.common.messages import Ack, Rejected
from osbench.common.sockets import bound_endpoint, bulk_router
from osbench.common.wire import decode_batch_frames, encode
from osbench.coordinator.allocator import keep_memory
from osbench.coordinator.bounded_log import BoundedLog
from osbench.coordinator.gatekeeper import GatekeeperThread
from osbench.coordinator.handshakes import HandshakeLog, monitor_of
from osbench.coordinator.ingest import MAX_GROUP_BATCHES, CommitResult, Frames, Ingest
from osbench.coordinator.ingest_messages import (
    FromIngest,
    IngestCommitted,
    IngestKeys,
    IngestReady,
    IngestRejected,
    IngestSetup,
    IngestTrouble,
    to_ingest,
)
from osbench.coordinator.keyring import KeyRing
from osbench.coordinator.peers import KeyedPeers, NamedPeers, Peers

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
        peers: who is at the other end. ring: told the keys that the coordinator says. clock: of the bounded logs.
    """

    def __init__(
        self, ingest: Ingest, bell: Bell, socket: "zmq.Socket[bytes]", peers: Peers, ring: KeyRing, clock: Clock
    ) -> None:
        self._ingest = ingest
        self._bell = bell
        self._socket = socket
        self._peers = peers
        self._ring = ring
        self._refused = BoundedLog(log, clock)
        self._handshakes = HandshakeLog("bulk", clock)
        self._trouble = ""

    def run(self) -> None:
        """Work until the coordinator closes the pipe."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        poller.register(self._bell.fd, zmq.POLLIN)
        monitor = monitor_of(self._socket, "bulk")
        poller.register(monitor, zmq.POLLIN)
        while True:
            events = dict(poller.poll(POLL_MS))
            if sys.stdin.fileno() in events and not self._listen_to_coordinator():
                self._socket.disable_monitor()
                monitor.close(linger=0)
                return
            if monitor in events:
                self._handshakes.hear(monitor.recv_multipart())
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

    def _listen_to_coordinator(self) -> bool:
        """Take in what the coordinator says; False if it is gone."""
        said = read_frame_blocking(sys.stdin.fileno(), to_ingest)
        if isinstance(said, IngestKeys):
            self._ring.replace(said.names)
        return said is not None

    def _answer_finished(self) -> None:
        for result in self._ingest.finished():
            self._tell_trouble("")
            self._answer(result)

    def _receive(self) -> list[Frames]:
        """All that waits, within the bounds of a group."""
        received: list[Frames] = []
        size = refused = 0
        # What is refused counts too: a peer that sends nothing else must not keep the others waiting for their answers.
        while len(received) + refused < GROUP_BATCHES and size < GROUP_BYTES:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            agent = "nobody"
            try:
                agent = self._peers.identify(frames)
                header, header_bytes, body = decode_batch_frames([frame.bytes for frame in frames[1:]])
                if header.agent != agent:
                    raise ProtocolError(f"{agent} sends a batch of agent {header.agent!r:.80}")
            except ProtocolError as error:
                refused += 1
                self._refused.warning("bulk channel: refused a batch of %s: %s", agent, error)
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
        routing_id = self._peers.route(agent)
        if routing_id is None:
            return  # Its key was taken away meanwhile.
        try:
            self._socket.send_multipart([routing_id, encode(message)], zmq.NOBLOCK)
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
    configure_child_logging("ingest")
    setup = read_frame_blocking(sys.stdin.fileno(), to_ingest)
    if not isinstance(setup, IngestSetup):
        return
    from osbench.coordinator.store.sql import open_store

    clock = SystemClock()
    store = open_store(setup.database, clock=clock)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ring = KeyRing(setup.names)
    gatekeeper = GatekeeperThread(context, ring) if setup.server is not None else None
    socket = bulk_router(context, setup.endpoint, server=setup.server)
    peers: Peers = KeyedPeers(ring) if setup.server is not None else NamedPeers()
    bell = Bell()
    ingest = Ingest(store, bell.ring)
    # What is there by now stays: the collector need not look through it again and again (20 ms each time).
    gc.collect()
    gc.freeze()
    _say(IngestReady(endpoint=bound_endpoint(socket)))
    try:
        IngestProcess(ingest, bell, socket, peers, ring, clock).run()
    finally:
        ingest.close()
        socket.close(linger=0)
        if gatekeeper is not None:
            gatekeeper.stop()
        context.term()
        store.close()


if __name__ == "__main__":
    main()
