"""What the ingest process committed, as a run wants to know it."""

from collections.abc import Iterable

from osbench.common.outcome import Outcome
from osbench.coordinator.ingest import CommittedBatch
from osbench.coordinator.run_events import StoredBatch


def stored_by_worker(
    batches: Iterable[CommittedBatch],
) -> dict[tuple[str, str, int, int], tuple[StoredBatch, ...]]:
    """Batches in the store by run, agent, life and worker, as a run wants to know them."""
    grouped: dict[tuple[str, str, int, int], list[StoredBatch]] = {}
    for batch in batches:
        counts = dict(enumerate(batch.outcomes))
        stored = StoredBatch(
            seq=batch.seq,
            ok=counts.get(Outcome.OK, 0),
            failed=counts.get(Outcome.FAILED, 0),
            unknown=counts.get(Outcome.UNKNOWN, 0),
            dropped=counts.get(Outcome.DROPPED, 0),
            first_ns=batch.first_ns,
            last_ns=batch.last_ns,
        )
        grouped.setdefault((batch.run, batch.agent, batch.life, batch.worker), []).append(stored)
    return {key: tuple(stored) for key, stored in grouped.items()}
