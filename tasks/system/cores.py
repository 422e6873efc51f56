"""The processor cores that this process may really use, which is what threads and processes are counted by."""

from __future__ import annotations

import os
import time

_AFTER = 20
"""Seconds from which on it is told how long threads wait."""


def usable() -> int:
    """Of the machine's cores those that the process's affinity and its control group's quota leave it, rounded up; at least 1.

    A pod or a service often has a small quota on a large host. Threads beyond it only wait for each other, each at every operation.
    """
    import loky

    return int(loky.cpu_count())


def threads(alone: bool, most: int, processes: int = 1) -> int:
    """Of a training, or of each of its processes: a share of the cores that may be used, and of `most`; one where it runs `alone`."""
    return 1 if alone else max(min(most, usable()) // processes, 1)


class Crowd:
    """Notices that other programs keep the threads of a training waiting, which then wait for each other, too, at every operation.

    How many threads a training has is settled when it begins, and goes by no clock, since its weights do depend on them; so it is said.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._cores = threads, usable()
        self._begun = time.monotonic(), time.process_time()

    def noticed(self) -> str | None:
        """What is to be said, once, where less than half of the threads' time is the processor's and others wait for it."""
        seconds, spent = time.monotonic() - self._begun[0], time.process_time() - self._begun[1]
        if self._threads == 1 or seconds < _AFTER or not hasattr(os, "getloadavg"):
            return None
        share, load = spent / (seconds * self._threads), os.getloadavg()[0]
        if share >= 0.5 or load < 2 * self._cores:
            return None
        threads, self._threads = self._threads, 1
        return (
            f"other programs keep {self._cores} cores busy (load {load:.0f}): {threads} threads were at work {share:.0%} of the time, "
            "and wait for each other; a training with train.threads: 1 is faster here"
        )


def described() -> str:
    """How many, in words."""
    count, there = usable(), os.cpu_count() or 1
    return f"{count} CPU cores" if count >= there else f"{count} of {there} CPU cores, as affinity or quota have it"
