"""The doctor of a load host: whether an agent can work here, each thing with a cure if it cannot.

Rules: nothing is changed but for a file of no length that is made in the spool and deleted; the coordinator is only
knocked at. `fail` is what keeps the agent from working, `warn` what will cost figures or records under load.
"""

import asyncio
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from osbench.agent.config import AgentConfig, read_config
from osbench.agent.link import EVENTS, LinkWatch
from osbench.agent.open_files import GOOD_NOFILE, LEAST_NOFILE, raise_open_files
from osbench.agent.spool_lock import holder
from osbench.agent.status import size
from osbench.common.clock import NS_PER_MS, SystemClock
from osbench.common.error import OsbenchError
from osbench.common.sockets import connect, control_dealer

KNOCK_S = 3.0
#: Room in the spool's file system without which an agent is of no use.
LEAST_FREE_BYTES = 64 * 1024**2
COARSE_CLOCK_S = 1e-6
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        level: ok, warn or fail. what: was looked at. text: what was found. cure: what to do; empty when all is well.
    """

    level: str
    what: str
    text: str
    cure: str = ""


def ok(what: str, text: str) -> Finding:
    """All is well."""
    return Finding(level="ok", what=what, text=text)


def warn(what: str, text: str, cure: str) -> Finding:
    """It works, and will cost figures or records under load."""
    return Finding(level="warn", what=what, text=text, cure=cure)


def fail(what: str, text: str, cure: str) -> Finding:
    """The agent cannot work so."""
    return Finding(level="fail", what=what, text=text, cure=cure)


def check_host(config_path: Path, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Look at everything; what needs the configuration is left out when it cannot be read."""
    findings = []
    try:
        config = read_config(config_path, environment)
    except OsbenchError as error:
        findings.append(fail("config", str(error), "join with `osbench-agent join`, or correct the file"))
    else:
        findings.append(ok("config", f"{config_path}: agent {config.name}"))
        findings += [*_channel("control", config.control), *_channel("bulk", config.bulk)]
        if config.keys is not None and all(one.level == "ok" for one in findings):
            findings.append(asyncio.run(_key(config)))
        findings += _spool(Path(config.spool), config.spool_limit_bytes)
    findings.append(nofile(raise_open_files()))
    findings.append(cores(len(os.sched_getaffinity(0)), _quota()))
    findings.append(clock(time.get_clock_info("monotonic").resolution))
    return [*findings, *_libraries()]


def _channel(what: str, endpoint: str) -> Iterator[Finding]:
    begin_ns = time.monotonic_ns()
    try:
        if endpoint.startswith("ipc://"):
            with socket.socket(socket.AF_UNIX) as knock:
                knock.settimeout(KNOCK_S)
                knock.connect(endpoint.removeprefix("ipc://"))
        else:
            parts = urlsplit(endpoint)
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=KNOCK_S).close()
    except OSError as error:
        why = error.strerror or str(error)
        yield fail(
            what,
            f"{endpoint}: {why}",
            "start the coordinator, and let this host reach that port (firewall, route, name)",
        )
    else:
        yield ok(what, f"{endpoint} answers in {(time.monotonic_ns() - begin_ns) / NS_PER_MS:.1f} ms")


async def _key(config: AgentConfig) -> Finding:
    """A handshake with the agent's own key; nothing is said after it, so an agent that runs is not disturbed."""
    time_axis = SystemClock()
    context = zmq.asyncio.Context()
    dealer = control_dealer(context, config.name, own=config.keys, server_key=config.coordinator_key)
    monitor = dealer.get_monitor_socket(EVENTS)
    watch = LinkWatch(endpoint=config.control, now_ns=time_axis.now_ns())
    connect(dealer, config.control)
    try:
        async with asyncio.timeout(KNOCK_S):
            while not watch.is_connected and not watch.failures:
                message = await recv_monitor_message(monitor)
                watch.handle(message["event"], message["value"], time_axis.now_ns())
    except TimeoutError:
        watch.reason = watch.reason or f"no handshake within {KNOCK_S:g} s"
    finally:
        dealer.disable_monitor()
        context.destroy(linger=0)
    if watch.is_connected:
        return ok("key", "the coordinator knows this agent's key")
    return fail("key", watch.reason, "ask for an invitation (`osbench-coordinator invite`) and join with --force")


