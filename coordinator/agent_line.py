"""An agent as the coordinator sees it at this moment: what `osbench agent list` and the API show.

Rules: a value; the roster and the store's list of agents are its sources, and nobody decides anything by it. Where
nothing is known yet (an agent that was invited and never came) the numbers are 0 and the words empty.
"""

from enum import StrEnum

import msgspec


class Standing(StrEnum):
    """How an agent stands with the coordinator; the words of the API and of the command line."""

    CONNECTED = "connected"
    SUSPECT = "suspect"
    LOST = "lost"
    EXPECTED = "expected"
    NEVER_SEEN = "never seen"
    REVOKED = "revoked"


class AgentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One agent.

    Attributes:
        name: unique. standing: see `Standing`. is_drained: it gets no new work until that is undone.
        life: of its process. version: its release. labels: free words. address: where it is connected from.
        workers, cores, memory_bytes, nofile: of its host, as it said when it came.
        run: id of the run it takes part in, empty for none.
        cpu_permille, memory_permille: of its host, newest report.
        unacked: batches in its spool that are not committed yet. spool_bytes: size of its spool.
        offset_ns: its clock minus the coordinator's. offset_error_ns: bound of that, -1 unknown.
        heard_ago_s: since its last sign of life, None if it never gave one.
    """

    name: str
    standing: Standing
    is_drained: bool = False
    life: int = 0
    workers: int = 0
    cores: int = 0
    memory_bytes: int = 0
    nofile: int = 0
    labels: tuple[str, ...] = ()
    version: str = ""
    run: str = ""
    cpu_permille: int = 0
    memory_permille: int = 0
    unacked: int = 0
    spool_bytes: int = 0
    offset_ns: int = 0
    offset_error_ns: int = -1
    heard_ago_s: float | None = None
    address: str = ""
