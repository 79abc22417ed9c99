"""The account of a run drawn up from what is known: how each worker ended, what it owned, what is stored.

Rules: pure, and exact. A worker's loss is what it owned and has no record of; the reasons below share it out, the best
known first, and never explain more than was lost.
"""

from collections.abc import Iterable, Iterator

from osbench.common.clock import NS_PER_S
from osbench.coordinator.accounting import Accounting, Loss, WorkerAccount
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.run_parts import WorkerPart

#: Why something of a worker is lost that no batch explains, by its state.
UNEXPLAINED = {
    "died": "in flight, or not written yet, when the worker died",
    "forgotten": "no mark of the worker was left after the restart of its agent",
    "ended": "its batches did not arrive",
}
SILENT = "its agent was lost and did not come back; what it ran is not known"


def second_of(relative_ns: int) -> int:
    """The second of the run a time after its start lies in; -1 before it."""
    return max(relative_ns // NS_PER_S, -1)


def _lost_batches(worker: WorkerPart) -> Iterator[tuple[int, int, int, str]]:
    """Of each loss a batch explains: iterations, first and last second, reason."""
    at_second = second_of(worker.last_stored_ns)
    for seq, (iterations, reason) in sorted(worker.rejected.items()):
        yield iterations, at_second, at_second, f"batch {seq} was rejected: {reason}"
    for span in worker.lost:
        batches = (
            f"batch {span.first_seq} is"
            if span.first_seq == span.last_seq
            else (f"batches {span.first_seq} to {span.last_seq} are")
        )
        yield span.iterations, second_of(span.first_ns), second_of(span.last_ns), f"{batches} gone from the spool"


def losses_of(worker: WorkerPart, owned: int, start_ns: int, now_ns: int) -> list[Loss]:
    """What a worker lost, by reason.

    Args:
        worker: it. owned: indices that count for it.
        start_ns, now_ns: of the run, on the coordinator's clock.
    """
    left = max(owned - worker.stored, 0)
    found = []

    def take(count: int, first_second: int, last_second: int, reason: str) -> int:
        if count > 0:
            agent, life, number = worker.key
            found.append(
                Loss(
                    kind="lost",
                    agent=agent,
                    life=life,
                    worker=number,
                    count=count,
                    first_second=first_second,
                    last_second=last_second,
                    reason=reason,
                )
            )
        return count

    for iterations, first_second, last_second, reason in _lost_batches(worker):
        left -= take(min(iterations, left), first_second, last_second, reason)
    reason = UNEXPLAINED.get(worker.state, SILENT)
    if worker.error:
        reason = f"{reason} ({worker.error})"
    end_ns = worker.since_ns or now_ns
    take(left, max(second_of(worker.last_stored_ns), 0), second_of(end_ns - start_ns) if start_ns else -1, reason)
    return found


def _account(worker: WorkerPart, owned: int) -> WorkerAccount:
    agent, life, number = worker.key
    return WorkerAccount(
        agent=agent,
        life=life,
        worker=number,
        state=worker.state if worker.is_final else "silent",
        owned=owned,
        ok=worker.ok,
        failed=worker.failed,
        unknown=worker.unknown,
        dropped=worker.dropped,
        lost=max(owned - worker.stored, 0),
        batches=len(worker.committed),
        last_seq=worker.last_seq,
    )


def draw_up(ledger: Ledger, workers: Iterable[WorkerPart], start_ns: int, now_ns: int) -> Accounting:
    """The account of the whole run, as far as is known now."""
    lines, losses = [], []
    for worker in sorted(workers, key=lambda worker: worker.key):
        # A share without a known end may have gone further than was reported; what is stored was started for certain.
        owned = ledger.owned(worker.key)
        if ledger.planned is None:
            owned = max(owned, worker.stored)
        lines.append(_account(worker, owned))
        losses += losses_of(worker, owned, start_ns, now_ns)
    idle = 0
    for piece in ledger.not_run:
        agent, life, number = piece.key or ("", -1, -1)
        second = second_of(piece.at_ns - start_ns) if start_ns else -1
        idle += piece.count
        losses.append(
            Loss(
                kind="not_run",
                agent=agent,
                life=life,
                worker=number,
                count=piece.count,
                first_second=second,
                last_second=second,
                reason=piece.reason,
            )
        )
    return Accounting(
        planned=ledger.planned,
        ok=sum(line.ok for line in lines),
        failed=sum(line.failed for line in lines),
        unknown=sum(line.unknown for line in lines),
        dropped=sum(line.dropped for line in lines),
        lost=sum(line.lost for line in lines),
        not_run=idle,
        workers=tuple(lines),
        losses=tuple(losses),
    )