def _spool(root: Path, limit_bytes: int) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=root):
            free_bytes = shutil.disk_usage(root).free
        pid = holder(root)
    except (OSError, OsbenchError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        yield fail("spool", f"{root}: {why}", "make the folder and give it to the user that the agent runs as")
        return
    yield spool_room(root, free_bytes, limit_bytes)
    yield ok("agent", f"process {pid} works on this spool" if pid is not None else "none runs on this spool")


def spool_room(root: Path, free_bytes: int, limit_bytes: int) -> Finding:
    """What the file system of the spool has room for."""
    text = f"{root}: {size(free_bytes)} free, limit {size(limit_bytes)}"
    if free_bytes < LEAST_FREE_BYTES:
        return fail("spool", text, "make room: without it records are lost")
    if free_bytes < limit_bytes:
        return warn("spool", text, "make room, or join with a lower --spool-limit: the limit cannot be reached safely")
    return ok("spool", text)


def nofile(limit: int) -> Finding:
    """The limit on open files that an agent of this user would have, -1 for none."""
    text = "no limit" if limit == resource.RLIM_INFINITY else f"{limit} at most"
    cure = f"LimitNOFILE={GOOD_NOFILE} in the unit, or a line in /etc/security/limits.conf"
    if limit != resource.RLIM_INFINITY and limit < LEAST_NOFILE:
        return fail("files", text, cure)
    if limit != resource.RLIM_INFINITY and limit < GOOD_NOFILE:
        return warn("files", text, f"for more than {limit // 2} requests at once: {cure}")
    return ok("files", text)


def cores(usable: int, quota: float | None) -> Finding:
    """Cores that this process may use, and how much of them by its control group."""
    if quota is not None and quota < usable:
        return warn(
            "cores",
            f"{usable}, and a quota of {quota:g}",
            "lift the quota (CPUQuota=, container limit): a throttled generator measures its own pauses",
        )
    return ok("cores", f"{usable}, so {usable} workers unless the configuration says otherwise")


def _quota() -> float | None:
    """Cores that the control group grants (cgroup v2, cpu.max: "QUOTA PERIOD" or "max PERIOD"); None for no bound."""
    try:
        quota, period = CPU_MAX.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def clock(resolution_s: float) -> Finding:
    """The monotonic clock that everything is timed by."""
    text = f"monotonic, resolution {resolution_s * 1e9:g} ns"
    if resolution_s > COARSE_CLOCK_S:
        return warn("clock", text, "use a kernel with high-resolution timers")
    return ok("clock", text)


def _libraries() -> Iterator[Finding]:
    if zmq.has("curve"):
        yield ok("zeromq", f"libzmq {zmq.zmq_version()}, pyzmq {version('pyzmq')}, with CURVE")
    else:
        yield fail("zeromq", f"libzmq {zmq.zmq_version()} without CURVE", "install pyzmq's own wheel")
    yield ok("uvloop", version("uvloop"))
    import certifi
    import pycurl

    backend = pycurl.version_info()[5] or "no TLS"
    if backend == "no TLS":
        yield fail("libcurl", f"pycurl {version('pycurl')} without TLS", "install pycurl's own wheel")
    else:
        yield ok("libcurl", f"pycurl {version('pycurl')}, libcurl {pycurl.version_info()[1]}, {backend}")
    if Path(certifi.where()).is_file():
        yield ok("roots", certifi.where())
    else:
        yield fail("roots", f"{certifi.where()} is not there", "install certifi again")
