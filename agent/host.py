"""The load host itself, once a second: how busy its cores, memory and network are."""

from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from osbench.common.record import HostRow


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


def _permille(share: float) -> int:
    return min(max(round(share * 1000), 0), 1000)
