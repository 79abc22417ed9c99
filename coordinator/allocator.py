"""How this process takes memory from the system: keep what was taken.

Ingest takes and gives back arrays of some 100 kB all the time. The C library's default is to return each of them to the
kernel at once, and faulting the pages in again cost more than the work on them (measured: inflating a batch 169 against
96 us, deriving from it 370 against 170 us).
"""

import ctypes

#: Parameters of mallopt(3), glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
#: The largest threshold glibc takes.
_MMAP_THRESHOLD_BYTES = 32 << 20
_TRIM_THRESHOLD_BYTES = 256 << 20
_TOP_PAD_BYTES = 16 << 20


def keep_memory() -> bool:
    """Have malloc keep up to 256 MiB of freed memory in this process; call it once, when the process begins.

    Returns:
        Whether it took effect; a C library other than glibc has no such setting, and needs none to be correct.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    settings = (
        (_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES),
        (_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES),
        (_M_TOP_PAD, _TOP_PAD_BYTES),
    )
    took = [library.mallopt(parameter, value) == 1 for parameter, value in settings]
    return all(took)
