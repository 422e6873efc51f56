"""A challenger that draws what the champion was asked for, after the answer has gone out, and is only compared with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Self

import numpy as np

from gan_core.generator import Generator, Order, Samples
from tasks import kinds
from tasks.serving.batching import PASS, Batcher
from tasks.serving.champion import Served
from tasks.serving.metrics import Metrics

log = logging.getLogger("gantry.serve")


class Shadow:
    """Draws one request at a time, in a thread of its own; a context manager, which ends that thread."""

    def __init__(self, metrics: Metrics, waiting: Callable[[], int]) -> None:
        """Nothing runs yet.

        Args:
            metrics: where both versions are counted.
            waiting: requests that wait for the champion, before which a comparison gives way.
        """
        self._metrics, self._waiting = metrics, waiting
        self._batcher = Batcher(most_waiting=1, most_samples=PASS)
        self._drawing: Future[None] | None = None
        self._failed: set[int] = set()

    async def compare(
        self, challenger: Served, champion: Served, order: Callable[[Generator], Order], samples: Samples, seconds: float
    ) -> None:
        """Have the challenger draw a request too, unless it is still drawing, others wait, or it is larger than a pass.

        Args:
            challenger: that draws.
            champion: that has answered.
            order: of the request.
            samples: that the champion drew.
            seconds: of its pass.
        """
        if self._waiting() or len(samples.samples) > PASS or (self._drawing is not None and not self._drawing.done()):
            self._metrics.shadow_dropped.inc()
            return

        def drawn(_: Served, others: Samples, others_seconds: float) -> None:
            # Measured before anything is counted, so that both are counted or none.
            found = [(champion, seconds, _means(champion, samples)), (challenger, others_seconds, _means(challenger, others))]
            for served, took, means in found:
                self._metrics.shadow_seconds.labels(str(served.number)).observe(took)
                for measure, mean in means.items():
                    self._metrics.shadow_means.labels(str(served.number), measure).observe(mean)

        self._drawing = self._batcher.submit(lambda: challenger, len(samples.samples), order, drawn)
        self._drawing.add_done_callback(partial(self._ended, challenger.number))

    def _ended(self, number: int, drawing: Future[None]) -> None:
        error = drawing.exception()
        if error is not None:
            self._metrics.shadow_failures.labels(str(number)).inc()
            if number not in self._failed:  # once, since the next requests may fail alike
                self._failed.add(number)
                log.warning("version %d, the challenger, failed at what the champion has answered", number, exc_info=error)

    def __enter__(self) -> Self:
        self._batcher.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._batcher.__exit__(*error)


def _means(served: Served, samples: Samples) -> dict[str, float]:
    """Of a request's samples, the mean of each number that drift looks at, such as brightness; gaps of tables are left out."""
    numbers, _ = kinds.of(samples.kind).drift_of(samples.samples, served.generator.config.data)
    there = {measure: values[np.isfinite(values)] for measure, values in numbers.items()}
    return {measure: float(values.mean()) for measure, values in there.items() if len(values)}
