"""What became of every index of a run: the values the verdict is made of.

Rules: exact. Wherever the plan has a count, planned = stored + lost + not_run, where stored = ok + failed + unknown +
dropped. `lost` was started, or may have been, and has no record; `not_run` was certainly never started. Seconds count
from the start of the run.
"""

import msgspec


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Iterations that have no record, of one worker and for one reason.

    Attributes:
        kind: `lost` or `not_run`.
        first_second, last_second: between which it happened, as narrow as is known; -1 where there is no start yet.
    """

    kind: str
    agent: str
    life: int
    worker: int
    count: int
    first_second: int
    last_second: int
    reason: str


class WorkerAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's line.

    Attributes:
        owned: indices that were its own: started by it, or nobody knows whether it did.
        state: how it ended: ended, died, forgotten (no mark of it was found after a restart), silent (its agent was
            lost and did not come back).
        batches, last_seq: batches stored, and number of the last it wrote, as far as is known.
    """

    agent: str
    life: int
    worker: int
    state: str
    owned: int
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    dropped: int = 0
    lost: int = 0
    batches: int = 0
    last_seq: int = 0

    @property
    def stored(self) -> int:
        """Iterations with a record."""
        return self.ok + self.failed + self.unknown + self.dropped


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run. `planned` None: only its duration ended it, so nothing can be `not_run`."""

    planned: int | None
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    dropped: int = 0
    lost: int = 0
    not_run: int = 0
    workers: tuple[WorkerAccount, ...] = ()
    losses: tuple[Loss, ...] = ()

    @property
    def stored(self) -> int:
        """Iterations with a record."""
        return self.ok + self.failed + self.unknown + self.dropped

    @property
    def is_complete(self) -> bool:
        """Whether every index that was to run has its record."""
        return not self.lost and not self.not_run
