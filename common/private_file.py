"""Files that only their owner may read, replaced whole.

Rules: a reader sees the old content or the new, never half of it; what was written survives a power cut.
"""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, data: bytes, *, is_durable: bool = True) -> None:
    """Make or replace a file, mode 0600 whatever it was before.

    Args:
        is_durable: whether it must survive a power cut; what is replaced each second need not.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600.
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
