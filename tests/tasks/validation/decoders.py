"""Processes that decode, looked for among a process's children."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def children() -> set[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    if not path.exists():
        pytest.skip("this kernel does not list a process's children")
    return {int(child) for child in path.read_text().split()} - {_tracker()}


def workers() -> set[int]:
    return {child for child in children() if "spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes().decode()}


def _tracker() -> int | None:
    """Python's own helper for shared memory and semaphores; it ends with this process."""
    from multiprocessing import resource_tracker

    return resource_tracker._resource_tracker._pid
