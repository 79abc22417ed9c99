"""Stage 8/10 · Ingest: batches from the wire into the store, each exactly once.

Rules: all waiting batches go in one transaction, with all that is derived from them, and are acknowledged after it.
A batch that is already stored is acknowledged again and has no effect. One that cannot be taken, ever, is rejected
with a reason; the others of its commit are not touched by it. Only the store itself can fail: then nothing was stored
and nothing is acknowledged, and the same batches may be committed again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import msgspec

from osbench.common.error import NotFoundError, ProtocolError, StoreError
from osbench.common.outcome import Outcome
from osbench.common.planes import decode_column, one_value
from osbench.common.record import ITERATION_TYPES, MAX_ROWS, BatchHeader, BatchKey, IterationRow
from osbench.coordinator.columns import BatchColumns, decode_columns
from osbench.coordinator.derive import derive
from osbench.coordinator.store.contract import Records
from osbench.coordinator.store.values import Derived, StoredBatch

#: What goes into one transaction; where more is waiting it is committed in parts.
MAX_GROUP_BATCHES = 256
MAX_GROUP_ROWS = MAX_ROWS
#: Groups that are written or wait for it: enough to bridge a checkpoint of the database, few enough to be held in memory.
MAX_UNDER_WAY = 3

_OUTCOME = IterationRow._fields.index("outcome")
_OUTCOMES = tuple(int(outcome) for outcome in Outcome)


Frames = tuple[BatchHeader, bytes, bytes]


class RejectedBatch(NamedTuple):
    """A batch that cannot be taken, how many iterations are in it, and why."""

    key: BatchKey
    iterations: int
    reason: str


def _rejected(header: BatchHeader, reason: str) -> RejectedBatch:
    return RejectedBatch(header.key, header.iterations, reason)


class CommittedBatch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A batch that was stored for the first time: `outcomes` counts its iterations by number of their outcome,
    OK first; empty where it has none."""

    run: str
    agent: str
    life: int
    worker: int
    seq: int
    outcomes: tuple[int, ...]
    actions: int
    calls: int
    first_ns: int
    last_ns: int


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit added, for whoever shows the run live: only of batches that were new."""

    batches: tuple[CommittedBatch, ...] = ()
    derived: Derived = Derived()


class CommitResult(NamedTuple):
    """What became of each batch: in `acks` (new and known alike) or in `rejected`; and what was added."""

    acks: tuple[BatchKey, ...]
    rejected: tuple[RejectedBatch, ...]
    committed: Committed


class _Taken(NamedTuple):
    """A batch that passed the border."""

    batch: StoredBatch
    columns: BatchColumns


class _Prepared(NamedTuple):
    """A group, decoded and derived, ready for its transaction."""

    taken: list[_Taken]
    derived: Derived
    rejected: list[RejectedBatch]


class Ingest:
    """Commits batches. Used by one thread; it has one of its own, which writes and waits for the disk.

    So while a group is written the next ones are worked out, whether they came in one call of `begin` or in many. Groups
    are written in the order in which they began.

    Args:
        store: where to. on_done: called on the writer's thread whenever `finished` has something to give.
    """

    def __init__(self, store: Records, on_done: Callable[[], None] | None = None) -> None:
        self._store = store
        self._on_done = on_done
        self._writer = ThreadPoolExecutor(1, "ingest-writer")
        #: Groups that were not given out by `finished` yet, in the order of their beginning.
        self._under_way: deque[Future[CommitResult]] = deque()
        #: Runs seen in the store; a run does not come back under its id, so only their absence is looked up again.
        self._known_runs: set[str] = set()
        #: What was added by transactions of a `commit` that failed later on: their batches come again as duplicates.
        self._untold: list[CommitResult] = []

    def close(self) -> None:
        """Write what is under way and end the thread. The store is its owner's to close."""
        self._writer.shutdown()

    def begin(self, batches: Sequence[Frames]) -> None:
        """Take batches: decode them, derive from them, and have them written. Waits while MAX_UNDER_WAY groups are.

        Args:
            batches: header, its bytes, body, as common/wire.decode_batch_frames gives them, in order of arrival.

        Raises:
            StoreError: the store failed before anything was begun.
        """
        rejected: list[RejectedBatch] = []
        wanted = self._of_known_runs([StoredBatch(header, body) for header, _, body in batches], rejected)
        if rejected:
            refused: Future[CommitResult] = Future()
            refused.set_result(CommitResult((), tuple(rejected), Committed()))
            self._add_under_way(refused)
        for group in _groups(wanted):
            prepared = _prepare(group)
            if len(self._under_way) >= MAX_UNDER_WAY:
                wait([self._under_way[-MAX_UNDER_WAY]])
            self._add_under_way(self._writer.submit(self._commit_group, prepared))

    def _add_under_way(self, group: "Future[CommitResult]") -> None:
        self._under_way.append(group)
        if self._on_done is not None:
            on_done = self._on_done
            group.add_done_callback(lambda _: on_done())

    def finished(self, *, all_of_them: bool = False) -> list[CommitResult]:
        """What became of the groups that are done, each once, in the order of their beginning.

        Args:
            all_of_them: wait until nothing is under way.

        Raises:
            StoreError: the store failed on the next group; its batches have to come again. What was done before it was
                given out before, and what began after it is given out by the next calls.
        """
        found: list[CommitResult] = []
        while self._under_way and (all_of_them or self._under_way[0].done()):
            if found and self._under_way[0].exception() is not None:
                break
            found.append(self._under_way.popleft().result())
        return found

    def commit(self, batches: Sequence[Frames]) -> CommitResult:
        """Store batches and wait for it: `begin` and `finished` in one, for whoever has nothing else to do.

        Raises:
            StoreError: the store failed. All of them have to come again: those that were stored all the same are
                acknowledged then, and what they added is told then.
        """
        self.begin(batches)
        done: list[CommitResult] = []
        failure: StoreError | None = None
        while self._under_way:
            try:
                done += self.finished(all_of_them=True)
            except StoreError as error:
                failure = failure or error
        if failure is not None:
            self._untold += [CommitResult((), (), result.committed) for result in done]
            raise failure
        done += self._untold
        self._untold = []
        return _joined(done)

    def _of_known_runs(self, batches: list[StoredBatch], rejected: list[RejectedBatch]) -> list[StoredBatch]:
        missing = {batch.header.run for batch in batches} - self._known_runs
        if missing:
            self._known_runs |= self._store.runs_known(sorted(missing))
        wanted = []
        for batch in batches:
            if batch.header.run in self._known_runs:
                wanted.append(batch)
            else:
                rejected.append(_rejected(batch.header, "its run is not in the store"))
        return wanted

    def _commit_group(self, prepared: _Prepared) -> CommitResult:
        """One transaction, on the thread of the writer."""
        taken, derived, rejected = prepared
        try:
            return self._add(taken, derived, rejected)
        except NotFoundError:
            # A run was deleted since it was last seen here.
            known = self._store.runs_known(sorted({one.batch.header.run for one in taken}))
            self._known_runs = set(known)
            gone = [one for one in taken if one.batch.header.run not in known]
            rejected += [_rejected(one.batch.header, "its run was deleted") for one in gone]
            taken = [one for one in taken if one.batch.header.run in known]
            return self._add(taken, derive([one.columns for one in taken]), rejected)

    def _add(self, taken: list[_Taken], derived: Derived, rejected: list[RejectedBatch]) -> CommitResult:
        """Store a group; `derived` is right if all of it is new."""
        if not taken:
            return CommitResult((), tuple(rejected), Committed())

        def derive_new(new: Sequence[int]) -> Derived:
            nonlocal derived
            if len(new) < len(taken):
                derived = derive([taken[position].columns for position in new])
            return derived

        new = self._store.batches_add([one.batch for one in taken], derive_new)
        acks = tuple(one.batch.header.key for one in taken)
        summaries = tuple(_summary(taken[position].columns) for position in new)
        return CommitResult(
            acks, tuple(rejected), Committed(batches=summaries, derived=derived) if new else Committed()
        )


