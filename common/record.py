"""Stage 5/10 · One record per call, action and iteration: the rows, their columns and the batch that carries them.

Rules: a batch stands alone. Whoever has its header and its body can read it, without any other batch, on any machine;
that is what makes the stored blob the authority. Numbers are little-endian. The format has a version: new columns go to
the end of a table under a new version, nothing is reused, and every released version stays readable (golden files).

    header   msgpack array, see `BatchHeader`
    body     codec(columns ‖ tail)
             columns   iterations, actions, calls, health, hosts: table after table, see common/planes
             tail      msgpack map {names, errors, request_ids, histograms}

Stamps are nanoseconds on the clock of the agent's life; `start_ns` in the header is the start of the run on the same
clock, so that (stamp - start_ns) is the run's own time and needs no clock of another machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import local
from typing import Annotated, Any, NamedTuple, Protocol

import msgpack
import msgspec
import zstandard

from osbench.common.error import ProtocolError
from osbench.common.outcome import Outcome
from osbench.common.planes import decode_table, encode_table, table_size

BATCH_VERSION = 1
CODEC_PLAIN = 0
CODEC_ZSTD = 1

#: Bounds of one batch: rows of all tables, bytes of the body before compression, bytes of its tail.
MAX_ROWS = 1_000_000
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_NAMES = 65_535
MAX_TEXT_BYTES = 4_096
#: Bounds of one iteration: its actions, and how deep they nest.
MAX_ACTIONS = 32_768
MAX_DEPTH = 64

#: Flags of a call.
CALL_RENEWAL = 1  # a sign-in made by OSBench itself, not by the scenario
CALL_NEW_CONNECTION = 2
CALL_RESENT = 4  # libcurl sent it again on a new connection
CALL_WAITING = 8  # a GET that polls for a state


class IterationRow(NamedTuple):
    """One execution of the scenario; `iteration` is its global index.

    `scheduled_ns` is -1 in closed loop, where nothing was scheduled. `error` 0 means none.
    """

    iteration: int
    scheduled_ns: int
    started_ns: int
    ended_ns: int
    idle_ns: int
    outcome: int
    error: int


class ActionRow(NamedTuple):
    """One atomic action. All actions of an iteration are in the batch of its iteration row, so that paths can be joined.

    `ordinal` counts the iteration's actions from 0 in order of start; `parent` is that of the action around it or -1.
    `not_ready_ns` is the last stamp at which a waited-for state was not there yet, -1 if nothing was waited for: the
    true moment lies in (not_ready_ns, ended_ns].
    """

    iteration: int
    ordinal: int
    parent: int
    name: int
    started_ns: int
    ended_ns: int
    not_ready_ns: int
    outcome: int


class CallRow(NamedTuple):
    """One HTTP request, each attempt its own.

    `action` is the ordinal of the action it belongs to, -1 outside any; a call may be in an earlier batch than its action
    and its iteration, which are written when the iteration ends. The phases are microseconds from `started_ns`:
    until a connection was free, name looked up, connected, TLS done, first byte; 0 where a phase did not happen.
    """

    iteration: int
    action: int
    name: int
    started_ns: int
    ended_ns: int
    outcome: int
    status: int
    error: int
    attempt: int
    flags: int
    wait_us: int
    lookup_us: int
    connect_us: int
    tls_us: int
    first_byte_us: int
    sent_bytes: int
    received_bytes: int


class HealthRow(NamedTuple):
    """A worker's own starvation in one second of the run.

    `stamp_ns` ends the second. `stall_ns`: longest time by which the loop woke late. `run_queue_ns`: time spent
    runnable but not running (/proc/self/schedstat). `gc_ns`: collector pauses. `lag_max_ns`: worst started - scheduled.
    """

    stamp_ns: int
    span_ns: int
    stall_ns: int
    run_queue_ns: int
    cpu_ns: int
    gc_ns: int
    lag_max_ns: int
    in_flight: int
    started: int
    ended: int


class HostRow(NamedTuple):
    """The load host in one second: per mille of the busiest core and of all, and counters since the row before."""

    stamp_ns: int
    core_max_permille: int
    cpu_permille: int
    memory_permille: int
    sent_bytes: int
    received_bytes: int
    steal_permille: int
    spool_bytes: int


#: Column types of the tables, in the order of the rows' fields: codes of the array module, q 8 bytes, I 4, h/H 2, B 1.
ITERATION_TYPES = "qqqqqBI"
ACTION_TYPES = "qhhHqqqB"
CALL_TYPES = "qhHqqBHIBBIIIIIII"
HEALTH_TYPES = "qqqqqqqIII"
HOST_TYPES = "qHHHqqHq"

TABLES: tuple[tuple[str, str, type[Any]], ...] = (
    ("iterations", ITERATION_TYPES, IterationRow),
    ("actions", ACTION_TYPES, ActionRow),
    ("calls", CALL_TYPES, CallRow),
    ("health", HEALTH_TYPES, HealthRow),
    ("hosts", HOST_TYPES, HostRow),
)


class CallSink(Protocol):
    """Where a session puts what it timed; one per iteration, so that the caller needs to know no index."""

    def name_id(self, name: str) -> int:
        """Intern the route of a call, e.g. `nova GET /servers/{id}`; the same text gives the same number."""
        ...

    def error_id(self, kind: str, message: str) -> int:
        """Intern an error; `message` is cut to a bound and holds no secret. Never 0."""
        ...

    def add_call(
        self,
        name: int,
        started_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int,
        error: int,
        attempt: int,
        flags: int,
        phases_us: tuple[int, int, int, int, int],
        sent_bytes: int,
        received_bytes: int,
        request_id: str | None,
    ) -> None:
        """Record one attempt. `phases_us` is wait, lookup, connect, tls, first byte; `request_id` the server's own."""
        ...

    def next_call(self) -> int:
        """The ordinal of the iteration's next call, from 0: what the sent request id is made of."""
        ...


