"""Scores that are looked at beside those of features, on samples of their own: as many generated ones as held-out ones."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.data.labels import Labels, Numbers
from gan_core.generator import Generator
from gan_core.metrics.bootstrap import Draws
from tasks.scoring.scoring import Evidence, chosen

APART = 3
"""What such samples are drawn with beside the seed."""


class EvidenceBeside(Evidence):
    """The scores of features, and others."""

    own: ClassVar[tuple[str, ...]]
    """These others."""

    def __init__(self, by_features: Evidence) -> None:
        self.by_features = by_features
        self.n_real, self.n_generated = by_features.n_real, by_features.n_generated

    @abstractmethod
    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float: ...

    def averaged(self, metric: str) -> NDArray[np.float64] | None:
        return self.by_features.averaged(metric)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        return super().replicates(metric, real, generated) if metric in self.own else self.by_features.replicates(metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        return super().unbiased(metric, real, generated) if metric in self.own else self.by_features.unbiased(metric, real, generated)

    def undecided(self, metric: str) -> str | None:
        return self.by_features.undecided(metric)


def below(count: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some indices of which there are samples beside: these may be fewer than were gathered."""
    return indices[indices < count]


def labels_asked(generator: Generator, dataset: Dataset, n: int, seed: int) -> Labels | None:
    """Labels of training samples, (n,), that as many are asked for; None for a generator without labels. Numbers that it was not trained
    on, as an earlier one may not have been on all of them, become the nearest of its own."""
    condition = generator.config.condition
    if condition is None:
        return None
    asked = np.resize(dataset.labels["train"][chosen(dataset, "train", n, seed)], n)
    return condition.within(asked) if isinstance(condition, Numbers) else asked.astype(np.int64)
