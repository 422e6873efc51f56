"""Processes that end together: what a child asks of the kernel so that it never outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

_PR_SET_PDEATHSIG = 1

OWN_CODE: Mapping[str, str] = {
    "PYTHONSAFEPATH": "1",
    "UVICORN_APP_DIR": str(Path(sys.executable).parent),  # what MLflow serves with would put the present folder first otherwise
}
"""The environment in which processes import nothing from the folder that they are started in.

That is the workspace, where a person may have a `tasks.py` or a folder `flows` of their own. Set where the commands and the stages begin,
so that all that they start has it.
"""


def die_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `number` to this process when its parent, the process `parent`, dies (Linux).

    The parent passes its own id, so that a parent that died before this call is noticed as well. A parent counts as dead when the
    thread that started this process ends, so children are started from a thread that lives as long as they should.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)


def end(child: subprocess.Popen[bytes], patience: float) -> None:
    """End a child that is still going, and wait for it; `patience` is how many seconds it has to save its state."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def exit_status(ended: os.waitid_result) -> int:
    """Of a child that was waited for, as `subprocess` has it: below 0 it is the signal that ended it."""
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def is_orphan_of_dvc() -> bool:
    """Whether DVC started this process and has died since, so that the system has become the parent (Linux).

    `die_with` cannot notice a parent that died before it was called, and a stage imports for a second or two before it calls it.
    """
    parent = os.getppid()
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ:
        return False
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes()
        name = Path(f"/proc/{parent}/comm").read_text().strip()
    except OSError:
        return parent == 1
    return (parent == 1 or name == "systemd") and b"dvc" not in command


_SCHEDULER = "GANTRY_SCHEDULER"


class SchedulerGoneError(BaseException):
    """The `gantry schedule` or `gantry run --all` that started this process has died, and its Prefect server with it."""


def be_scheduler() -> None:
    """Mark this process, in the environment of its children, as the one that starts flows."""
    os.environ[_SCHEDULER] = str(os.getpid())


def follow_scheduler() -> None:
    """If this process was started by `gantry schedule` or `gantry run --all`, have it end soon after that one.

    `SchedulerGoneError` is raised in its main thread, for it to clean up; it is killed if that takes longer than a minute.
    """
    scheduler = _scheduler()
    if scheduler is None:
        return

    def tell(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.alarm(60)
        raise SchedulerGoneError

    signal.signal(signal.SIGHUP, tell)
    die_with(scheduler, signal.SIGHUP)


def is_scheduler_gone() -> bool:
    """Whether the process that starts flows, and started this one, has died."""
    scheduler = _scheduler()
    return scheduler is not None and os.getppid() != scheduler


def _scheduler() -> int | None:
    number = os.environ.get(_SCHEDULER)
    return None if number is None or int(number) == os.getpid() else int(number)
