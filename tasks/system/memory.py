"""How this process's memory is kept."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_what_is_freed(most: int = 2**30) -> bool:
    """Let this process keep so many bytes or so of what it frees, for its next step; says whether that can be asked for here (glibc).

    A step of a training, and a pass of a server's network, gives back and asks anew for the same blocks of many megabytes. Left alone, the
    C library returns them to the kernel, which has to clear every page of them again. A training reaches the most that it holds in each
    step, so this hardly adds to it; a stage that is done with a large part early goes on holding what that part took.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(parameter, most) == 1 for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
