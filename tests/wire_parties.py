"""A gateway and an ingest process over tcp with real keys, and peers of every kind to try them with."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from osbench.common.clock import SystemClock
from osbench.common.curve import KeyPair, make_key_pair
from osbench.common.framing import pack_frame, read_frame_blocking
from osbench.common.messages import Hello, Report, ToAgent, ToCoordinator, ToUplink
from osbench.common.record import Batch, BatchIdentity, Rows, encode_batch
from osbench.common.sockets import bound_endpoint, bulk_dealer, connect, control_dealer, control_router
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.common.wire import TO_AGENT, TO_UPLINK, decode, encode
from osbench.coordinator.gatekeeper import Gatekeeper
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.ingest_messages import IngestKeys, IngestReady, IngestSetup, from_ingest
from osbench.coordinator.keyring import KeyRing
from osbench.coordinator.peers import KeyedPeers
from osbench.coordinator.store.sql import open_store

PATIENCE_S = 10.0
SERVER = make_key_pair()
GOOD, BAD, STRANGER = make_key_pair(), make_key_pair(), make_key_pair()
#: Both are enrolled; BAD is what somebody made of it who took over a load host.
NAMES = {GOOD.public: "good", BAD.public: "bad"}


def hello(agent: str, *, protocol: int = 1, protocol_min: int = 1) -> Hello:
    return Hello(
        agent=agent,
        life=1,
        protocol=protocol,
        protocol_min=protocol_min,
        version="9.9",
        workers=1,
        cores=1,
        memory_bytes=1,
        nofile=1,
    )


def report(agent: str) -> Report:
    return Report(agent=agent, life=1, sequence=1)


class Peer:
    """A DEALER with a key of its own, watched."""

    def __init__(self, socket: zmq.asyncio.Socket, endpoint: str) -> None:
        self.socket = socket
        self.monitor = socket.get_monitor_socket()
        connect(socket, endpoint)

    async def event(self, wanted: int) -> int:
        """Wait for an event of the connection; its value."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                said = await recv_monitor_message(self.monitor)
                if int(said["event"]) & wanted:
                    return int(said["value"])

    async def is_cut_off(self) -> bool:
        """Whether the connection was lost; looks for a moment at what happened since it was last looked."""
        while await self.monitor.poll(50):
            if (await recv_monitor_message(self.monitor))["event"] == zmq.EVENT_DISCONNECTED:
                return True
        return False

    async def say(self, *frames: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.socket.send_multipart(frames)

    async def hear(self) -> ToAgent:
        async with asyncio.timeout(PATIENCE_S):
            answer: ToAgent = decode((await self.socket.recv_multipart())[-1], TO_AGENT)
        return answer

    async def hear_ingest(self) -> ToUplink:
        async with asyncio.timeout(PATIENCE_S):
            answer: ToUplink = decode((await self.socket.recv_multipart())[-1], TO_UPLINK)
        return answer

    async def ask(self, message: ToCoordinator) -> ToAgent:
        await self.say(encode(message))
        return await self.hear()


@dataclass
class Wire:
    """A gateway on a port of its own."""

    context: zmq.asyncio.Context
    endpoint: str
    ring: KeyRing
    peers: KeyedPeers
    heard: list[tuple[str, ToCoordinator]] = field(default_factory=list)
    #: Told every message too, if set.
    on_message: Callable[[str, ToCoordinator, int], None] | None = None
    gateway: Gateway | None = None
    opened: list[Peer] = field(default_factory=list)

    def peer(self, key: KeyPair, server_key: str = SERVER.public) -> Peer:
        self.opened.append(Peer(control_dealer(self.context, "", own=key, server_key=server_key), self.endpoint))
        return self.opened[-1]


@asynccontextmanager
async def wire(names: Mapping[str, str] = NAMES) -> AsyncIterator[Wire]:
    """Gatekeeper and gateway as a coordinator has them."""
    context = zmq.asyncio.Context()
    ring = KeyRing(names)
    gatekeeper = Gatekeeper(context, ring)
    gatekeeper.start()
    router = control_router(context, "tcp://127.0.0.1:*", server=SERVER)
    made = Wire(context, bound_endpoint(router), ring, KeyedPeers(ring))
    clock = SystemClock()

    def hear(agent: str, message: ToCoordinator, now_ns: int) -> None:
        made.heard.append((agent, message))
        if made.on_message is not None:
            made.on_message(agent, message, now_ns)

    made.gateway = Gateway(router, clock, hear, made.peers)
    listening = asyncio.create_task(made.gateway.listen())
    try:
        yield made
    finally:
        assert not listening.done(), "the gateway has fallen over"
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        gatekeeper.stop()
        context.destroy(linger=0)


class IngestParty:
    """A real ingest process on a fresh database."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", endpoint: str, run: str) -> None:
        self._folder = folder
        self.process = process
        self.endpoint = endpoint
        self.run = run
        self.opened: list[Peer] = []

    def set_keys(self, names: Mapping[str, str]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(pack_frame(IngestKeys(names=dict(names))))
        self.process.stdin.flush()

    def logged(self) -> str:
        return (self._folder / "log").read_text()

    def stored(self, agent: str) -> list[int]:
        store = open_store(self._folder / "osbench.db", clock=SystemClock())
        seqs = store.batch_seqs(self.run, agent, 1, 0)
        store.close()
        return list(seqs)

    def peer(self, context: zmq.asyncio.Context, key: KeyPair) -> Peer:
        self.opened.append(Peer(bulk_dealer(context, "", own=key, server_key=SERVER.public), self.endpoint))
        return self.opened[-1]

    def batch(self, agent: str, seq: int) -> Batch:
        identity = BatchIdentity(run=self.run, agent=agent, life=1, worker=0, start_ns=0)
        rows = Rows(iterations=[(seq, -1, 5, 9, 0, 0, 0)], names={}, errors={}, request_ids={})
        return encode_batch(identity, seq, rows)


@contextmanager
def ingest_party(folder: Path, names: Mapping[str, str] = NAMES) -> Iterator[IngestParty]:
    """Starts the process, and ends it."""
    database = str(folder / "osbench.db")
    store = open_store(database, clock=SystemClock())
    deployment = store.deployment_create(name="d", engine="existing", spec={})
    workload = Workload(scenario="Dummy.dummy", position=0)
    spec = TaskSpec(title="t", format_version=2, subtasks=(Subtask(title="s", workloads=(workload,)),))
    run = store.run_create(task=store.task_create(deployment=deployment.id, spec=spec).id, workload=workload).id
    store.close()
    setup = IngestSetup(database=database, endpoint="tcp://127.0.0.1:*", server=SERVER, names=dict(names))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "osbench.coordinator.ingest_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(pack_frame(setup))
        process.stdin.flush()
        ready = read_frame_blocking(process.stdout.fileno(), from_ingest)
        assert isinstance(ready, IngestReady)
        yield IngestParty(folder, process, ready.endpoint, run)
        assert process.poll() is None, "the ingest process has fallen over"
    finally:
        process.stdin.close()
        status = process.wait(20)
        process.stdout.close()
    assert status == 0