def _groups(batches: list[StoredBatch]) -> Iterator[list[StoredBatch]]:
    """Cut by the two bounds; a batch that is above the bound of rows alone is a group."""
    group: list[StoredBatch] = []
    rows = 0
    for batch in batches:
        header = batch.header
        size = header.iterations + header.actions + header.calls + header.health + header.hosts
        if group and (rows + size > MAX_GROUP_ROWS or len(group) >= MAX_GROUP_BATCHES):
            yield group
            group, rows = [], 0
        group.append(batch)
        rows += size
    if group:
        yield group


def _prepare(batches: list[StoredBatch]) -> _Prepared:
    """Decode and derive. If one does not hold together, find it, leave it out, and derive from the others."""
    taken: list[_Taken] = []
    rejected: list[RejectedBatch] = []
    for batch in batches:
        try:
            taken.append(_Taken(batch, decode_columns(batch.header, batch.body)))
        except ProtocolError as error:
            rejected.append(_rejected(batch.header, str(error)))
    try:
        return _Prepared(taken, derive([one.columns for one in taken]), rejected)
    except ProtocolError:
        sound = []
        for one in taken:
            try:
                derive([one.columns])
            except ProtocolError as error:
                rejected.append(_rejected(one.batch.header, str(error)))
            else:
                sound.append(one)
        return _Prepared(sound, derive([one.columns for one in sound]), rejected)


def _summary(columns: BatchColumns) -> CommittedBatch:
    header = columns.header
    outcomes: tuple[int, ...] = ()
    if header.iterations:
        begin = columns.starts["iterations"]
        only = one_value(columns.raw, begin, ITERATION_TYPES, _OUTCOME)
        if only is not None:
            outcomes = tuple([header.iterations if code == only[0] else 0 for code in _OUTCOMES])
        else:
            codes = decode_column(columns.raw, begin, ITERATION_TYPES, header.iterations, _OUTCOME).tobytes()
            outcomes = tuple([codes.count(code) for code in _OUTCOMES])
    return CommittedBatch(
        run=header.run,
        agent=header.agent,
        life=header.life,
        worker=header.worker,
        seq=header.seq,
        outcomes=outcomes,
        actions=header.actions,
        calls=header.calls,
        first_ns=header.first_ns - header.start_ns,
        last_ns=header.last_ns - header.start_ns,
    )


def summaries(batches: Iterable[StoredBatch]) -> Iterator[CommittedBatch]:
    """What is stored, batch by batch, as its commit once told it: for a run that is taken up again."""
    for batch in batches:
        yield _summary(decode_columns(batch.header, batch.body))


def _joined(parts: list[CommitResult]) -> CommitResult:
    fields = Derived.__struct_fields__
    derived = [part.committed.derived for part in parts]
    return CommitResult(
        tuple(key for part in parts for key in part.acks),
        tuple(rejected for part in parts for rejected in part.rejected),
        Committed(
            batches=tuple(batch for part in parts for batch in part.committed.batches),
            derived=Derived(**{name: tuple(row for one in derived for row in getattr(one, name)) for name in fields}),
        ),
    )
