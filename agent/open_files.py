"""How many files an agent may open: each request in flight is one, and its workers inherit the limit.

Rules: an agent that may open fewer than a large load needs works all the same, for a smaller one; the coordinator is told
the limit in each hello.
"""

import resource

from osbench.common.error import InputError
from osbench.common.open_files import ensure_open_files

#: Open files below which a large load runs into the limit, and those without which nothing works.
GOOD_NOFILE = 65_536
LEAST_NOFILE = 1_024


def raise_open_files() -> int:
    """Raise this process's limit as far as it may and is of use.

    Returns:
        The limit that holds now; RLIM_INFINITY for none.
    """
    try:
        return ensure_open_files(GOOD_NOFILE)
    except InputError:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
