"""Who is at work: locks that the operating system frees when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from gan_core.errors import GantryError
from tasks.workspace import Workspace

_RETRAINED = "{} is being retrained"


def check_free(workspace: Workspace, name: str) -> None:
    """See that nobody retrains `name` in this workspace.

    Raises:
        GantryError: somebody does; names the process.
    """
    with _opened(workspace, name) as file:
        _take(file, _RETRAINED.format(name))


@contextmanager
def retraining(workspace: Workspace, name: str) -> Iterator[None]:
    """Be the only one who retrains `name` in this workspace.

    Raises:
        GantryError: somebody else does; names the process.
    """
    with _held(workspace, name, _RETRAINED.format(name)):
        yield


@contextmanager
def sweeping(workspace: Workspace, name: str) -> Iterator[None]:
    """Be the only one who sweeps `name`'s parameters in this workspace; it may be retrained meanwhile.

    Raises:
        GantryError: somebody else does; names the process.
    """
    with _held(workspace, f"{name}.sweep", f"{name} is being swept"):
        yield


@contextmanager
def gpu(on_wait: Callable[[str], None]) -> Iterator[None]:
    """Be the only one of this user's stages on this machine that trains on the GPU; waits for its turn.

    The guard of runs without a shared Prefect server. There, the concurrency limit of the tag `gpu` is what people see and set.

    Args:
        on_wait: told once, in words, that there is something to wait for.
    """
    path = Path(tempfile.gettempdir()) / f"gantry-gpu-{os.getuid()}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait("waiting for the GPU, which another run of Gantry uses")
            # Not one blocking call: it would start over after each signal, and a cancelled run would wait on.
            while not _try(file):
                time.sleep(1)
        yield


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
        raise GantryError(f"{doing} by {file.read() or 'another process'}; wait for it, or end it")


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
