"""The processor cores that this process may really use, which is what threads and processes are counted by."""

from __future__ import annotations

import os


def usable() -> int:
    """Of the machine's cores those that the process's affinity and its control group's quota leave it, rounded up; at least 1.

    A pod or a service often has a small quota on a large host. Threads beyond it only wait for each other, each at every operation.
    """
    import loky

    return int(loky.cpu_count())


def threads(alone: bool, most: int, processes: int = 1) -> int:
    """Of a training, or of each of its processes: a share of the cores that may be used, and of `most`; one where it runs `alone`."""
    return 1 if alone else max(min(most, usable()) // processes, 1)


def described() -> str:
    """How many, in words."""
    count, there = usable(), os.cpu_count() or 1
    return f"{count} CPU cores" if count >= there else f"{count} of {there} CPU cores, as affinity or quota have it"
