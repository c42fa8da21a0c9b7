"""What a step frees is what the next step needs."""

from __future__ import annotations

import ctypes
import sys

_TRIM, _MAP = -1, -3  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (malloc.h)
_NEVER, _HUGE = 2**31 - 1, 2**30


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks below a gigabyte instead of handing them back to the kernel.

    A training step on a CPU allocates and frees hundreds of tensors of megabytes; each that comes fresh from the
    kernel is mapped page by page and cleared first. Elsewhere than with glibc on Linux this does nothing.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_TRIM, _NEVER)
            mallopt(_MAP, _HUGE)
