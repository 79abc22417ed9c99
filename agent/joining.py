"""Becoming an agent of a coordinator: keys are made here, an invitation says where and that it may be, a file keeps it.

Rules: the invitation's secret is in no argument, no log, no environment and no file. The key pair is made here and its
secret key never leaves this host. Until the answer has come it is kept beside the configuration, for this invitation alone:
so a join whose answer was lost is simply repeated, and is answered as the first time. Nothing is overwritten unasked.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from osbench.agent.config import AgentConfig, check_config
from osbench.agent.link import EVENTS, Act, LinkWatch
from osbench.agent.spool import scan_segment
from osbench.agent.spool_folder import SpoolFolder
from osbench.common.clock import Clock, SystemClock
from osbench.common.curve import KeyPair, load_key_pair, make_key_pair, save_key_pair
from osbench.common.enrolment import Enrol, Enrolled, EnrolRefused, decode_answer, encode_enrolment
from osbench.common.error import AgentError, InputError, ProtocolError
from osbench.common.invitation import Invitation, secret_digest
from osbench.common.messages import PROTOCOL_MIN, PROTOCOL_VERSION
from osbench.common.private_file import write_private
from osbench.common.release import release
from osbench.common.sockets import connect, enrol_dealer, tcp_endpoint

#: A question that was not answered is asked again after so long: the answer, or the connection, may have been lost.
ASK_AGAIN_S = 3.0
#: Handshakes that may break off before it is believed that they always will.
BROKEN_HANDSHAKES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOptions:
    """What the operator chose.

    Attributes:
        config: file to write. spool: folder. is_forced: whether a configuration that is there may be replaced.
        timeout_s: for the whole of the enrolment.
    """

    config: Path
    spool: Path
    workers: int
    spool_limit_bytes: int
    labels: tuple[str, ...]
    is_forced: bool
    timeout_s: float


def join(invitation: Invitation, options: JoinOptions) -> AgentConfig:
    """Enrol, and write the configuration; nothing is asked of the coordinator before all else is known to be well.

    Raises:
        InputError: the options do not hold, or there is a configuration already.
        AgentError: the spool or the configuration cannot be written, or the coordinator did not take this host.
    """
    if options.config.exists() and not options.is_forced:
        raise InputError(
            f"{options.config} is there already: this host has joined; --force replaces it, its spool stays"
        )
    folder = SpoolFolder(options.spool)
    _check_spool(folder, invitation.name)
    pending = options.config.with_name(f"{options.config.name}.joining-{secret_digest(invitation.secret)[:12]}")
    pair = load_key_pair(pending) or make_key_pair()
    draft = AgentConfig(
        name=invitation.name,
        control=tcp_endpoint(invitation.host, invitation.port),
        bulk=tcp_endpoint(invitation.host, invitation.port),
        spool=str(options.spool),
        workers=options.workers,
        spool_limit_bytes=options.spool_limit_bytes,
        labels=options.labels,
        coordinator_key=invitation.server_key,
        public_key=pair.public,
        secret_key=pair.secret,
    )
    check_config(draft, "join")
    _keep(pending, pair)
    answer = asyncio.run(enrol(invitation, pair, SystemClock(), options.timeout_s))
    if isinstance(answer, EnrolRefused):
        raise AgentError(f"the coordinator refused: {answer.reason}")
    config = check_config(
        msgspec.structs.replace(draft, control=answer.control, bulk=answer.bulk), "the coordinator's answer"
    )
    try:
        write_private(options.config, msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
        for leftover in options.config.parent.glob(f"{options.config.name}.joining-*"):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise AgentError(
            f"{options.config}: {error.strerror}; make it writable and join again with the same invitation"
        ) from error
    return config


def _check_spool(folder: SpoolFolder, name: str) -> None:
    """Records in the spool are those of an agent by name; they would be refused if another shipped them."""
    for segment in sorted(folder.root.glob("*/*.seg")):
        try:
            entry = next(scan_segment(segment), None)
        except (OSError, ProtocolError):
            continue
        if entry is not None and entry.header.agent != name:
            raise InputError(
                f"the spool {folder.root} still holds records of agent {entry.header.agent!r}: let that one deliver them, "
                f"or give {name} a spool of its own with --spool"
            )


def _keep(path: Path, pair: KeyPair) -> None:
    """Keep the keys before anybody is told of them; those of an earlier try that was not answered are there already."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        save_key_pair(path, pair)
    except OSError as error:
        raise AgentError(f"{path}: {error.strerror}; name a file that this user may write with --config") from error


async def enrol(invitation: Invitation, pair: KeyPair, clock: Clock, timeout_s: float) -> Enrolled | EnrolRefused:
    """Ask the coordinator for membership, over a connection that proves that this host holds the key.

    Raises:
        AgentError: nobody answers, or not the coordinator of the invitation.
    """
    endpoint = tcp_endpoint(invitation.host, invitation.port)
    context = zmq.asyncio.Context()
    socket = enrol_dealer(context, own=pair, server_key=invitation.server_key)
    monitor = socket.get_monitor_socket(EVENTS)
    watch = LinkWatch(endpoint=endpoint, now_ns=clock.now_ns())
    connect(socket, endpoint)
    question = encode_enrolment(
        Enrol(
            name=invitation.name,
            secret=invitation.secret,
            host=invitation.host,
            protocol=PROTOCOL_VERSION,
            protocol_min=PROTOCOL_MIN,
            version=release(),
        )
    )
    asking = asyncio.ensure_future(_ask(socket, question))
    watching = asyncio.ensure_future(_watch(monitor, watch, clock))
    try:
        done, _ = await asyncio.wait((asking, watching), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if asking in done:
            return asking.result()
        raise AgentError(f"{endpoint}: {watching.result() if watching in done else _silence(watch, timeout_s)}")
    finally:
        asking.cancel()
        watching.cancel()
        await asyncio.wait((asking, watching))
        socket.disable_monitor()
        context.destroy(linger=0)


async def _ask(socket: zmq.asyncio.Socket, question: bytes) -> Enrolled | EnrolRefused:
    while True:
        await socket.send(question)  # waits for a connection
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                return decode_answer((await socket.recv_multipart())[-1])
        except TimeoutError:
            continue


async def _watch(monitor: zmq.asyncio.Socket, watch: LinkWatch, clock: Clock) -> str:
    """Look on until the handshake has failed for good; why it has."""
    broken = 0
    while True:
        message = await recv_monitor_message(monitor)
        act = watch.handle(message["event"], message["value"], clock.now_ns())
        if act is Act.HANG_UP:
            broken += 1
            is_final = message["event"] != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL or broken >= BROKEN_HANDSHAKES
            if is_final:
                return (
                    "what answers there is not the coordinator of this invitation, or its key has changed since; ask for a "
                    "new invitation, and check the address"
                )


def _silence(watch: LinkWatch, timeout_s: float) -> str:
    if watch.is_connected:
        return f"the coordinator did not answer within {timeout_s:g} s; join again with the same invitation"
    return (
        f"nobody answered within {timeout_s:g} s: is the coordinator running, and may this host reach that port? "
        "The invitation stays good; join again with it"
    )
