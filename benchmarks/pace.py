"""A side's half of a race: it trains, and the runner says when its steps count (the other half is `benchmarks.race`).

Runs in the peers' environment too, so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPLIES = "PACE_REPLIES"
"""Environment variable with the number of the file descriptor that replies go to; printing is left to the libraries."""

_WARM_STEPS, _WARM_SECONDS = 10, 3.0


class Pace:
    """Steps in windows of time. Between windows the process waits in `step` and costs nothing."""

    def __init__(self, synchronize: Callable[[], None] = lambda: None, **facts: object) -> None:
        """`facts` is what the runner is told of this side; `synchronize` waits for what a device still computes."""
        self._replies = os.fdopen(int(os.environ[REPLIES]), "w")
        self._synchronize = synchronize
        self._facts = facts
        self._warm = False
        self._open()

    def step(self, images: int) -> bool:
        """Count a step on `images` samples; called after each. False: the race is over."""
        self._steps += 1
        self._images += images
        if time.perf_counter() < self._end or (not self._warm and self._steps < _WARM_STEPS):
            return True
        self._synchronize()
        if self._warm:
            seconds = time.perf_counter() - self._start
            self._say({"steps": self._steps, "images": self._images, "seconds": seconds, **memory()})
        else:
            self._warm = True
            self._say(self._facts)
        asked = sys.stdin.readline()
        if not asked.strip():
            return False
        self._open(float(asked))
        return True

    def _open(self, seconds: float = _WARM_SECONDS) -> None:
        self._steps = self._images = 0
        self._start = time.perf_counter()
        self._end = self._start + seconds

    def _say(self, what: dict[str, object]) -> None:
        self._replies.write(json.dumps(what) + "\n")
        self._replies.flush()


def memory() -> dict[str, object]:
    """Of this process, in MiB: the most that was resident, and what is resident now and is no page of a file."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    found = {words[0].rstrip(":"): int(words[1]) / 1024 for words in lines if words[0] in ("VmHWM:", "RssAnon:")}
    return {"peak_mib": found["VmHWM"], "anonymous_mib": found["RssAnon"]}
