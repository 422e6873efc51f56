"""Who is at work: locks that the operating system frees when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from gan_core.errors import BusyError
from tasks.system.gpu import VISIBLE, devices, will_use_cuda
from tasks.workspace import Workspace

_RETRAINED = "{} is being retrained"


def check_free(workspace: Workspace, name: str) -> None:
    """See that nobody retrains `name` in this workspace.

    Raises:
        BusyError: somebody does; names the process.
    """
    with _opened(workspace, name) as file:
        _take(file, _RETRAINED.format(name))


@contextmanager
def retraining(workspace: Workspace, name: str) -> Iterator[None]:
    """Be the only one who retrains `name` in this workspace.

    Raises:
        BusyError: somebody else does; names the process.
    """
    with _held(workspace, name, _RETRAINED.format(name)):
        yield


@contextmanager
def sweeping(workspace: Workspace, name: str) -> Iterator[None]:
    """Be the only one who sweeps `name`'s parameters in this workspace; it may be retrained meanwhile.

    Raises:
        BusyError: somebody else does; names the process.
    """
    with _held(workspace, f"{name}.sweep", f"{name} is being swept"):
        yield


@contextmanager
def copying(workspace: Workspace, name: str) -> Iterator[None]:
    """Be the only one who copies `name` from one registry to another in this workspace.

    Raises:
        BusyError: somebody else does; names the process.
    """
    with _held(workspace, f"{name}.copy", f"{name} is being copied"):
        yield


@contextmanager
def gpu(on_wait: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Have one of this machine's GPUs to oneself, among this user's stages; waits for its turn.

    The guard of the machine. Across machines, the limit `gpu` of a Prefect server is what people see and set.

    Args:
        on_wait: told once, in words, that there is something to wait for.

    Yields:
        The environment by which the stage sees no other GPU; empty where the machine's GPUs cannot be told apart.
    """
    folder, user = Path(tempfile.gettempdir()), os.getuid()
    names = devices() or ("",)
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"gantry-gpu-{user}{_suffix(name)}.lock").open("a")) for name in names]
        waited = False
        # Not one blocking call: it would start over after each signal, and a cancelled run would wait on.
        while (free := next((name for name, file in zip(names, files, strict=True) if _try(file)), None)) is None:
            if not waited:
                on_wait("waiting for a GPU: other runs of Gantry are at work on it, or on all that there are")
                waited = True
            time.sleep(1)
        yield {VISIBLE: free} if free else {}


@contextmanager
def gpu_for(device: str, on_wait: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """As `gpu` for a training whose `train.device` will come out as CUDA; nothing is waited for, and nothing changed, for any other."""
    if not will_use_cuda(device):
        yield {}
        return
    with gpu(on_wait) as environment:
        yield environment


def _suffix(device: str) -> str:
    return f"-{device.replace('/', '_')}" if device else ""


@contextmanager
def _held(workspace: Workspace, lock: str, doing: str) -> Iterator[None]:
    with _opened(workspace, lock) as file:
        _take(file, doing)
        file.truncate(0)
        file.write(f"process {os.getpid()} since {datetime.now():%H:%M:%S}")
        file.flush()
        yield


@contextmanager
def _opened(workspace: Workspace, name: str) -> Iterator[IO[str]]:
    folder = workspace.private / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+") as file:
        yield file


def _take(file: IO[str], doing: str) -> None:
    if not _try(file):
        file.seek(0)
        raise BusyError(f"{doing} by {file.read() or 'another process'}; wait for it, or end it")


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
