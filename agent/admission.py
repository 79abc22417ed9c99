"""Whether the coordinator takes this agent, and how often one that it refused asks again.

Rules: pure; times are told. The first refusal is answered with a hello at once, since a coordinator that was started anew
refuses everybody until they say hello; one that goes on refusing is asked ever more slowly.
"""

from dataclasses import dataclass

from osbench.common.clock import NS_PER_S

#: Pauses between a refusal and the next hello.
BACKOFF_S = (0, 5, 10, 20, 30)
#: The same reason is logged again after so long.
REPEAT_NS = 300 * NS_PER_S


@dataclass(slots=True)
class Admission:
    """What the coordinator said last."""

    #: It has taken this life, on this connection.
    is_welcome: bool = False
    #: Why it refused; empty if it did not since the last welcome.
    reason: str = ""
    #: Refusals since the last welcome, and when the next hello may be said.
    refusals: int = 0
    next_ns: int = 0
    _logged_ns: int = 0

    def welcomed(self) -> None:
        """It has taken the agent."""
        self.is_welcome, self.reason, self.refusals, self.next_ns = True, "", 0, 0

    def disconnected(self) -> None:
        """The connection is gone, or a new one is there: whoever is at its other end has said nothing yet."""
        self.is_welcome, self.next_ns = False, 0

    def refused(self, reason: str, now_ns: int) -> bool:
        """It has refused the agent; returns whether that is worth a line in the log."""
        is_news = reason != self.reason or now_ns >= self._logged_ns + REPEAT_NS
        if is_news:
            self._logged_ns = now_ns
        self.is_welcome, self.reason = False, reason
        self.next_ns = now_ns + BACKOFF_S[min(self.refusals, len(BACKOFF_S) - 1)] * NS_PER_S
        self.refusals += 1
        return is_news

    def may_greet(self, now_ns: int) -> bool:
        """Whether a hello may be said now."""
        return now_ns >= self.next_ns
