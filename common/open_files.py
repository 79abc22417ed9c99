"""The limit on open files of this process: raised to what is needed, or said clearly that it is too low.

Rules: asked for at the start, before the first connection. A process that meets the limit later cannot accept, nor open a
file, and ZeroMQ's own thread spins on what it cannot take.
"""

import resource

from osbench.common.error import InputError


def ensure_open_files(needed: int, cure: str = "") -> int:
    """Raise this process's limit to what is needed; a limit that is higher already stays.

    Args:
        needed: open files, sockets among them. cure: what else would help, for the message, e.g. a smaller setting.

    Returns:
        The limit that holds now.

    Raises:
        InputError: the system does not allow so many; the message has both numbers and the cure.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _holds(soft, needed):
        return soft
    if not _holds(hard, needed):
        try:  # Whoever has the right to (root) raises the hard limit too, up to that of the kernel (fs.nr_open).
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
        except (ValueError, OSError):
            also = f", or {cure}" if cure else ""
            raise InputError(
                f"this process may open {hard} files and needs {needed}: raise the hard limit (LimitNOFILE={needed} in "
                f"the unit, `nofile` in /etc/security/limits.conf){also}"
            ) from None
        return needed
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return needed


def _holds(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
