"""Evidence that is compared with many others, each of its answers computed once."""

from __future__ import annotations

from typing import Any

from gan_core.metrics.bootstrap import Draws
from tasks.scoring.scoring import Evidence


class Once:
    """What is asked of evidence in comparisons, computed once for each seed of resamples, however many it is compared with."""

    def __init__(self, evidence: Evidence) -> None:
        self.of, self.n_real, self.n_generated = evidence, evidence.n_real, evidence.n_generated
        self.averaged, self.undecided = evidence.averaged, evidence.undecided
        self._kept: dict[Any, Any] = {}

    def draws(self, replicates: int, seed: int) -> tuple[Draws, Draws]:
        if (replicates, seed) not in self._kept:
            self._kept[replicates, seed] = self.of.draws(replicates, seed)
        draws: tuple[Draws, Draws] = self._kept[replicates, seed]
        return draws

    def __getattr__(self, name: str) -> Any:
        def kept(metric: str, *draws: Draws) -> Any:
            key = (name, metric, *(tuple(each.counts[0]) for each in draws))
            if key not in self._kept:
                self._kept[key] = getattr(self.of, name)(metric, *draws)
            return self._kept[key]

        return kept
