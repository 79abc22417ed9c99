"""A task's progress as server-sent events (the WHATWG HTML standard, 9.2), written by the API, read by its client.

    id: 17
    event: progress
    data: {"task": …, "phase": "running", …}

Rules: an event is one of queued (QueuePlace), progress (ProgressUpdate), outcome (TaskOutcome: the last one) and fault
(FaultBody: the last one too). Each is absolute, so that whoever comes back after a cut needs no more than the newest; ids
only go on counting. A line that begins with a colon keeps the connection alive.
"""

from typing import Final

import msgspec

from osbench.coordinator.api.fault import FaultBody
from osbench.coordinator.progress import ProgressUpdate, TaskOutcome
from osbench.coordinator.task_line import QueuePlace

ToldEvent = QueuePlace | ProgressUpdate | TaskOutcome | FaultBody

KIND_OF: Final[dict[type[ToldEvent], str]] = {
    QueuePlace: "queued",
    ProgressUpdate: "progress",
    TaskOutcome: "outcome",
    FaultBody: "fault",
}
TYPE_OF = {kind: type_ for type_, kind in KIND_OF.items()}
LAST_KINDS = frozenset({"outcome", "fault"})
KEEP_ALIVE = b": still here\n\n"
#: Longest line taken; an outcome holds the verdicts of all runs.
MAX_LINE = 16 * 2**20


def encode_event(number: int, event: ToldEvent) -> bytes:
    """One event; JSON has no line breaks, so its data is one line."""
    data = msgspec.json.encode(event)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, KIND_OF[type(event)].encode("ascii"), data)


class EventReader:
    """Puts events together from lines.

    Attributes:
        last_id: of the newest event, empty before the first.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, line: str) -> ToldEvent | None:
        """Take a line without its end; the event that it ends, or None. Events of a kind not known here are left out.

        Raises:
            msgspec.DecodeError: the data does not fit its kind.
        """
        if len(line) > MAX_LINE:
            raise msgspec.DecodeError(f"an event of {len(line):,} characters is longer than {MAX_LINE:,}")
        if line:
            self._take_field(*_field(line))
            return None
        kind, data = self._kind, "\n".join(self._data)
        self._kind, self._data = "", []
        if kind not in TYPE_OF or not data:
            return None
        return msgspec.json.decode(data, type=TYPE_OF[kind])

    def _take_field(self, name: str, value: str) -> None:
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self.last_id = value


def _field(line: str) -> tuple[str, str]:
    """Name and value; the name of a comment is empty."""
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")
