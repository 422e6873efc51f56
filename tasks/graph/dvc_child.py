"""DVC as a child that cannot be orphaned: `python -m tasks.graph.dvc_child PARENT ARGUMENTS...` is `dvc ARGUMENTS...`.

The process leads a session of its own, so it, the shell that it starts and the stage are one process group. SIGTERM, sent by the
parent or by the kernel at the parent's death, is passed on to the stage once. DVC then waits for the stage to save its state, and
whatever is left after the grace period is killed.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

from tasks.system.imports import all_imported
from tasks.system.processes import die_with

GRACE = 20.0
"""Seconds that a stage has to end after SIGTERM."""


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _kill)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    if _has_children():
        os.killpg(0, signal.SIGTERM)
    else:
        raise KeyboardInterrupt  # DVC is hashing or copying on its own: it takes this as its order to leave and to free its locks


def _kill(number: int, frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def main() -> None:
    """Bind this process's life to its parent's and run DVC."""
    signal.signal(signal.SIGTERM, _stop)
    die_with(int(sys.argv[1]))
    from dvc.cli import main as dvc

    all_imported()
    code = dvc(sys.argv[2:])
    gc.freeze()  # as at the end of a stage
    sys.exit(code)


if __name__ == "__main__":
    main()
