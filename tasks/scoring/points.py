"""Points against the distribution that the real ones were drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.kinds.points import Points
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.points import SAMPLES, PointMeasures
from tasks.params import EvaluateParams
from tasks.scoring.scoring import Evidence, Scoring, rounded


class PointEvidence(Evidence):
    """Generated points and the known truth: radius_error and bins_filled, or modes and high_quality; with both reverse_kl."""

    n_real = 0

    def __init__(self, points: NDArray[np.float32], truth: Mapping[str, Any], held_out: NDArray[np.float32]) -> None:
        self.points = points
        self.measures = PointMeasures.of(points, truth)
        self.held_out = held_out
        self.n_generated = len(points)

    def scores(self) -> dict[str, float]:
        return {metric: self.measures.score(metric) for metric in self.measures.scores}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        return self.measures.score(metric, generated)

    def averaged(self, metric: str) -> NDArray[np.float64] | None:
        return self.measures.each.get(metric)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        each = self.measures.each.get(metric)
        return super().replicates(metric, real, generated) if each is None else generated.means(each)

    def details(self) -> dict[str, Any]:
        """Statistics of each column, of held-out and of generated points."""
        return {"columns": {"held_out": _columns(self.held_out), "generated": _columns(self.points)}}


class PointScoring(Scoring):
    """On at most 2,500 points, as PacGAN's protocol has it."""

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> PointEvidence:
        truth = Points.of(dataset.spec).truth
        assert truth is not None, "checked"  # noqa: S101
        points = generator.sample(min(params.samples, SAMPLES), seed=params.seed).samples
        if not np.isfinite(points).all():
            raise TrainingError("the generator draws points that are not finite; train it again with other settings")
        return PointEvidence(points, truth, np.array(dataset.samples["holdout"]))

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        real = np.array(dataset.samples["train"][:SAMPLES])
        points = generator.sample(SAMPLES, seed=seed).samples
        return {"generated": pictures.scatter(points, real), "real": pictures.scatter(real)}


def _columns(points: NDArray[np.float32]) -> list[dict[str, float]]:
    def of(column: NDArray[np.float64]) -> dict[str, float]:
        found = {"mean": column.mean(), "std": column.std(), "min": column.min(), "max": column.max()}
        return {name: rounded(float(value)) for name, value in found.items()}

    return [of(column) for column in points.astype(np.float64).T]
