"""What a run answers to the event at hand, as its parts put it together.

Rules: one for each run, begun anew at each event. What is noted here is said in the order it was noted; whether something
must be saved first, and whether the account that was handed out still holds, is collected here too.
"""

from osbench.coordinator.run_events import NoteEvent, RunInstruction


class RunAnswer:
    """The answer to one event, and what stays from event to event until somebody acts on it."""

    def __init__(self) -> None:
        #: Time of the event, and start of the run, on the coordinator's clock; the start is 0 before it is decided.
        self.now_ns = 0
        self.start_ns = 0
        #: What others are told, without orders.
        self.said: list[RunInstruction] = []
        #: Something is decided that is not saved.
        self.is_dirty = False
        #: An accounting that was handed out does not hold any more.
        self.is_outdated = False
        #: When the last news of a batch came.
        self.moved_ns = 0

    def begin(self, now_ns: int, start_ns: int) -> None:
        """Another event."""
        self.now_ns, self.start_ns = now_ns, start_ns
        self.said, self.is_dirty = [], False

    def news(self) -> None:
        """Something of what became of the batches is known now."""
        self.moved_ns = self.now_ns
        self.is_outdated = True

    def note(self, kind: str, agent: str = "", worker: int = -1, text: str = "") -> None:
        """Have something written down; kinds are told in `NoteEvent`."""
        at_ns = self.now_ns - self.start_ns if self.start_ns else 0
        self.said.append(NoteEvent(kind=kind, agent=agent, worker=worker, at_ns=at_ns, text=text))
