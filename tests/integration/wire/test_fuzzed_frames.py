"""An enrolled agent that somebody took over says 10,000 things that are none; the agent beside it goes on being served."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import psutil
import pytest
import zmq
import zmq.asyncio
from wire_parties import BAD, GOOD, SERVER, Wire, hello, ingest_party, report, wire

from osbench.common.clock import SystemClock
from osbench.common.error import ProtocolError
from osbench.common.messages import Ack, ClockProbe, ClockReply, Hello, Refusal, Report, Welcome
from osbench.common.release import release
from osbench.common.wire import MAX_CONTROL_BYTES, TO_AGENT, TO_UPLINK, decode, encode
from osbench.coordinator.conductor import Conductor
from osbench.coordinator.roster import Roster, RosterSettings
from osbench.coordinator.store.sql import open_store

FRAMES = 10_000
PATIENCE_MS = 10_000
#: Said before anything is measured: caches fill, pools get their size.
WARM_UP = 2_000
MIB = 2**20


def damaged(random: Random, frame: bytes) -> bytes:
    """A frame with some bytes changed, cut off or doubled."""
    changed = bytearray(frame)
    for _ in range(random.randrange(1, 4)):
        place = random.randrange(len(changed)) if changed else 0
        match random.randrange(4):
            case 0 if changed:
                changed[place] = random.randrange(256)
            case 1:
                del changed[place:]
            case 2:
                changed[place:place] = random.randbytes(random.randrange(9))
            case _:
                changed += changed[place:]
    return bytes(changed)


def nonsense(seed: int, valid: Sequence[list[bytes]], count: int) -> Iterator[list[bytes]]:
    """Messages of which hardly any is one: random bytes, damaged valid ones, none, many and large frames."""
    random = Random(seed)
    for number in range(count):
        kind = random.randrange(100)
        if kind < 45:
            yield [random.randbytes(random.randrange(200)) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        elif kind < 95:
            yield [damaged(random, frame) for frame in random.choice(valid)]
        elif kind < 98:
            yield [b""] * random.randrange(1, 5)
        elif number % 10:
            yield [b"\x91" * random.randrange(5_000)]
        else:
            yield [random.randbytes(3)] * 1_000


def flood(endpoint: str, messages: Sequence[list[bytes]], last: list[bytes]) -> None:
    """As BAD, in a thread and a context of its own: say all of it, and then hear until `last` is answered."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDTIMEO, PATIENCE_MS)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, BAD.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, BAD.secret.encode())
        socket.setsockopt(zmq.CURVE_SERVERKEY, SERVER.public.encode())
        socket.connect(endpoint)
        for frames in messages:
            socket.send_multipart(frames)
            while socket.poll(0):
                socket.recv_multipart()
        # Answers may be left out while there are too many: it is asked again until one comes after which nothing is.
        socket.send_multipart(last)
        while socket.poll(PATIENCE_MS) and not isinstance(said(socket.recv_multipart()[-1]), ClockReply | Ack):
            socket.send_multipart(last)
    context.term()


def said(frame: bytes) -> object:
    """What an answer of either channel says."""
    try:
        return decode(frame, TO_AGENT)
    except ProtocolError:
        return decode(frame, TO_UPLINK)


async def beside(work: "asyncio.Task[None]", ask: Callable[[], Awaitable[None]]) -> int:
    """Ask while the work is going on; how often an answer came."""
    answered = 0
    while not work.done():
        await ask()
        answered += 1
    work.result()
    return answered


def footprint(process: psutil.Process) -> tuple[int, int]:
    """Bytes of memory and number of descriptors of a process."""
    gc.collect()
    return process.memory_info().rss, process.num_fds()


