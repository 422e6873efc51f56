"""How this process's memory is kept."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT = 2**30


def keep_what_is_freed() -> bool:
    """Let this process keep up to a gigabyte of what it frees, for its next step; says whether that can be asked for here (glibc).

    A step of a training gives back and asks anew for the same blocks of many megabytes. Left alone, the C library returns them to the
    kernel, which has to clear every page of them again. The most that a training holds is reached in each step, so it does not hold more.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(parameter, _KEPT) == 1 for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
