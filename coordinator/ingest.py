"""Stage 8/10 · Ingest: batches from the wire into the store, each exactly once.

Rules: all waiting batches go in one transaction, with all that is derived from them, and are acknowledged after it.
A batch that is already stored is acknowledged again and has no effect. One that cannot be taken, ever, is rejected
with a reason; the others of its commit are not touched by it. Only the store itself can fail: then nothing was stored
and nothing is acknowledged, and the same batches may be committed again.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from osbench.common.error import NotFoundError, ProtocolError
from osbench.common.record import MAX_ROWS, BatchHeader, BatchKey
from osbench.coordinator.columns import POSITIONS, BatchColumns, decode_columns
from osbench.coordinator.derive import derive
from osbench.coordinator.store.contract import Records
from osbench.coordinator.store.values import Derived, StoredBatch

#: Rows looked at together; a group above it is committed in parts.
MAX_GROUP_ROWS = MAX_ROWS

_OUTCOME = POSITIONS["iterations"]["outcome"]


class RejectedBatch(NamedTuple):
    """A batch that cannot be taken, and why."""

    key: BatchKey
    reason: str


class CommittedBatch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A batch that was stored for the first time: `outcomes` counts its iterations by number of their outcome."""

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


class Ingest:
    """Commits batches. Not thread-safe: one at a time."""

    def __init__(self, store: Records) -> None:
        self._store = store
        #: Runs seen in the store; a run does not come back under its id, so only their absence is looked up again.
        self._known_runs: set[str] = set()

    def commit(self, batches: Sequence[tuple[BatchHeader, bytes, bytes]]) -> CommitResult:
        """Store batches.

        Args:
            batches: header, its bytes, body, as common/wire.decode_batch_frames gives them, in order of arrival.

        Raises:
            StoreError: the store failed. Nothing of the part under way is stored; what was not acknowledged can be
                committed again, whatever became of it.
        """
        acks: list[BatchKey] = []
        rejected: list[RejectedBatch] = []
        committed: list[Committed] = []
        wanted = self._of_known_runs([StoredBatch(header, body) for header, _, body in batches], rejected)
        for group in _groups(wanted):
            taken = _decode(group, rejected)
            try:
                committed.append(self._commit_group(taken, rejected, acks))
            except NotFoundError:
                # A run was deleted since it was last seen here.
                self._known_runs.clear()
                still = {id(batch) for batch in self._of_known_runs([one.batch for one in taken], rejected)}
                taken = [one for one in taken if id(one.batch) in still]
                committed.append(self._commit_group(taken, rejected, acks))
        return CommitResult(tuple(acks), tuple(rejected), _joined(committed))

    def _of_known_runs(self, batches: list[StoredBatch], rejected: list[RejectedBatch]) -> list[StoredBatch]:
        missing = {batch.header.run for batch in batches} - self._known_runs
        if missing:
            self._known_runs |= self._store.runs_known(sorted(missing))
        wanted = []
        for batch in batches:
            if batch.header.run in self._known_runs:
                wanted.append(batch)
            else:
                rejected.append(RejectedBatch(batch.header.key, "its run is not in the store"))
        return wanted

    def _commit_group(self, taken: list[_Taken], rejected: list[RejectedBatch], acks: list[BatchKey]) -> Committed:
        """One transaction. What is derived is worked out before it, for the case that all batches are new."""
        taken, derived = _derive_sound(taken, rejected)
        if not taken:
            return Committed()
        kept = derived

        def derive_new(new: Sequence[int]) -> Derived:
            nonlocal kept
            if len(new) < len(taken):
                kept = derive([taken[position].columns for position in new])
            return kept

        new = self._store.batches_add([one.batch for one in taken], derive_new)
        acks.extend(one.batch.header.key for one in taken)
        if not new:
            return Committed()
        return Committed(batches=tuple(_summary(taken[position].columns) for position in new), derived=kept)


def _groups(batches: list[StoredBatch]) -> Iterator[list[StoredBatch]]:
    """Cut so that no group has more than MAX_GROUP_ROWS rows, unless a batch alone has."""
    group: list[StoredBatch] = []
    rows = 0
    for batch in batches:
        header = batch.header
        size = header.iterations + header.actions + header.calls + header.health + header.hosts
        if group and rows + size > MAX_GROUP_ROWS:
            yield group
            group, rows = [], 0
        group.append(batch)
        rows += size
    if group:
        yield group


def _decode(batches: list[StoredBatch], rejected: list[RejectedBatch]) -> list[_Taken]:
    taken = []
    for batch in batches:
        try:
            taken.append(_Taken(batch, decode_columns(batch.header, batch.body)))
        except ProtocolError as error:
            rejected.append(RejectedBatch(batch.header.key, str(error)))
    return taken


def _derive_sound(taken: list[_Taken], rejected: list[RejectedBatch]) -> tuple[list[_Taken], Derived]:
    """Derive from all; if one of them does not hold together, find it, leave it out, and derive from the others."""
    try:
        return taken, derive([one.columns for one in taken])
    except ProtocolError:
        sound = []
        for one in taken:
            try:
                derive([one.columns])
            except ProtocolError as error:
                rejected.append(RejectedBatch(one.batch.header.key, str(error)))
            else:
                sound.append(one)
        return sound, derive([one.columns for one in sound])


def _summary(columns: BatchColumns) -> CommittedBatch:
    header = columns.header
    outcomes = np.bincount(columns.iterations[_OUTCOME]).tolist() if columns.iterations else []
    return CommittedBatch(
        run=header.run,
        agent=header.agent,
        life=header.life,
        worker=header.worker,
        seq=header.seq,
        outcomes=tuple(outcomes),
        actions=header.actions,
        calls=header.calls,
        first_ns=header.first_ns - header.start_ns,
        last_ns=header.last_ns - header.start_ns,
    )


def summaries(batches: Iterable[StoredBatch]) -> Iterator[CommittedBatch]:
    """What is stored, batch by batch, as its commit once told it: for a run that is taken up again."""
    for batch in batches:
        yield _summary(decode_columns(batch.header, batch.body))


def _joined(parts: list[Committed]) -> Committed:
    if len(parts) == 1:
        return parts[0]
    fields = Derived.__struct_fields__
    return Committed(
        batches=tuple(batch for part in parts for batch in part.batches),
        derived=Derived(
            **{name: tuple(row for part in parts for row in getattr(part.derived, name)) for name in fields}
        ),
    )
