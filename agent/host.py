"""The load host itself, once a second: how busy its cores, memory and network are, and the records of that."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from osbench.agent.recorder import Recorder
from osbench.agent.spool import SpoolFullError, SpoolWriter, scan_segment, segment_path
from osbench.agent.spool_folder import SpoolFolder
from osbench.agent.spool_index import SpoolIndex
from osbench.common.record import SUPERVISOR, BatchIdentity, HostRow

log = logging.getLogger(__name__)


@dataclass(slots=True)
class HostMeter:
    """Reads the host's counters; each row tells what changed since the one before."""

    spool_bytes: Callable[[], int]
    _sent: int = 0
    _received: int = 0
    _steal: float = 0.0
    _total: float = field(default=0.0)

    def begin(self) -> None:
        """Start counting now."""
        psutil.cpu_percent(percpu=True)
        counters = psutil.net_io_counters(nowrap=False)
        self._sent, self._received = counters.bytes_sent, counters.bytes_recv
        times = psutil.cpu_times()
        self._steal, self._total = getattr(times, "steal", 0.0), sum(times)

    def row(self, stamp_ns: int) -> HostRow:
        """One row, stamped by the agent's clock."""
        cores = psutil.cpu_percent(percpu=True) or [0.0]
        counters = psutil.net_io_counters(nowrap=False)
        times = psutil.cpu_times()
        steal, total = getattr(times, "steal", 0.0), sum(times)
        stolen = (steal - self._steal) / max(total - self._total, 1e-9)
        row = HostRow(
            stamp_ns=stamp_ns,
            core_max_permille=_permille(max(cores) / 100),
            cpu_permille=_permille(sum(cores) / len(cores) / 100),
            memory_permille=_permille(psutil.virtual_memory().percent / 100),
            sent_bytes=counters.bytes_sent - self._sent,
            received_bytes=counters.bytes_recv - self._received,
            steal_permille=_permille(stolen),
            spool_bytes=self.spool_bytes(),
        )
        self._sent, self._received = counters.bytes_sent, counters.bytes_recv
        self._steal, self._total = steal, total
        return row


class HostRecords:
    """Writes the host's rows into the spool: batches like any others, of the supervisor as a worker of its own.

    Args:
        agent, life: whose. folder, index: of the spool.
    """

    def __init__(self, agent: str, life: int, folder: SpoolFolder, index: SpoolIndex) -> None:
        self._agent = agent
        self._life = life
        self._folder = folder
        self._index = index
        self._runs: dict[str, tuple[Recorder, SpoolWriter]] = {}

    def add(self, run: str, start_ns: int, row: HostRow) -> bool:
        """Spool a second of the host during a run; False if there was no room for it.

        Args:
            start_ns: of the run, on this agent's clock.
        """
        if run not in self._runs:
            identity = BatchIdentity(run=run, agent=self._agent, life=self._life, worker=SUPERVISOR, start_ns=start_ns)
            self._runs[run] = (Recorder(identity=identity), SpoolWriter(self._folder.run(run), self._life, SUPERVISOR))
        recorder, spool = self._runs[run]
        recorder.hosts.append(row)
        try:
            number, offset = spool.write(recorder.make_batch())
        except SpoolFullError as error:
            log.warning("%s: a second of the host's counters is not kept", error)
            return False
        for entry in scan_segment(segment_path(self._folder.run(run), self._life, SUPERVISOR, number), offset):
            self._index.add(entry, is_open=True)
        return True

    def forget(self, run: str) -> None:
        """The run is over: nothing more is written of it."""
        if (held := self._runs.pop(run, None)) is not None:
            held[1].close()


def _permille(share: float) -> int:
    return min(max(round(share * 1000), 0), 1000)
