"""The values that go into the store and come out of it: runs, resources, events, agents, and what is derived of records.

Rules: frozen, complete, plain data; ids are str(uuid4). Wall times are nanoseconds since the Unix epoch. `second` and
`at_ns` count from the start of the run, on the clock of whoever measured, so no two machines' clocks meet here.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from osbench.common.plan import Plan
from osbench.common.record import BatchHeader
from osbench.common.task import Workload


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one workload.

    Attributes:
        task: its id. position: of the workload in the task. ordinal: of the run in the task, from 0.
        workload: as rendered. plan: None before it is planned.
        phase: word of the run state machine. start_wall_ns: wall time of the start of the run, None before.
        accounting, verdict: what the coordinator concluded, empty before; its modules own the keys.
        created_ns, ended_ns: wall time; ended_ns None before its end.
    """

    id: str
    task: str
    position: int
    ordinal: int
    workload: Workload
    plan: Plan | None = None
    phase: str = "init"
    start_wall_ns: int | None = None
    accounting: dict[str, Any] = {}
    verdict: dict[str, Any] = {}
    created_ns: int = 0
    ended_ns: int | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Something made, or about to be made: recorded before it is made, so that a crash in between leaves a trace.

    Attributes:
        id: uuid4. kind: e.g. `project`, `server`, `virsh-domain`. name: on the cloud.
        cloud_id: empty until the cloud has told it.
        deployment, task, run: whose it is; each may be empty. provider: what made it, for providers' resources.
        info: whatever its maker needs to remove it; encrypted at rest, not shown.
        created_ns: wall time.
    """

    id: str
    kind: str
    name: str
    cloud_id: str = ""
    deployment: str = ""
    task: str = ""
    run: str = ""
    provider: str = ""
    info: dict[str, Any] = {}
    created_ns: int = 0

    def __repr__(self) -> str:
        return f"Resource(kind={self.kind!r}, name={self.name!r}, cloud_id={self.cloud_id!r})"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a run and that a reader of its numbers should know.

    Attributes:
        kind: e.g. `agent_lost`, `worker_died`, `hook`. agent: empty for the coordinator. worker: -1 for none.
        at_ns: after the start of the run. wall_ns: 0 lets the store fill it in.
    """

    kind: str
    text: str
    at_ns: int = 0
    agent: str = ""
    worker: int = -1
    wall_ns: int = 0