class BatchHeader(NamedTuple):
    """What is known of a batch without opening its body; travels and is stored beside it.

    `worker` 65535 is the agent's supervisor itself, which writes only hosts.
    """

    version: int
    run: str
    agent: str
    life: int
    worker: int
    seq: int
    start_ns: int
    first_ns: int
    last_ns: int
    iterations: int
    actions: int
    calls: int
    health: int
    hosts: int
    codec: int
    raw_bytes: int

    @property
    def key(self) -> "BatchKey":
        return BatchKey(self.run, self.agent, self.life, self.worker, self.seq)


class BatchKey(NamedTuple):
    """What makes a batch unique, in the store and everywhere."""

    run: str
    agent: str
    life: int
    worker: int
    seq: int


SUPERVISOR = 65_535
HEADER_FIELDS = len(BatchHeader._fields)


class CallHistogram(NamedTuple):
    """Calls of one route, outcome and second of the run, without their rows: what is left when the spool is full.

    `second` counts from the start of the run. `spans` is bucket, count, bucket, count, … of common/histogram.
    """

    name: int
    outcome: int
    second: int
    sum_us: int
    min_us: int
    max_us: int
    spans: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of one batch before encoding or after decoding, table by table, and the texts they point to.

    names: number to text; errors: number to (kind, message); request_ids: row of `calls` to the server's
    request id; histograms: calls whose rows were given up for want of space.
    """

    iterations: Sequence[Sequence[int]] = ()
    actions: Sequence[Sequence[int]] = ()
    calls: Sequence[Sequence[int]] = ()
    health: Sequence[Sequence[int]] = ()
    hosts: Sequence[Sequence[int]] = ()
    names: dict[int, str]
    errors: dict[int, tuple[str, str]]
    request_ids: dict[int, str]
    histograms: Sequence[CallHistogram] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchIdentity:
    """Who writes: the part of a header that stays the same for all batches of a worker in a run."""

    run: str
    agent: str
    life: int
    worker: int
    start_ns: int


@dataclass(frozen=True, slots=True)
class Batch:
    """An encoded batch: header, its bytes, body bytes."""

    header: BatchHeader
    header_bytes: bytes
    body: bytes


#: Half of what is left of the columns is the noise of the clock, which a search for matches only takes longer over: the
#: quickest level makes it a third as long and no larger.
_compressor = zstandard.ZstdCompressor(level=-1)


def encode_batch(identity: BatchIdentity, seq: int, rows: Rows) -> Batch:
    """Encode rows into a batch.

    Args:
        identity: who writes.
        seq: the worker's own count of batches, from 1, without holes.
        rows: the tables; stamps in nanoseconds on the writer's clock.

    Raises:
        OverflowError: a number does not fit its column; a bug of the recorder, never the cloud's doing.
    """
    parts: list[bytes] = []
    for name, types, _ in TABLES:
        parts += encode_table(getattr(rows, name), types)
    texts = {"names": rows.names, "errors": rows.errors, "request_ids": rows.request_ids, "histograms": rows.histograms}
    parts.append(msgpack.packb(texts, use_bin_type=True))
    raw = b"".join(parts)
    stamps = [row[3] for row in rows.iterations] or [row[0] for row in (*rows.health, *rows.hosts)]
    header = BatchHeader(
        version=BATCH_VERSION,
        run=identity.run,
        agent=identity.agent,
        life=identity.life,
        worker=identity.worker,
        seq=seq,
        start_ns=identity.start_ns,
        first_ns=min(stamps, default=identity.start_ns),
        last_ns=max(stamps, default=identity.start_ns),
        iterations=len(rows.iterations),
        actions=len(rows.actions),
        calls=len(rows.calls),
        health=len(rows.health),
        hosts=len(rows.hosts),
        codec=CODEC_ZSTD,
        raw_bytes=len(raw),
    )
    return Batch(header, msgpack.packb(tuple(header), use_bin_type=True), _compressor.compress(raw))


def decode_header(data: bytes) -> BatchHeader:
    """Read and check a header.

    Raises:
        ProtocolError: not a header of a version known here, or a number out of its bound.
    """
    try:
        fields = msgpack.unpackb(data, max_array_len=64, max_str_len=256, max_map_len=0, max_bin_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError(f"batch header is not msgpack: {error}") from error
    if not isinstance(fields, list) or not fields or fields[0] != BATCH_VERSION:
        found = fields[0] if isinstance(fields, list) and fields else fields
        raise ProtocolError(f"batch version {found!r:.40} is not known here; this release reads {BATCH_VERSION}")
    if len(fields) != HEADER_FIELDS:
        raise ProtocolError(f"batch header has {len(fields)} fields, version {BATCH_VERSION} has {HEADER_FIELDS}")
    header = BatchHeader(*fields)
    texts = (header.run, header.agent)
    numbers = [field for name, field in header._asdict().items() if name not in ("run", "agent")]
    if not all(isinstance(text, str) and 0 < len(text) <= 128 for text in texts):
        raise ProtocolError(f"batch header: run and agent must be 1 to 128 characters, found {texts!r:.200}")
    if not all(type(number) is int and -(2**63) <= number < 2**63 for number in numbers):
        raise ProtocolError(f"batch header: a field is not a 64-bit integer: {numbers!r:.200}")
    counts = (header.iterations, header.actions, header.calls, header.health, header.hosts)
    if min(counts) < 0 or sum(counts) > MAX_ROWS:
        raise ProtocolError(f"batch header: {counts} rows, at most {MAX_ROWS} in all are taken")
    if not 0 <= header.raw_bytes <= MAX_BODY_BYTES or not 0 <= header.worker <= SUPERVISOR or header.seq < 1:
        raise ProtocolError(f"batch header out of bounds: {tuple(header)!r:.300}")
    return header


class _Decompressors(local):
    """One for each thread: making one takes as long as using it."""

    def __init__(self) -> None:
        self.mine = zstandard.ZstdDecompressor()


_decompressors = _Decompressors()


def inflate(header: BatchHeader, body: bytes) -> bytes:
    """The body before compression: columns and tail.

    Raises:
        ProtocolError: not what the header promises, or larger.
    """
    if header.codec == CODEC_PLAIN:
        raw = body
    elif header.codec == CODEC_ZSTD:
        try:
            # zstandard allocates what the frame itself announces, whatever bound it is given: look before it does.
            announced = zstandard.frame_content_size(body)
            if announced not in (-1, header.raw_bytes):
                raise ProtocolError(
                    f"batch {header.key}: body has {announced} bytes, its header says {header.raw_bytes}"
                )
            raw = _decompressors.mine.decompress(body, max_output_size=header.raw_bytes)
        except zstandard.ZstdError as error:
            raise ProtocolError(f"batch {header.key}: body does not inflate: {error}") from error
    else:
        raise ProtocolError(f"batch {header.key}: codec {header.codec} is not known here")
    if len(raw) != header.raw_bytes:
        raise ProtocolError(f"batch {header.key}: body has {len(raw)} bytes, its header says {header.raw_bytes}")
    return raw


_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_BYTES)]


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tail of a batch, as in `Rows`."""

    names: dict[int, _Text]
    errors: dict[int, tuple[_Text, _Text]]
    request_ids: dict[int, _Text]
    histograms: tuple[CallHistogram, ...]


