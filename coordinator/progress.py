"""What a task under way tells about itself, how it is asked to end, and what came of it.

Rules: values and ports only. Whoever runs a task (coordinator/local_run) makes these; whoever shows it (the command line)
takes them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from osbench.coordinator.run_events import RunPhase
from osbench.coordinator.verdict import Verdict, exit_code


class Phase(StrEnum):
    """What is done at the moment, in the words that the user reads."""

    STARTING = "starting agents"
    PREPARING = "setting up"
    BRIEFING = "preparing agents"
    ARMING = "arming"
    RUNNING = "running"
    DRAINING = "draining"
    ENDING = "collecting"
    CLEANING = "cleaning up"
    DONE = "done"


#: What a phase of the run state machine is called for the user.
SHOWN_PHASES = {
    RunPhase.PLANNED: Phase.BRIEFING,
    RunPhase.PREPARING: Phase.BRIEFING,
    RunPhase.ARMING: Phase.ARMING,
    RunPhase.RUNNING: Phase.RUNNING,
    RunPhase.DRAINING: Phase.DRAINING,
    RunPhase.ENDING: Phase.ENDING,
    RunPhase.DONE: Phase.DONE,
    RunPhase.ABORTED: Phase.DONE,
}


#: Where a count is not known.
UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressUpdate:
    """How far a task is; several a second at most.

    Attributes:
        workload: number of the one under way, from 1. workloads: of how many.
        scenario: its name. detail: more about the phase, e.g. `users: 20 of 150`.
        elapsed_ns: since the start of the load, 0 before. expected_ns: length of the load if the plan knows it.
        planned: iterations in all, None where only time ends the load.
        started, ended, failed, dropped: iterations so far; failed are among the ended.
        in_flight: iterations now, UNKNOWN where nobody tells. rate_hz: that ended in the last seconds, a second.
        p95_us: of successful iterations so far, microseconds; None before the first.
        agents: that take part, of those asked for.
        warning: something the user should know now, e.g. a lost agent; shown once for each text.
    """

    task: str
    workload: int
    workloads: int
    scenario: str
    phase: Phase
    detail: str = ""
    elapsed_ns: int = 0
    expected_ns: int | None = None
    planned: int | None = None
    started: int = 0
    ended: int = 0
    failed: int = 0
    dropped: int = 0
    in_flight: int = 0
    rate_hz: float = 0.0
    p95_us: int | None = None
    agents: int = 0
    warning: str = ""

    @property
    def share_done(self) -> float | None:
        """How much of the load is done, 0 to 1, by iterations or else by time; None if nothing tells."""
        if self.phase in (Phase.CLEANING, Phase.DONE):
            return 1.0
        shares = []
        if self.planned:
            shares.append((self.ended + self.dropped) / self.planned)
        if self.expected_ns and self.planned is None:
            shares.append(self.elapsed_ns / self.expected_ns)
        return min(1.0, max(shares)) if shares else None


class RunControls(Protocol):
    """How a task under way is asked to end. Both return at once; the task's own end comes later."""

    def drain(self) -> None:
        """Start no more iterations, let those in flight end, clean up."""
        ...

    def stop(self) -> None:
        """End the iterations in flight now, clean up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """What came of a task.

    Attributes:
        verdicts: of its runs. is_aborted: the user ended it. is_sla_abort: it was ended since a criterion had failed.
        failure: why it could not go on, empty otherwise.
    """

    task: str
    verdicts: tuple[Verdict, ...] = ()
    is_aborted: bool = False
    is_sla_abort: bool = False
    failure: str = ""

    def exit_code(self, *, require_valid: bool) -> int:
        """What the command line ends with."""
        return exit_code(
            self.verdicts,
            is_aborted=self.is_aborted,
            is_failed=bool(self.failure),
            is_sla_abort=self.is_sla_abort,
            require_valid=require_valid,
        )
