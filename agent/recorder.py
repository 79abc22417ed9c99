"""Stage 5/10 · The recorder: collects the rows of a worker and makes batches of them.

Rules: adding a row is an append to a list, nothing more: it is on the hot path of every call. Texts are interned; each
batch carries the texts its rows point to, so it stands alone. Calls go into the batch that is open when they end, so
that they are seen at once and outlive their worker; the actions of an iteration come with its row, when it ends, since
whoever reads an action needs those around it. When the spool is full, rows of calls are given up and
their histograms kept, and that is counted.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from osbench.common.histogram import bucket_of
from osbench.common.outcome import Outcome
from osbench.common.record import (
    MAX_NAMES,
    MAX_TEXT_BYTES,
    Batch,
    BatchIdentity,
    CallHistogram,
    CallRow,
    HealthRow,
    HostRow,
    Rows,
    encode_batch,
)

#: A batch is closed when it has so many iterations, actions or calls, or when a second has passed.
BATCH_ITERATIONS = 1_000
BATCH_ACTIONS = 4_000
BATCH_CALLS = 4_000
#: Of the calls that went well and were not the slowest of their batch, the ids of one in so many are kept.
REQUEST_ID_SHARE = 100

_OTHER = "other (more names than a batch can hold)"


def cut(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """A text of at most `limit` bytes, as UTF-8."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 4].decode("utf-8", "ignore") + " …"


@dataclass(slots=True, kw_only=True)
class Recorder:
    """The rows of one worker since its last batch.

    Attributes:
        identity: who writes.
        request_ids: which of the servers' ids are kept: all, slow or none.
        keeps_calls: rows of calls are kept; False while the spool is full.
        seq: number of the last batch made.
        iterations_written: iteration rows in all batches made.
        calls_given_up: rows of calls given up so far.
    """

    identity: BatchIdentity
    request_ids: str = "slow"
    keeps_calls: bool = True
    seq: int = 0
    iterations_written: int = 0
    calls_given_up: int = 0
    iterations: list[tuple[int, ...]] = field(default_factory=list)
    actions: list[tuple[int, ...]] = field(default_factory=list)
    calls: list[tuple[int, ...]] = field(default_factory=list)
    health: list[HealthRow] = field(default_factory=list)
    hosts: list[HostRow] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _errors: dict[tuple[str, str], int] = field(default_factory=dict)
    _request_ids: dict[int, str] = field(default_factory=dict)
    _slowest_ns: int = -1
    _slowest: tuple[int, str] | None = None

    def name_id(self, name: str) -> int:
        """Number of a name; the same all through the worker's life."""
        number = self._names.get(name)
        if number is None:
            if len(self._names) >= MAX_NAMES - 1:
                name = _OTHER
            number = self._names.setdefault(cut(name), len(self._names) + 1)
        return number

    def error_id(self, kind: str, message: str) -> int:
        """Number of an error in this batch, from 1."""
        key = (cut(kind, 200), cut(message, 1_000))
        if key not in self._errors and len(self._errors) >= 1_000:
            key = (key[0][:100], "further messages of this batch were not kept")
        return self._errors.setdefault(key, len(self._errors) + 1)

    def add_iteration(self, row: tuple[int, ...], actions: Sequence[tuple[int, ...]] = ()) -> None:
        """Add the fields of an IterationRow, and those of the ActionRows of all its actions."""
        self.iterations.append(row)
        self.actions += actions

    def add_call(self, row: tuple[int, ...], request_id: str | None) -> None:
        """Add the fields of a CallRow, and the server's id of the request if it gave one."""
        calls = self.calls
        if request_id is not None and self.request_ids != "none":
            position = len(calls)
            duration_ns = row[4] - row[3]
            if row[5] != Outcome.OK or self.request_ids == "all" or position % REQUEST_ID_SHARE == 0:
                self._request_ids[position] = cut(request_id, 64)
            elif duration_ns > self._slowest_ns:
                self._slowest_ns, self._slowest = duration_ns, (position, request_id)
        calls.append(row)

    @property
    def is_due(self) -> bool:
        """A batch should be made now, without waiting for the second to end."""
        return (
            len(self.iterations) >= BATCH_ITERATIONS
            or len(self.calls) >= BATCH_CALLS
            or len(self.actions) >= BATCH_ACTIONS
        )

    @property
    def is_empty(self) -> bool:
        return not (self.iterations or self.actions or self.calls or self.health or self.hosts)

    def make_batch(self) -> Batch:
        """All rows since the last batch as the next one, encoded; the recorder is empty after."""
        if self._slowest is not None:
            self._request_ids[self._slowest[0]] = cut(self._slowest[1], 64)
        calls, histograms = self.calls, list[CallHistogram]()
        if not self.keeps_calls and calls:
            histograms = histograms_of(calls, self.identity.start_ns)
            self.calls_given_up += len(calls)
            calls, self._request_ids = [], {}
        self.seq += 1
        self.iterations_written += len(self.iterations)
        batch = encode_batch(
            self.identity,
            self.seq,
            Rows(
                iterations=self.iterations,
                actions=self.actions,
                calls=calls,
                health=self.health,
                hosts=self.hosts,
                names={number: name for name, number in self._names.items()},
                errors={number: error for error, number in self._errors.items()},
                request_ids=self._request_ids,
                histograms=histograms,
            ),
        )
        self.iterations, self.actions, self.calls, self.health, self.hosts = [], [], [], [], []
        self._errors, self._request_ids = {}, {}
        self._slowest_ns, self._slowest = -1, None
        return batch


def histograms_of(calls: list[tuple[int, ...]], start_ns: int) -> list[CallHistogram]:
    """What is left of calls when their rows are given up: one histogram per route, outcome and second of the run."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for fields in calls:
        call = CallRow(*fields)
        second = (call.ended_ns - start_ns) // 1_000_000_000
        groups[call.name, call.outcome, second].append((call.ended_ns - call.started_ns) // 1_000)
    made = []
    for (name, outcome, second), durations_us in groups.items():
        counts: dict[int, int] = defaultdict(int)
        for duration_us in durations_us:
            counts[bucket_of(duration_us)] += 1
        spans = tuple(number for bucket in sorted(counts) for number in (bucket, counts[bucket]))
        made.append(
            CallHistogram(name, outcome, second, sum(durations_us), min(durations_us), max(durations_us), spans)
        )
    return made
