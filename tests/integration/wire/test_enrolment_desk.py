"""Enrolment over tcp: an invitation is good once, in time, for its name; and a key that came in is let in at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq
import zmq.asyncio
from wire_parties import PATIENCE_S, SERVER, Wire, hello, wire

from osbench.common.clock import SystemClock
from osbench.common.curve import KeyPair, make_key_pair
from osbench.common.enrolment import Enrol, Enrolled, EnrolRefused, decode_answer, encode_enrolment
from osbench.common.invitation import Invitation, make_secret
from osbench.common.messages import ClockProbe, ClockReply
from osbench.common.release import release
from osbench.common.sockets import connect, enrol_dealer
from osbench.common.wire import encode
from osbench.coordinator.enrolment import NOT_GOOD, RATE_HZ, TOO_MANY, EnrolmentDesk
from osbench.coordinator.membership import invite, revoke
from osbench.coordinator.store.sql import SqlStore, open_store

HOST = make_key_pair()
OTHER = make_key_pair()


@dataclass
class Desk:
    """An enrolment desk beside a gateway, on one ring."""

    party: Wire
    store: SqlStore
    endpoint: str = ""
    opened: list[zmq.asyncio.Socket] = field(default_factory=list)

    async def refresh(self) -> None:
        keys = await asyncio.to_thread(self.store.agent_key_list)
        self.party.ring.replace({key.public_key: key.name for key in keys})

    def invite(self, name: str = "load-1", minutes: float = 15.0) -> Invitation:
        port = int(self.endpoint.rpartition(":")[2])
        return invite(self.store, SERVER, name, host="127.0.0.1", port=port, minutes=minutes, clock=SystemClock())

    async def raw(self, key: KeyPair, *frames: bytes) -> Enrolled | EnrolRefused:
        socket = enrol_dealer(self.party.context, own=key, server_key=SERVER.public)
        self.opened.append(socket)
        connect(socket, self.endpoint)
        async with asyncio.timeout(PATIENCE_S):
            await socket.send_multipart(frames)
            return decode_answer((await socket.recv_multipart())[-1])

    async def join(
        self, secret: bytes, *, key: KeyPair = HOST, name: str = "load-1", protocol: int = 1, host: str = "127.0.0.1"
    ) -> Enrolled | EnrolRefused:
        asked = Enrol(name=name, secret=secret, host=host, protocol=protocol, protocol_min=protocol, version="9.9")
        return await self.raw(key, encode_enrolment(asked))


@asynccontextmanager
async def desk(folder: Path, advertise: str = "") -> AsyncIterator[Desk]:
    store = open_store(folder / "osbench.db", clock=SystemClock())
    async with wire({}) as party:
        made = Desk(party, store)
        serving = EnrolmentDesk(
            party.context,
            "tcp://127.0.0.1:*",
            SERVER,
            store,
            clock=SystemClock(),
            control_port=7761,
            bulk_port=7762,
            advertise=advertise,
            on_enrolled=made.refresh,
        )
        made.endpoint = serving.endpoint
        task = asyncio.create_task(serving.serve())
        try:
            yield made
        finally:
            assert not task.done(), "the enrolment desk has fallen over"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            store.close()


def test_an_invited_host_is_enrolled_told_where_to_go_and_let_in_at_once(tmp_path: Path) -> None:
    async def trial() -> None:
        async with desk(tmp_path) as there:
            answer = await there.join(there.invite().secret)
            assert answer == Enrolled(name="load-1", control="tcp://127.0.0.1:7761", bulk="tcp://127.0.0.1:7762")
            peer = there.party.peer(HOST)
            await peer.say(encode(hello("load-1")))
            assert isinstance(await peer.ask(ClockProbe(sent_ns=1)), ClockReply)
            assert {agent for agent, _ in there.party.heard} == {"load-1"}

    asyncio.run(trial())


def test_who_advertises_sends_agents_there(tmp_path: Path) -> None:
    async def trial() -> None:
        async with desk(tmp_path, advertise="2001:db8::7") as there:
            answer = await there.join(there.invite().secret, host="control1")
            assert isinstance(answer, Enrolled)
            assert (answer.control, answer.bulk) == ("tcp://[2001:db8::7]:7761", "tcp://[2001:db8::7]:7762")

    asyncio.run(trial())


def test_an_invitation_is_replayed_by_its_host_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def trial() -> bytes:
        async with desk(tmp_path) as there:
            secret = there.invite().secret
            first = await there.join(secret)
            assert await there.join(secret) == first
            assert await there.join(secret, key=OTHER) == EnrolRefused(reason=NOT_GOOD)
            assert there.party.ring.names() == {HOST.public: "load-1"}
            revoke(there.store, "load-1", SystemClock())
            assert await there.join(secret) == EnrolRefused(reason=NOT_GOOD)
        return secret

    secret = asyncio.run(trial())

    assert f"with key {OTHER.public}: the invitation was used by another key" in caplog.text
    assert f"with key {HOST.public}: the key was revoked" in caplog.text
    assert secret.hex() not in caplog.text
    assert str(secret) not in caplog.text


def test_a_wrong_secret_an_expired_one_and_one_for_another_name_get_the_same_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise whoever knows the coordinator's public key could find out which invitations there are."""

    async def trial() -> None:
        async with desk(tmp_path) as there:
            expired, foreign = there.invite(minutes=1e-6), there.invite("load-2")
            for secret in (make_secret(), expired.secret, foreign.secret):
                assert await there.join(secret) == EnrolRefused(reason=NOT_GOOD)
            assert there.store.agent_key_list(active=False) == []

    asyncio.run(trial())

    for reason in ("no such invitation", "the invitation has expired", "the invitation is for another name"):
        assert f"refused to enrol 'load-1' from 127.0.0.1 with key {HOST.public}: {reason}" in caplog.text


def test_a_release_without_a_protocol_in_common_is_refused_with_both_named(tmp_path: Path) -> None:
    async def trial() -> None:
        async with desk(tmp_path) as there:
            secret = there.invite().secret
            answer = await there.join(secret, protocol=7)
            assert isinstance(answer, EnrolRefused)
            assert "agent load-1 (release 9.9) speaks protocol 7" in answer.reason
            assert f"this coordinator (release {release()}) speaks 1" in answer.reason
            assert isinstance(await there.join(secret), Enrolled)

    asyncio.run(trial())


def test_what_is_no_enrolment_is_refused_and_the_next_one_is_answered(tmp_path: Path) -> None:
    async def trial() -> None:
        async with desk(tmp_path) as there:
            for frames in ([b""], [b"\xc1" * 4_000], [b"a", b"b"], [b"\x92\x01\x80"]):
                assert isinstance(await there.raw(OTHER, *frames), EnrolRefused)
            assert isinstance(await there.join(there.invite().secret, host="a b"), EnrolRefused)
            assert isinstance(await there.join(there.invite().secret), Enrolled)

    asyncio.run(trial())


def test_more_than_so_many_requests_a_second_are_not_looked_at(tmp_path: Path) -> None:
    async def trial() -> None:
        async with desk(tmp_path) as there:
            answers = await asyncio.gather(*(there.raw(OTHER, b"x") for _ in range(3 * RATE_HZ)))
            assert EnrolRefused(reason=TOO_MANY) in answers

    asyncio.run(trial())
