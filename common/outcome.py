"""What became of something the load did: the cloud's answers are data, never exceptions."""

from enum import IntEnum


class Outcome(IntEnum):
    """Outcome of an iteration, an action or a call. The numbers are part of the record format: none is reused.

    OK: it ended as asked. FAILED: it ended otherwise, and is known not to have taken effect as asked. UNKNOWN: no full
    answer came, so it may or may not have taken effect (a create that timed out). LOST: it was started and its
    record is gone; never written by an agent, only concluded by the coordinator. DROPPED: it was due and was not
    started, because of the cap on iterations in flight.
    """

    OK = 0
    FAILED = 1
    UNKNOWN = 2
    LOST = 3
    DROPPED = 4
