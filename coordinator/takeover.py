"""Who takes what others left: the rests of workers that are gone, divided over those that are there.

Rules: whoever is ready or running takes part, spread over agents first, so that few slots go to many hosts. A rest that
nobody can take waits for somebody, a replacement or an agent that joins, but not for ever.
"""

from collections.abc import Iterable, Mapping

from osbench.coordinator.ledger import Ledger
from osbench.coordinator.run_answer import RunAnswer
from osbench.coordinator.run_events import RunSettings
from osbench.coordinator.run_parts import AgentPart
from osbench.coordinator.run_snapshot import WorkerKey


def takers(parts: Iterable[AgentPart]) -> list[WorkerKey]:
    """Workers that can take something now."""
    found = []
    for part in parts:
        report = part.report
        if not part.can_take or report is None:
            continue
        able = sorted(
            WorkerKey(part.agent, part.life, worker.worker)
            for worker in report.workers
            if worker.state in ("ready", "running")
        )
        # The newest report may still be older than what is known: after a restart nothing is known of sequences.
        found += [(place, key) for place, key in enumerate(able) if key in part.live]
    return [key for _, key in sorted(found)]


class Takeover:
    """The rests of a run.

    Args:
        parts: all agents of the run. ledger: who owns what. answer: to the event at hand. settings: how patient it is.
    """

    def __init__(
        self, parts: Mapping[str, AgentPart], ledger: Ledger, answer: RunAnswer, settings: RunSettings
    ) -> None:
        self._parts = parts
        self._ledger = ledger
        self._answer = answer
        self._settings = settings

    def hand_out(self, due_ns: int, revision: int) -> None:
        """Find somebody for what others left.

        Args:
            due_ns: what is due earlier, after the start of the run, would be late in another worker (open loop).
            revision: of the orders that will name the new shares.
        """
        count, now_ns = len(self._ledger.rests), self._answer.now_ns
        if able := takers(self._parts.values()):
            for division in self._ledger.hand_out(able, now_ns, due_ns, revision):
                source = self._ledger.held[division.source_epoch, division.source_owner].key
                text = f"rest of worker {source.worker} of agent {source.agent} goes to {len(able)} workers"
                self._answer.note("rest_divided", source.agent, source.worker, text)
                for key in division.takers:
                    self._parts[key.agent].is_stale = True
        else:
            why = "no worker was left that could take it"
            self._ledger.give_up(now_ns, why, older_than_ns=now_ns - self._settings.takeover_wait_ns)
        self._answer.is_dirty |= len(self._ledger.rests) != count

    def give_up(self, why: str) -> None:
        """Nothing more is started: what is left is not run."""
        if self._ledger.rests:
            self._ledger.give_up(self._answer.now_ns, why)
            self._answer.is_dirty = True
