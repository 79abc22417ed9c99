"""How an agent stands, as a file in its spool folder that the supervisor replaces each second, and as `status` shows it.

Rules: the file is for people and their tools only; nothing of the agent depends on it, so a full disk costs no more than
an old status. Whether the agent runs is not told by the file but by the lock of the spool (agent/spool_lock).
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from osbench.agent.agent_parts import AgentRun
from osbench.agent.agent_state import AgentState
from osbench.agent.link import LinkWatch
from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.error import ProtocolError
from osbench.common.private_file import write_private

STATUS_NAME = "status.json"


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One channel to the coordinator.

    Attributes:
        endpoint: dialled. state: connected, refused, silent or unconnected.
        reason: why it is not connected. since_s: for how long it has been so.
    """

    endpoint: str
    state: str
    reason: str = ""
    since_s: float = 0.0


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A run on this host; `phase` is "past" when only an earlier life had work of it."""

    run: str
    phase: str
    workers: int = 0
    unacked: int = 0
    error: str = ""


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An agent at one moment.

    Attributes:
        written_ns, started_ns: wall time. pid: of the supervisor.
        control, bulk: the channels.
        lease_left_s: for how long the coordinator's last word is good; None before the first.
        clock_offset_ns, clock_error_ns: this host's clock minus the coordinator's and its bound; None before it is known.
        unacked: batches in the spool that are not acknowledged. spool_bytes, spool_limit_bytes: its size and limit.
        workers: as configured; worker_processes: that live now.
        is_leaving: it was told to end and drains.
    """

    name: str
    life: int
    pid: int
    release: str
    started_ns: int
    written_ns: int
    spool: str
    control: LinkStatus
    bulk: LinkStatus
    lease_left_s: float | None = None
    clock_offset_ns: int | None = None
    clock_error_ns: int | None = None
    runs: tuple[RunStatus, ...] = ()
    unacked: int = 0
    spool_bytes: int = 0
    spool_limit_bytes: int = 0
    workers: int = 0
    worker_processes: int = 0
    labels: tuple[str, ...] = ()
    is_leaving: bool = False


def link_status(watch: LinkWatch, now_ns: int, *, refusal: str = "", heard_ns: int | None = None) -> LinkStatus:
    """How a channel stands.

    Args:
        refusal: why the coordinator does not take the agent, if it said so.
        heard_ns: when its word came last; None where that does not matter.
    """
    silent_ns = 0 if heard_ns is None else now_ns - max(heard_ns, watch.since_ns)
    state, reason = "connected", ""
    if not watch.is_connected:
        state, reason = ("refused" if watch.failures else "unconnected"), watch.reason
    elif refusal:
        state, reason = "refused", refusal
    elif silent_ns > 5 * NS_PER_S:
        state, reason = "silent", f"no word came for {silent_ns / NS_PER_S:.0f} s"
    return LinkStatus(
        endpoint=watch.endpoint, state=state, reason=reason, since_s=round((now_ns - watch.since_ns) / NS_PER_S, 1)
    )


def run_statuses(state: AgentState, unacked: dict[str, int]) -> tuple[RunStatus, ...]:
    """All runs that this host has something of.

    Args:
        unacked: batches that wait, by run.
    """
    past = {name for name, _, _ in state.past} | set(unacked)
    found = [_run_status(run, unacked.get(name, 0)) for name, run in state.runs.items()]
    found += [
        RunStatus(run=name, phase="past", unacked=unacked.get(name, 0)) for name in sorted(past - set(state.runs))
    ]
    return tuple(found)


def _run_status(run: AgentRun, unacked: int) -> RunStatus:
    return RunStatus(run=run.run, phase=run.phase.value, workers=len(run.alive), unacked=unacked, error=run.error)


def write_status(folder: Path, status: AgentStatus) -> None:
    """Replace the file.

    Raises:
        OSError: it cannot be written.
    """
    write_private(folder / STATUS_NAME, msgspec.json.encode(status), is_durable=False)


def read_status(folder: Path) -> AgentStatus | None:
    """What the supervisor wrote last; None if there is nothing.

    Raises:
        ProtocolError: the file cannot be read, or is of another release.
    """
    path = folder / STATUS_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=AgentStatus)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProtocolError(f"{path}: {error.strerror}; ask as the user that the agent runs as") from error
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{path}: no status of an agent of this release: {error}") from error


def status_lines(status: AgentStatus, now_ns: int) -> list[str]:
    """The status for people, a line for each thing.

    Args:
        now_ns: wall time.
    """
    lines = [
        f"agent      {status.name}, process {status.pid}, up for {span((now_ns - status.started_ns) / NS_PER_S)}, "
        f"release {status.release}{', leaving' if status.is_leaving else ''}",
        f"started    {moment(status.started_ns)}",
        f"control    {_link(status.control)}",
        f"bulk       {_link(status.bulk)}",
        f"lease      {_lease(status.lease_left_s)}",
        f"clock      {_clock(status)}",
        f"workers    {status.worker_processes} running, {status.workers} for each run",
        f"labels     {', '.join(status.labels) or 'none'}",
        f"spool      {status.unacked} batches wait, {size(status.spool_bytes)} of {size(status.spool_limit_bytes)} "
        f"in {status.spool}",
    ]
    for run in status.runs:
        error = f": {run.error}" if run.error else ""
        lines.append(f"run        {run.run} {run.phase}, {run.workers} workers, {run.unacked} batches wait{error}")
    return lines if status.runs else [*lines, "runs       none"]


def _link(link: LinkStatus) -> str:
    why = f": {link.reason}" if link.reason else ""
    return f"{link.endpoint} {link.state} for {span(link.since_s)}{why}"


def _lease(left_s: float | None) -> str:
    if left_s is None:
        return "none: the coordinator has not been heard yet"
    return f"{left_s:.0f} s left" if left_s > 0 else "over: nothing is started until the coordinator is heard again"


def _clock(status: AgentStatus) -> str:
    if status.clock_offset_ns is None or status.clock_error_ns is None:
        return "offset to the coordinator's not known"
    # The offset itself holds a random part of each life (common/clock), so only its bound says anything to people.
    return f"offset to the coordinator's known to ± {status.clock_error_ns / NS_PER_MS:.3f} ms"


def moment(wall_ns: int) -> str:
    """Wall time for people, UTC."""
    return datetime.fromtimestamp(wall_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """A length of time for people: its two largest units."""
    whole = max(int(seconds), 0)
    for unit_s, unit, below_s, below in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            return f"{whole // unit_s} {unit} {whole % unit_s // below_s} {below}"
    return f"{whole} s"


def size(amount_bytes: int) -> str:
    """A number of bytes for people."""
    amount = float(amount_bytes)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