_tail_decoder = msgspec.msgpack.Decoder(Texts)


def decode_tail(header: BatchHeader, tail: bytes) -> Texts:
    """The texts of a batch, checked.

    Raises:
        ProtocolError: the tail does not fit the format.
    """
    try:
        texts = _tail_decoder.decode(tail)
        if any(len(histogram.spans) % 2 for histogram in texts.histograms):
            raise ValueError("the spans of a histogram are not in pairs")
    except (ValueError, msgspec.MsgspecError) as error:
        raise ProtocolError(f"batch {header.key}: tail does not fit version {BATCH_VERSION}: {error!r:.200}") from error
    return texts


def decode_rows(header: BatchHeader, body: bytes) -> Rows:
    """All rows of a batch as typed tuples: for exports and tests. Ingest reads the columns as arrays instead.

    Raises:
        ProtocolError: the body does not fit its header.
    """
    raw = inflate(header, body)
    offset = 0
    tables: dict[str, Any] = {}
    for name, types, row_type in TABLES:
        count = getattr(header, name)
        try:
            columns = decode_table(raw, offset, types, count)
        except ProtocolError as error:
            raise ProtocolError(f"batch {header.key}: table {name}: {error}") from error
        offset += table_size(raw, offset, types, count)
        tables[name] = [row_type(*row) for row in zip(*columns, strict=True)]
    return Rows(**tables, **msgspec.structs.asdict(decode_tail(header, raw[offset:])))
