"""The enrolment desk: who comes with a good invitation has the key it came with registered, and is told where to go.

Rules: the handshake proves that the asker holds the key; the secret of an invitation, which is kept as a digest only, that
it may come in. Why an invitation was not good is logged exactly and told vaguely, so that nobody learns by asking which
there are. Before the answer goes out the key is known everywhere, so that who is enrolled is let in at once. At most
RATE_HZ requests a second are looked at, one after the other; a secret never gets into a log line.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import zmq
import zmq.asyncio

from osbench.common.clock import NS_PER_S, Clock
from osbench.common.curve import KeyPair, fingerprint
from osbench.common.enrolment import Enrol, Enrolled, EnrolRefused, decode_enrol, encode_enrolment
from osbench.common.error import InputError, ProtocolError, StoreError
from osbench.common.invitation import check_host, secret_digest
from osbench.common.messages import common_protocol, protocol_mismatch
from osbench.common.release import release
from osbench.common.sockets import bound_endpoint, enrol_router, tcp_endpoint
from osbench.coordinator.bounded_log import BoundedLog
from osbench.coordinator.handshakes import HandshakeWatch
from osbench.coordinator.store.contract import AgentKeys
from osbench.coordinator.store.values import Redemption

log = logging.getLogger(__name__)

#: Requests a second, of all askers together; and how many may come at once after a pause.
RATE_HZ = 20
NOT_GOOD = (
    "the invitation is not good: it was used, has expired, was withdrawn, or is another agent's; "
    "ask for a new one (`osbench-coordinator invite NAME`)"
)
TOO_MANY = "the coordinator has too many requests to enrol at the moment; try again in some seconds"
NO_STORE = "the coordinator cannot reach its store at the moment; try again in some seconds"


class Quota:
    """So many events a second.

    Args:
        rate_hz: events a second, and how many may come at once. clock: tells the seconds.
    """

    def __init__(self, rate_hz: int, clock: Clock) -> None:
        self._rate_hz = rate_hz
        self._clock = clock
        self._left = float(rate_hz)
        self._seen_ns = clock.now_ns()

    def take(self) -> bool:
        """Whether one more may be."""
        now_ns = self._clock.now_ns()
        self._left = min(self._left + (now_ns - self._seen_ns) / NS_PER_S * self._rate_hz, float(self._rate_hz))
        self._seen_ns = now_ns
        if self._left < 1:
            return False
        self._left -= 1
        return True


class EnrolmentDesk:
    """The coordinator's end of the enrolment channel. There must be a gatekeeper in its context.

    Args:
        context: of the socket. endpoint: where to bind it. key: the coordinator's.
        store: where keys and invitations are. clock: wall time of expiry.
        control_port, bulk_port: TCP ports to which agents are sent.
        advertise: host to which they are sent; empty for the one by which they reached this one.
        on_enrolled: awaited after a key was registered, before its owner is told.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        endpoint: str,
        key: KeyPair,
        store: AgentKeys,
        *,
        clock: Clock,
        control_port: int,
        bulk_port: int,
        advertise: str,
        on_enrolled: Callable[[], Awaitable[None]],
    ) -> None:
        self._socket = enrol_router(context, endpoint, server=key)
        self._store = store
        self._clock = clock
        self._ports = (control_port, bulk_port)
        self._advertise = advertise
        self._on_enrolled = on_enrolled
        self._quota = Quota(RATE_HZ, clock)
        self._refused = BoundedLog(log, clock)
        self._handshakes = HandshakeWatch(self._socket, "enrolment", clock)
        #: Where it is bound, with the port that the system chose if it was asked to.
        self.endpoint = bound_endpoint(self._socket)

    async def serve(self) -> None:
        """Answer, for ever."""
        watching = asyncio.create_task(self._handshakes.watch())
        try:
            while True:
                frames = await self._socket.recv_multipart(copy=False)
                answer = await self._answer(frames)
                try:
                    await self._socket.send_multipart([frames[0].bytes, encode_enrolment(answer)], flags=zmq.NOBLOCK)
                except zmq.ZMQError as error:
                    log.debug("who asked to enrol is gone: %s", error)
                # Where many wait, receiving one does not give the loop's other work its turn.
                await asyncio.sleep(0)
        finally:
            watching.cancel()
            self._handshakes.close()
            await asyncio.gather(watching, return_exceptions=True)
            self._socket.close(linger=0)

    async def _answer(self, frames: Sequence[zmq.Frame]) -> Enrolled | EnrolRefused:
        if not self._quota.take():
            self._refused.warning("more than %d requests to enrol a second: some were not looked at", RATE_HZ)
            return EnrolRefused(reason=TOO_MANY)
        key, address = str(frames[0].get("User-Id")), str(frames[0].get("Peer-Address"))
        try:
            if len(frames) != 2:
                raise ProtocolError(f"enrolment message of {len(frames) - 1} frames; it has one")
            asked = decode_enrol(frames[1].bytes)
            check_host(asked.host, "the host of an enrolment")
        except (ProtocolError, InputError) as error:
            self._refused.warning("refused to enrol a host at %s: %s", address, error)
            return EnrolRefused(reason=str(error))
        if common_protocol(asked.protocol_min, asked.protocol) is None:
            reason = protocol_mismatch(
                f"agent {asked.name:.64}", asked.version, asked.protocol_min, asked.protocol, release()
            )
            self._refused.warning("refused to enrol a host at %s: %s", address, reason)
            return EnrolRefused(reason=reason)
        return await self._redeem(asked, key, address)

    async def _redeem(self, asked: Enrol, key: str, address: str) -> Enrolled | EnrolRefused:
        digest = secret_digest(asked.secret)
        try:
            redemption = await asyncio.to_thread(
                self._store.invite_redeem,
                digest=digest,
                name=asked.name,
                public_key=key,
                now_ns=self._clock.wall_ns(),
            )
            if redemption is Redemption.ENROLLED:
                await self._on_enrolled()
        except StoreError as error:
            log.error("agent %.64r could not be enrolled, the store refused: %s", asked.name, error)
            return EnrolRefused(reason=NO_STORE)
        if redemption is not Redemption.ENROLLED:
            self._refused.warning(
                "refused to enrol %.64r from %s with key %s: %s (invitation %s)",
                asked.name,
                address,
                key,
                redemption.value,
                digest[:12],
            )
            return EnrolRefused(reason=NOT_GOOD)
        log.info("agent %s is enrolled from %s, key %s", asked.name, address, fingerprint(key))
        host = self._advertise or asked.host
        control, bulk = (tcp_endpoint(host, port) for port in self._ports)
        return Enrolled(name=asked.name, control=control, bulk=bulk)
