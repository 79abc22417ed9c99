"""The coordinator's clock, the same after each restart.

Rules: what agents were told to start at, and what is saved of a run, is in the coordinator's time, so a restarted process
must go on with the same axis. Within one boot of the machine that is exact: the offset to the monotonic clock is kept.
After a boot the monotonic clock begins anew, and the axis goes on by the wall time that passed, as true as that is.
"""

from pathlib import Path

import msgspec

from osbench.common.clock import SystemClock, random_offset_ns
from osbench.common.error import OsbenchError
from osbench.common.known_process import boot_number
from osbench.common.private_file import write_private


class ClockAnchor(msgspec.Struct, frozen=True, kw_only=True):
    """Where the axis stood at a moment.

    Attributes:
        boot: of the machine. offset_ns: coordinator's time minus monotonic time in that boot.
        clock_ns, wall_ns: coordinator's time and wall time at one moment of it.
    """

    boot: int
    offset_ns: int
    clock_ns: int
    wall_ns: int


def anchored_clock(path: Path, boot: int | None = None, fresh: SystemClock | None = None) -> SystemClock:
    """The clock of the coordinator whose anchor is at `path`; made there at first.

    Args:
        boot: number of this boot; None for this machine's. fresh: the clock of a coordinator that begins; None for one
            with a random offset.

    Raises:
        OsbenchError: the file is there and cannot be read or written.
    """
    boot = boot_number() if boot is None else boot
    plain = SystemClock(offset_ns=0)
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=ClockAnchor)
    except FileNotFoundError:
        clock = fresh or SystemClock(offset_ns=random_offset_ns())
    except (OSError, msgspec.MsgspecError) as error:
        raise OsbenchError(f"{path}: {error}; without it no run that is under way can be taken up again") from error
    else:
        passed_ns = plain.wall_ns() - kept.wall_ns
        same_boot = boot == kept.boot
        clock = SystemClock(offset_ns=kept.offset_ns if same_boot else kept.clock_ns + passed_ns - plain.now_ns())
    anchor = ClockAnchor(boot=boot, offset_ns=clock.offset_ns, clock_ns=clock.now_ns(), wall_ns=clock.wall_ns())
    try:
        write_private(path, msgspec.json.encode(anchor))
    except OSError as error:
        raise OsbenchError(f"{path}: {error.strerror}") from error
    return clock
