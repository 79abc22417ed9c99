"""Who may speak, and as whom: real keys and real sockets over tcp."""

import asyncio
import logging
from pathlib import Path

import pytest
import zmq
import zmq.asyncio
from wire_parties import (
    BAD,
    GOOD,
    NAMES,
    PATIENCE_S,
    SERVER,
    STRANGER,
    Peer,
    Wire,
    hello,
    ingest_party,
    report,
    wire,
)

from osbench.common.curve import make_key_pair
from osbench.common.messages import Ack, ClockProbe, ClockReply, Refusal
from osbench.common.sockets import control_dealer
from osbench.common.wire import encode

PROBE = ClockProbe(sent_ns=7)
REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
FAILED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED


async def served(party: Wire) -> None:
    """The good agent is answered."""
    assert isinstance(await party.peer(GOOD).ask(PROBE), ClockReply)


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while text not in caplog.text:
            await asyncio.sleep(0.01)


def test_an_enrolled_key_is_answered_under_its_name() -> None:
    async def trial() -> None:
        async with wire() as party:
            peer = party.peer(GOOD)
            assert isinstance(await peer.ask(PROBE), ClockReply)
            await peer.say(encode(hello("good")))
            assert isinstance(await peer.ask(PROBE), ClockReply)
            assert [agent for agent, _ in party.heard] == ["good"] * 3

    asyncio.run(trial())


def test_a_strangers_key_is_refused_and_logged_with_its_address(caplog: pytest.LogCaptureFixture) -> None:
    async def trial() -> None:
        async with wire() as party:
            assert await party.peer(STRANGER).event(REFUSED) == 400
            await served(party)
            assert {agent for agent, _ in party.heard} == {"good"}

    asyncio.run(trial())

    assert f"control channel: refused key {STRANGER.public} from 127.0.0.1: it is no agent's" in caplog.text


def test_a_key_revoked_while_it_is_connected_is_cut_off_and_does_not_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def trial() -> None:
        async with wire() as party:
            peer = party.peer(BAD)
            await peer.ask(PROBE)
            before = len(party.heard)
            assert party.ring.replace({GOOD.public: "good"}) == {BAD.public}
            assert party.peers.route("bad") is None
            await peer.say(encode(PROBE))
            await peer.event(zmq.EVENT_DISCONNECTED)
            assert await peer.event(REFUSED) == 400
            await served(party)
            assert [agent for agent, _ in party.heard[before:]] == ["good"]

    asyncio.run(trial())

    assert f"refused a message: key {BAD.public} is no agent's" in caplog.text


@pytest.mark.parametrize("message", [hello("good"), report("good")], ids=["hello", "report"])
def test_a_right_key_under_anothers_name_is_refused_and_logged(
    caplog: pytest.LogCaptureFixture, message: object
) -> None:
    async def trial() -> None:
        async with wire() as party:
            peer = party.peer(BAD)
            answer = await peer.ask(message)  # type: ignore[arg-type]
            assert answer == Refusal(reason="'bad' speaks as 'good'")
            assert party.heard == []
            await served(party)

    asyncio.run(trial())

    assert "refused a message of agent bad: 'bad' speaks as 'good'" in caplog.text


def test_nobody_takes_the_place_of_another_by_a_routing_id() -> None:
    """With a name as routing id and the handover, whoever has any key would get what is meant for another agent."""

    async def trial() -> None:
        async with wire() as party:
            victim = party.peer(GOOD)
            await victim.ask(PROBE)
            routing_id = party.peers.route("good")
            assert routing_id is not None
            thieves = []
            for claimed in (routing_id, b"good"):
                thief = control_dealer(party.context, "", own=BAD, server_key=SERVER.public)
                thief.setsockopt(zmq.ROUTING_ID, claimed)
                thieves.append(peer := Peer(thief, party.endpoint))
                await peer.event(zmq.EVENT_HANDSHAKE_SUCCEEDED)
                await peer.say(encode(PROBE))
                assert isinstance(await victim.ask(PROBE), ClockReply)
                assert party.peers.route("good") == routing_id
            # One id was in use and its second bearer is not heard; the other is a name that means nothing here.
            assert isinstance(await peer.hear(), ClockReply)
            assert party.peers.route("bad") == b"good"
            assert [agent for agent, _ in party.heard].count("bad") == 1

    asyncio.run(trial())


def test_who_does_not_speak_curve_is_refused_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def trial() -> None:
        async with wire() as party:
            plain = Peer(control_dealer(party.context, "good"), party.endpoint)
            await plain.event(FAILED)
            # Both ends see that they do not fit, and whoever is slower sees only that the other has gone.
            await logged(caplog, "control channel: a handshake failed: ")
            await served(party)

    asyncio.run(trial())


def test_who_has_another_key_of_the_coordinator_gets_no_further_and_it_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def trial() -> None:
        async with wire() as party:
            await party.peer(GOOD, server_key=make_key_pair().public).event(FAILED)
            await logged(caplog, "the peer has another public key of this coordinator than it has now")
            await served(party)

    asyncio.run(trial())


def test_a_flood_of_strangers_is_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def trial() -> None:
        async with wire() as party:
            strangers = [party.peer(make_key_pair()) for _ in range(100)]
            await asyncio.gather(*(stranger.event(REFUSED) for stranger in strangers))
            await served(party)

    asyncio.run(trial())

    assert len(caplog.records) <= 30


@pytest.mark.slow
def test_ingest_takes_batches_of_enrolled_keys_alone_and_under_their_own_name(tmp_path: Path) -> None:
    async def trial() -> None:
        context = zmq.asyncio.Context()
        with ingest_party(tmp_path) as party:
            assert await party.peer(context, STRANGER).event(REFUSED) == 400
            good, bad = party.peer(context, GOOD), party.peer(context, BAD)
            foreign, own, best = party.batch("good", 1), party.batch("bad", 1), party.batch("good", 2)
            await bad.say(foreign.header_bytes, foreign.body)
            await bad.say(own.header_bytes, own.body)
            assert isinstance(answer := await bad.hear_ingest(), Ack)
            assert answer.seqs == (1,)
            await good.say(best.header_bytes, best.body)
            assert isinstance(await good.hear_ingest(), Ack)
            party.set_keys({GOOD.public: "good"})
            later = party.batch("bad", 2)
            while not await bad.is_cut_off():
                await bad.say(later.header_bytes, later.body)
            assert await bad.event(REFUSED) == 400
            party.set_keys(NAMES)
            back = party.peer(context, BAD)
            await back.say(later.header_bytes, later.body)
            assert isinstance(await back.hear_ingest(), Ack)
            assert (party.stored("good"), party.stored("bad")) == ([2], [1, 2])
        context.destroy(linger=0)
        assert f"bulk channel: refused key {STRANGER.public} from 127.0.0.1" in party.logged()
        assert "refused a batch of bad: bad sends a batch of agent 'good'" in party.logged()
        assert f"refused a batch of nobody: key {BAD.public} is no agent's any more" in party.logged()

    asyncio.run(trial())
