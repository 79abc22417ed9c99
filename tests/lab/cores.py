"""How much of a core a host may use: the kernel's quota (cgroup v1 or v2), and where there is none, a lower priority.

Rules: groups are named by the process that made them; those of processes that are gone are removed at the start.
"""

import os
from pathlib import Path

_PERIOD_US = 20_000
_ROOTS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct"), Path("/sys/fs/cgroup"))
_PREFIX = "osbench-lab-"


class CoreShare:
    """A limit that commands are started below.

    Args:
        name: of the host. cores: 0.5 is half a core.
    """

    def __init__(self, name: str, cores: float) -> None:
        self.cores = cores
        self._group = _make_group(name, cores)

    def limiting(self, *command: str) -> list[str]:
        """The command line that runs a command below the limit."""
        if self._group is None:
            return ["nice", "-n", str(round(19 * max(1.0 - self.cores, 0.0))), *command]
        # 0 is whoever writes it.
        return ["sh", "-c", 'echo 0 > "$0" && exec "$@"', str(self._group / "cgroup.procs"), *command]

    def close(self) -> None:
        """Remove it; nothing may run below it any more."""
        if self._group is not None:
            self._group.rmdir()


def sweep() -> None:
    """Remove groups that tests left that were killed."""
    for root in _ROOTS:
        for group in root.glob(f"{_PREFIX}*"):
            if not Path(f"/proc/{group.name.removeprefix(_PREFIX).partition('-')[0]}").exists():
                try:
                    group.rmdir()
                except OSError:
                    continue  # removed by another run this moment, or something in it still ends


def _make_group(name: str, cores: float) -> Path | None:
    quota_us = max(round(_PERIOD_US * cores), 1_000)
    for root in _ROOTS:
        group = root / f"{_PREFIX}{os.getpid()}-{name}"
        try:
            if (root / "cpu.cfs_quota_us").exists():
                group.mkdir()
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota_us))
                return group
            if "cpu" in _text(root / "cgroup.controllers").split():
                (root / "cgroup.subtree_control").write_text("+cpu")
                group.mkdir()
                (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
                return group
        except OSError:
            continue  # a container may see the controllers and not be allowed to use them
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
