"""How far this agent's clock is from the coordinator's, and how far off that may be.

Rules: integer nanoseconds; `now` comes in. Of the probes of the last minutes the one with the narrowest bound counts,
which is nearly always the one with the shortest round trip: queues only ever make a trip longer (RFC 5905, section 10).

    agent    t1 ─────probe────▶            ◀────reply───── t4        round trip  d = (t4 - t1) - (t3 - t2)
    coordinator            t2 ─── reads ─── t3                       agent - coordinator = ((t1 - t2) + (t4 - t3)) / 2
                                                                     bound of its error  = d / 2 + age * drift
"""

from collections import deque
from dataclasses import dataclass

from osbench.common.clock import NS_PER_S

#: Probes at a join, and the pause between two of them.
BURST = 20
BURST_EVERY_NS = NS_PER_S // 50
#: Pause between two probes afterwards.
PROBE_EVERY_NS = 5 * NS_PER_S
#: Samples kept.
WINDOW = 60
#: How fast two clocks may drift apart: 50 parts per million, as two plain crystals do.
DRIFT_PPM = 50


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """This agent's clock minus the coordinator's, and the bound of its error, in nanoseconds."""

    offset_ns: int
    error_ns: int


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One probe that came back."""

    at_ns: int
    offset_ns: int
    round_trip_ns: int

    def error_ns(self, now_ns: int) -> int:
        """Bound of its error, which grows with its age."""
        return (self.round_trip_ns + 1) // 2 + max(now_ns - self.at_ns, 0) * DRIFT_PPM // 1_000_000 + 1


class ClockFit:
    """Probes in, the best estimate out; says itself when to probe."""

    def __init__(self) -> None:
        #: Samples of this acquaintance, oldest first.
        self._samples: deque[ClockSample] = deque(maxlen=WINDOW)
        #: Probes sent before this belong to an earlier acquaintance: their answers may be of another clock.
        self._since_ns = 0
        #: Probes of the burst not sent yet.
        self._burst_left = 0
        #: Between two probes; a short lease needs more of them.
        self.probe_every_ns = PROBE_EVERY_NS
        #: When the next probe is due; None before the first acquaintance.
        self._due_ns: int | None = None

    def restart(self, now_ns: int) -> None:
        """Forget all: the coordinator may be another process with another clock. A burst follows."""
        self._samples.clear()
        self._since_ns = now_ns
        self._burst_left = BURST
        self._due_ns = now_ns

    def take_probe(self, now_ns: int) -> bool:
        """Whether a probe is due now; if so, it counts as sent. To be asked until there is none."""
        if self._due_ns is None or now_ns < self._due_ns:
            return False
        self._burst_left = max(self._burst_left - 1, 0)
        # A burst keeps its pace however rarely this is asked; what follows it need not be made up for.
        self._due_ns = self._due_ns + BURST_EVERY_NS if self._burst_left else now_ns + self.probe_every_ns
        return True

    def add(self, probe_sent_ns: int, received_ns: int, replied_ns: int, now_ns: int) -> bool:
        """Take a reply in.

        Args:
            probe_sent_ns: t1, this agent's clock. received_ns, replied_ns: t2 and t3, the coordinator's.
            now_ns: t4, when the reply came.

        Returns:
            Whether it is an answer to a probe of this acquaintance, and makes sense.
        """
        round_trip_ns = (now_ns - probe_sent_ns) - (replied_ns - received_ns)
        if probe_sent_ns < self._since_ns or probe_sent_ns > now_ns or replied_ns < received_ns or round_trip_ns < 0:
            return False
        offset_ns = ((probe_sent_ns - received_ns) + (now_ns - replied_ns)) // 2
        sample = ClockSample(now_ns, offset_ns, round_trip_ns)
        best = self.estimate(now_ns)
        if best is not None and abs(best.offset_ns - offset_ns) > best.error_ns + sample.error_ns(now_ns):
            # No offset fits both: one of the clocks was set anew. What was learnt before is worth nothing.
            self._samples.clear()
            self._burst_left, self._due_ns = BURST, now_ns
        self._samples.append(sample)
        return True

    def estimate(self, now_ns: int) -> ClockEstimate | None:
        """The best there is; None before the first reply."""
        if not self._samples:
            return None
        best = min(self._samples, key=lambda sample: sample.error_ns(now_ns))
        return ClockEstimate(best.offset_ns, best.error_ns(now_ns))
