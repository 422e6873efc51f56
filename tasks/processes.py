"""Processes that end together: what a child asks of the kernel so that it never outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `number` to this process when its parent, the process `parent`, dies (Linux).

    The parent passes its own id, so that a parent that died before this call is noticed as well. A parent counts as dead when the
    thread that started this process ends, so children are started from a thread that lives as long as they should.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)


_SCHEDULER = "GANTRY_SCHEDULER"


def be_scheduler() -> None:
    """Mark this process, in the environment of its children, as the one that runs scheduled flows."""
    os.environ[_SCHEDULER] = str(os.getpid())


def die_with_scheduler() -> None:
    """End with `gantry schedule`, if this process was started by it."""
    scheduler = os.environ.get(_SCHEDULER)
    if scheduler is not None and int(scheduler) != os.getpid():
        die_with(int(scheduler))
