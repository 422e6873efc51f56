"""What becomes of memory that a step has freed."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT = 2**30


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 1 GiB, for the next step, which asks for the same blocks again.

    By default glibc hands large blocks back to the kernel, which has to clear them anew each time: a fourteenth of a DCGAN's step on a
    CPU. It holds for the process; the most that it takes stays the same, and so does every result. Other C libraries go on as they do.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _KEPT)
        set_option(_TRIM_THRESHOLD, _KEPT)
