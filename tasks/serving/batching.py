"""Requests that wait are drawn together, in one pass of the network."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gan_core.errors import GantryError
from gan_core.generator import Generator, Order, Samples
from tasks.serving.champion import Served

PASS = 256
"""Samples that are drawn together, at most; a request of more is drawn by itself."""
_BRIEF = 0.002
"""Seconds. No other thread begins a pass beside one that is over by then; what comes meanwhile shares the next, for less than two cost."""


class QueueFullError(GantryError):
    """So much waits already that no more is taken."""

    def __init__(self, waiting: int, seconds: int) -> None:
        super().__init__(f"{waiting} requests wait already; ask again in {seconds} s")
        self.seconds = seconds


@dataclass
class _Job:
    """A request, and what is to be made of its samples."""

    served: Callable[[], Served]
    count: int
    order: Callable[[Generator], Order]
    answer: Callable[[Served, Samples, float], Any]
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Threads that draw what is asked for, in order; a context manager, which ends them when all that waits is answered."""

    def __init__(
        self,
        most_waiting: int,
        most_samples: int,
        on_batch: Callable[[int, int], None] = lambda requests, samples: None,
        threads: int = 1,
    ) -> None:
        """Nothing runs yet.

        Args:
            most_waiting: requests that may wait.
            most_samples: of which so many samples are wanted; one request alone may want more.
            on_batch: told how many requests and samples were drawn together, in whichever thread.
            threads: passes that are under way at once.
        """
        self._most_waiting, self._most_samples, self._on_batch = most_waiting, most_samples, on_batch
        self._waiting: deque[_Job] = deque()
        self._samples = 0
        self._rate = 0.0  # samples a second
        self._changed = threading.Condition()
        self._brief = False
        """Whether a pass is under way that is over soon; whoever draws it goes on with what waits by then."""
        self._ended = False
        self._threads = [threading.Thread(target=self._work, name=f"batcher {i}", daemon=True) for i in range(threads)]

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def submit(
        self,
        served: Callable[[], Served],
        count: int,
        order: Callable[[Generator], Order],
        answer: Callable[[Served, Samples, float], Any],
    ) -> Future[Any]:
        """Have samples drawn.

        Args:
            served: the version to draw from, asked when it is drawn.
            count: how many.
            order: makes the order for the version that will draw it.
            answer: what the future is to give, made of that version, the samples, and the seconds of the pass that drew them.

        Raises:
            QueueFullError: too much waits.
        """
        with self._changed:
            if len(self._waiting) >= self._most_waiting or (self._waiting and self._samples + count > self._most_samples):
                raise QueueFullError(len(self._waiting), max(1, math.ceil(self._samples / self._rate) if self._rate else 1))
            job = _Job(served, count, order, answer)
            self._waiting.append(job)
            self._samples += count
            if not self._brief:
                self._changed.notify()
        return job.future

    def _next(self) -> list[_Job]:
        """The jobs of the next pass; none at the end."""
        with self._changed:
            jobs: list[_Job] = []
            count = 0
            self._brief = False
            self._changed.wait_for(lambda: self._waiting or self._ended)
            while self._waiting and (not jobs or count + self._waiting[0].count <= PASS):
                jobs.append(self._waiting.popleft())
                count += jobs[-1].count
            self._samples -= count
            self._brief = 0 < count < _BRIEF * self._rate
            if self._waiting and not self._brief:
                self._changed.notify()  # who came during a brief pass has woken nobody
        return jobs

    def _work(self) -> None:
        while jobs := self._next():
            start = time.monotonic()
            # Who went away meanwhile is not drawn for.
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            groups: dict[Any, list[tuple[_Job, Order]]] = {}
            versions: dict[int, Served] = {}
            for job in jobs:
                served = job.served()
                try:
                    order = job.order(served.generator)
                    # Prompts of other lengths, and whatever cannot share a pass, have their own.
                    alike = order.given.shape[1:] if order.given is not None else None
                except Exception as error:  # this thread goes on, or nobody is answered any more
                    job.future.set_exception(error)
                    continue
                versions[served.number] = served
                groups.setdefault((served.number, alike if served.together else job.future), []).append((job, order))
            for (number, _), group in groups.items():
                self._draw(versions[number], group)
            seconds, count = time.monotonic() - start, sum(job.count for job in jobs)
            if count and seconds:
                self._rate = 0.8 * self._rate + 0.2 * count / seconds if self._rate else count / seconds

    def _draw(self, served: Served, group: list[tuple[_Job, Order]]) -> None:
        start = time.monotonic()
        try:
            drawn = served.generator.draw([order for _, order in group])
            seconds = time.monotonic() - start
            self._on_batch(len(group), sum(len(order) for _, order in group))
        except Exception as error:
            for job, _ in group:
                job.future.set_exception(error)
            return
        answers: list[Callable[[], None]] = []
        for (job, _), samples in zip(group, drawn, strict=True):
            try:
                answers.append(partial(job.future.set_result, job.answer(served, samples, seconds)))
            except Exception as error:
                answers.append(partial(job.future.set_exception, error))
        # All at once, since whoever waits for one would take turns with this thread.
        for answer in answers:
            answer()

    def __enter__(self) -> Batcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
