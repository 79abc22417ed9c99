"""What does not fit is refused and told to its sender, and nothing falls over: real sockets, real processes."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import msgspec
import pytest
import zmq
import zmq.asyncio

from osbench.common.clock import SystemClock
from osbench.common.framing import pack_frame
from osbench.common.messages import Ack, ClockProbe, ClockReply, Hello, Refusal, Rejected, ToCoordinator
from osbench.common.record import Batch, BatchIdentity, Rows, encode_batch
from osbench.common.sockets import control_dealer, control_router
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.common.wire import TO_AGENT, TO_UPLINK, decode, encode
from osbench.coordinator.gateway import Gateway
from osbench.coordinator.ingest_messages import IngestSetup
from osbench.coordinator.peers import NamedPeers
from osbench.coordinator.store.sql import open_store

PATIENCE_MS = 10_000

HELLO = Hello(agent="a", life=1, protocol=1, version="0", workers=1, cores=1, memory_bytes=1, nofile=1)


async def _speak(folder: Path, frames: list[list[bytes]], heard: Callable[[str, ToCoordinator], None]) -> list[object]:
    """Say these things to a gateway as agent `a`, then probe it; its answers."""
    context = zmq.asyncio.Context()
    endpoint = f"ipc://{folder}/control"
    router = control_router(context, endpoint)
    gateway = Gateway(router, SystemClock(), lambda agent, message, _: heard(agent, message), NamedPeers())
    listening = asyncio.create_task(gateway.listen())
    agent = control_dealer(context, "a")
    agent.connect(endpoint)
    answers: list[object] = []
    try:
        for parts in (*frames, [encode(ClockProbe(sent_ns=7))]):
            await agent.send_multipart(parts)
        while not answers or not isinstance(answers[-1], ClockReply):
            async with asyncio.timeout(PATIENCE_MS / 1000):
                answers.append(decode((await agent.recv_multipart())[-1], TO_AGENT))
    finally:
        listening.cancel()
        context.destroy(linger=0)
    return answers


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([b"\xc1"], "not msgpack"),
        ([b""], "not msgpack"),
        ([msgpack.packb({"a": 1})], "not [version, message]"),
        ([msgpack.packb([2, {"type": "hello"}])], "frame version 2, this release reads 1"),
        ([msgpack.packb([1, {"type": "nonsense"}])], "refused"),
        ([msgpack.packb([1, {"type": "clock_probe", "sent_ns": "soon"}])], "Expected `int`"),
        ([encode(HELLO), b"more"], "of 2 frames; it has one"),
        ([encode(msgspec.structs.replace(HELLO, agent="b"))], "'a' speaks as 'b'"),
    ],
)
def test_a_control_message_that_does_not_fit_is_refused_and_the_next_one_is_answered(
    tmp_path: Path, frames: list[bytes], reason: str
) -> None:
    heard: list[object] = []

    refusal, reply = asyncio.run(_speak(tmp_path, [frames], lambda _, message: heard.append(message)))

    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason
    assert isinstance(reply, ClockReply)
    assert reply.probe_sent_ns == 7
    assert [type(message) for message in heard] == [ClockProbe]


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A real ingest process on a fresh database; its endpoint and the id of a run."""
    database = str(tmp_path / "osbench.db")
    store = open_store(database, clock=SystemClock())
    deployment = store.deployment_create(name="d", engine="existing", spec={})
    workload = Workload(scenario="Dummy.dummy", position=0)
    spec = TaskSpec(title="t", format_version=2, subtasks=(Subtask(title="s", workloads=(workload,)),))
    task = store.task_create(deployment=deployment.id, spec=spec)
    run = store.run_create(task=task.id, workload=workload).id
    store.close()
    endpoint = f"ipc://{tmp_path}/bulk"
    process = subprocess.Popen(
        [sys.executable, "-m", "osbench.coordinator.ingest_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(pack_frame(IngestSetup(database=database, endpoint=endpoint)))
    process.stdin.flush()
    process.stdout.read(4)
    yield endpoint, run
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def batch(run: str, seq: int, agent: str = "a") -> Batch:
    identity = BatchIdentity(run=run, agent=agent, life=1, worker=0, start_ns=0)
    return encode_batch(identity, seq, Rows(iterations=[(seq, -1, 5, 9, 0, 0, 0)], names={}, errors={}, request_ids={}))


def bulk(endpoint: str, sent: list[list[bytes]], answers: int) -> list[object]:
    """Send these to ingest as agent `a`; what it answers."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, b"a")
    socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    socket.connect(endpoint)
    try:
        for frames in sent:
            socket.send_multipart(frames)
        return [decode(socket.recv_multipart()[-1], TO_UPLINK) for _ in range(answers)]
    finally:
        context.destroy(linger=0)


@pytest.mark.slow
def test_ingest_takes_the_good_batch_among_the_bad_and_acknowledges_a_replay_without_storing_it_twice(
    ingest: tuple[str, str], tmp_path: Path
) -> None:
    endpoint, run = ingest
    good, foreign = batch(run, 1), batch(run, 2, agent="b")
    torn = [good.header_bytes, good.body[:-3]]
    unknown = batch("no-such-run", 1)

    first = bulk(
        endpoint,
        [
            [b"nonsense"],
            [b"\x91\x02", b""],
            [foreign.header_bytes, foreign.body],
            [good.header_bytes, good.body],
        ],
        1,
    )
    replay = bulk(endpoint, [[good.header_bytes, good.body]], 1)
    (stranger,) = bulk(endpoint, [[unknown.header_bytes, unknown.body]], 1)
    (damaged,) = bulk(endpoint, [[batch(run, 3).header_bytes, torn[1]]], 1)

    assert [ack.seqs for ack in first if isinstance(ack, Ack)] == [(1,)]
    assert [ack.seqs for ack in replay if isinstance(ack, Ack)] == [(1,)]
    assert isinstance(stranger, Rejected)
    assert "run is not in the store" in stranger.reason
    assert isinstance(damaged, Rejected)
    store = open_store(str(tmp_path / "osbench.db"), clock=SystemClock())
    assert store.batch_seqs(run, "a", 1, 0) == [1]
    store.close()