@pytest.mark.slow
def test_ten_thousand_fuzzed_control_messages_disturb_nobody(caplog: pytest.LogCaptureFixture) -> None:
    valid = [[encode(message)] for message in (hello("bad"), hello("good"), report("bad"), ClockProbe(sent_ns=5))]

    async def trial(party: Wire) -> None:
        good, own, last = party.peer(GOOD), psutil.Process(), [encode(ClockProbe(sent_ns=5))]

        async def ask() -> None:
            assert isinstance(await good.ask(ClockProbe(sent_ns=9)), ClockReply)

        await asyncio.to_thread(flood, party.endpoint, list(nonsense(1, valid, WARM_UP)), last)
        before_bytes, before_fds = footprint(own)
        party.heard.clear()
        messages = list(nonsense(2, valid, FRAMES))
        flooding = asyncio.create_task(asyncio.to_thread(flood, party.endpoint, messages, last))
        answered = await beside(flooding, ask)
        after_bytes, after_fds = footprint(own)
        assert answered > 10
        assert after_bytes - before_bytes < 32 * MIB
        assert after_fds - before_fds <= 4
        claimed = {
            message.agent for name, message in party.heard if isinstance(message, Hello | Report) and name == "bad"
        }
        assert claimed <= {"bad"}
        bad = party.peer(BAD)
        oversized = asyncio.create_task(bad.say(bytes(MAX_CONTROL_BYTES + 1)))
        await bad.event(zmq.EVENT_DISCONNECTED)
        await oversized
        await ask()

    async def whole() -> None:
        async with wire() as party:
            await trial(party)

    asyncio.run(whole())
    assert "refused a message of agent bad" in caplog.text
    assert len(caplog.records) < 60


@pytest.mark.slow
def test_ten_thousand_fuzzed_batches_disturb_nobody(tmp_path: Path) -> None:
    async def trial() -> None:
        context = zmq.asyncio.Context()
        with ingest_party(tmp_path) as party:
            batches = (party.batch("bad", 1), party.batch("good", 1), party.batch("bad", 2**40))
            valid = [[batch.header_bytes, batch.body] for batch in batches]
            good, process, last = party.peer(context, GOOD), psutil.Process(party.process.pid), valid[0]
            seq = 0

            async def ask() -> None:
                nonlocal seq
                seq += 1
                mine = party.batch("good", seq)
                await good.say(mine.header_bytes, mine.body)
                assert isinstance(answer := await good.hear_ingest(), Ack)
                assert answer.seqs == (seq,)

            await asyncio.to_thread(flood, party.endpoint, list(nonsense(3, valid, WARM_UP)), last)
            await ask()
            before_bytes, before_fds = footprint(process)
            messages = list(nonsense(4, valid, FRAMES))
            flooding = asyncio.create_task(asyncio.to_thread(flood, party.endpoint, messages, last))
            await beside(flooding, ask)
            await ask()
            after_bytes, after_fds = footprint(process)
            assert seq >= 3
            assert after_bytes - before_bytes < 32 * MIB
            assert after_fds - before_fds <= 4
            assert party.stored("good") == list(range(1, seq + 1))
            assert "refused a batch of bad" in party.logged()
            assert len(party.logged().splitlines()) < 200
        context.destroy(linger=0)

    asyncio.run(trial())


def test_another_version_is_refused_with_both_versions_and_releases_named(tmp_path: Path) -> None:
    async def trial() -> Refusal:
        clock = SystemClock()
        store = open_store(tmp_path / "osbench.db", clock=clock)
        conductor = Conductor(store, clock, Roster(RosterSettings()))
        async with wire() as party:
            party.on_message = conductor.hear_agent
            conductor.gateway = party.gateway
            working = asyncio.create_task(conductor.work())
            answer = await party.peer(GOOD).ask(hello("good", protocol=9, protocol_min=8))
            welcome = await party.peer(GOOD).ask(hello("good", protocol=9, protocol_min=1))
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        store.close()
        assert isinstance(welcome, Welcome)
        assert isinstance(answer, Refusal)
        return answer

    reason = asyncio.run(trial()).reason

    assert "agent good (release 9.9) speaks protocol 8 to 9" in reason
    assert f"this coordinator (release {release()}) speaks 1" in reason