class ClockFit(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of an agent's clock at a moment of a run.

    Attributes:
        at_ns: after the start of the run. offset_ns: agent minus coordinator. error_ns: its bound.
        start_error_ns: how late the agent's first worker was ready after the intended start, -1 unknown.
    """

    agent: str
    life: int
    at_ns: int
    offset_ns: int
    error_ns: int
    start_error_ns: int = -1


class KnownAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it last showed itself.

    Attributes:
        name: unique. life: of its process. state: word of the roster. public_key: empty where there is none (ipc).
        seen_ns: wall time of its last sign of life.
    """

    name: str
    life: int
    version: str = ""
    protocol: int = 0
    workers: int = 0
    cores: int = 0
    memory_bytes: int = 0
    nofile: int = 0
    labels: tuple[str, ...] = ()
    state: str = ""
    public_key: str = ""
    seen_ns: int = 0


class AgentKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key by which an agent comes in.

    Attributes:
        public_key: z85. name: of the agent. created_ns, revoked_ns: wall time; revoked_ns None while it is good.
    """

    public_key: str
    name: str
    created_ns: int
    revoked_ns: int | None = None


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation, without its secret.

    Attributes:
        digest: of the secret, hex. name: of the agent that is invited.
        created_ns, expires_ns: wall time. used_key, used_ns: by which key it was used, and when; empty, None before.
    """

    digest: str
    name: str
    created_ns: int
    expires_ns: int
    used_key: str = ""
    used_ns: int | None = None


class Redemption(StrEnum):
    """What became of an attempt to come in by an invitation; the words are for the log, not for who tried."""

    ENROLLED = "enrolled"
    UNKNOWN = "no such invitation"
    EXPIRED = "the invitation has expired"
    USED = "the invitation was used by another key"
    OTHER_NAME = "the invitation is for another name"
    REVOKED = "the key was revoked"
    OTHER_AGENT = "the key is another agent's"


class StoredBatch(NamedTuple):
    """A batch: its header, and its body as it came; decode with common/record."""

    header: BatchHeader
    body: bytes


class BatchTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one worker in a run. `batches < last_seq` says that there are holes."""

    agent: str
    life: int
    worker: int
    batches: int
    last_seq: int
    iterations: int
    actions: int
    calls: int
    body_bytes: int


#: Kinds of series. Outcomes are kept apart, so errors never colour the successes' percentiles.
ITERATION = "iteration"  # ended - started - idle: Rally's duration
TOTAL = "total"  # ended - started
IDLE = "idle"  # idle
RESPONSE = "response"  # ended - scheduled, open loop only
LAG = "lag"  # started - scheduled, open loop only
ACTION = "action"  # ended - started; name: path through the actions around it, `outer/inner`
CALL = "call"  # ended - started; name: route
CALL_FIRST_BYTE = "call_first_byte"  # first byte - started, where there was one
RENEWAL = "renewal"  # sign-ins made by OSBench itself, apart from the calls of the load
SERIES_KINDS = (ITERATION, TOTAL, IDLE, RESPONSE, LAG, ACTION, CALL, CALL_FIRST_BYTE, RENEWAL)

#: Longest name of a series; the rest is cut off.
NAME_CHARACTERS = 512

#: Status of calls of which only histograms are left (full spool): their outcome is known, their status is not.
STATUS_UNKNOWN = -1


class HistogramRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Values of one series that ended in one second of a run: what a commit adds, or what is stored in all.

    Attributes:
        kind, name, outcome: the series; kind is one of SERIES_KINDS, outcome a number of common/outcome.
        ordinal: smallest ordinal of the action within its iteration, for showing actions in order; 0 elsewhere.
        n, sum_us, min_us, max_us: exact; min and max are of at least one value.
        spans: counts by bucket, coordinator/merge.decode_spans.
    """

    run: str
    kind: str
    name: str
    outcome: int
    ordinal: int
    second: int
    n: int
    sum_us: int
    min_us: int
    max_us: int
    spans: bytes


class CounterRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How many iterations (kind ITERATION, name empty, status 0) or calls (CALL, RENEWAL) ended so."""

    run: str
    kind: str
    name: str
    outcome: int
    status: int
    n: int


class SecondRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Iterations in one second of a run: started in it, ended in it, of those not OK; dropped: due and not started."""

    run: str
    second: int
    started: int
    ended: int
    failed: int
    dropped: int


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An error by its text: how often, when, and the lowest iteration that met it.

    `source` is ITERATION or CALL: the same text may stand at both, and is counted at each.
    """

    run: str
    source: str
    kind: str
    message: str
    n: int
    first_second: int
    last_second: int
    iteration: int


class ExtentRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """When the first iteration of a run started and the last ended, nanoseconds after the start of the run."""

    run: str
    first_started_ns: int
    last_ended_ns: int


class HealthSecond(msgspec.Struct, frozen=True, array_like=True):
    """common/record.HealthRow with whose it is and the second it lies in (that of the middle of its span)."""

    run: str
    agent: str
    life: int
    worker: int
    second: int
    span_ns: int
    stall_ns: int
    run_queue_ns: int
    cpu_ns: int
    gc_ns: int
    lag_max_ns: int
    in_flight: int
    started: int
    ended: int


class HostSecond(msgspec.Struct, frozen=True, array_like=True):
    """common/record.HostRow with whose it is and the second it ends."""

    run: str
    agent: str
    life: int
    second: int
    core_max_permille: int
    cpu_permille: int
    memory_permille: int
    sent_bytes: int
    received_bytes: int
    steal_permille: int
    spool_bytes: int


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """All that some batches add to what is derived. Adding is commutative: the order of batches leaves no trace."""

    histograms: tuple[HistogramRow, ...] = ()
    counters: tuple[CounterRow, ...] = ()
    seconds: tuple[SecondRow, ...] = ()
    errors: tuple[ErrorRow, ...] = ()
    extents: tuple[ExtentRow, ...] = ()
    health: tuple[HealthSecond, ...] = ()
    hosts: tuple[HostSecond, ...] = ()
