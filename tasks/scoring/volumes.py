"""Volumes: by features as images are, and by how much they overlap with held-out ones.

Of a network's features the mean over all places is taken, so they see what a shape is made of better than where it is. Overlap sees the
latter. As many generated volumes are compared by it as there are held-out ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.generator import Generator
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.shapes import Matches, in_one_piece, matches
from gan_core.randomness import mix
from gan_core.shading import from_all_sides, shaded
from tasks.params import EvaluateParams
from tasks.scoring.beside_features import APART, EvidenceBeside, below, labels_asked
from tasks.scoring.copies import most_compared
from tasks.scoring.images import ImageScoring
from tasks.scoring.scoring import Evidence, chosen, rounded

_TURNED = 8  # volumes that are shown from several sides


class VolumeEvidence(EvidenceBeside):
    """The scores of features, and iou_coverage, iou_nna and connected."""

    own = ("iou_coverage", "iou_nna", "connected")

    def __init__(self, by_features: Evidence, found: Matches, connected: NDArray[np.float64]) -> None:
        super().__init__(by_features)
        self.found = found
        self.connected = connected

    def scores(self) -> dict[str, float]:
        return {
            **self.by_features.scores(),
            "iou_coverage": self.found.coverage,
            "iou_nna": self.found.accuracy,
            "connected": float(np.median(self.connected)),
        }

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        """Of the overlaps neighbours stay as they were found: a copy that a resample draws is nobody's neighbour."""
        if metric == "iou_coverage":
            return self.found.coverage_of(below(len(self.found.told_real), real), below(len(self.found.nearest), generated))
        if metric == "iou_nna":
            told = self.found.told_real[below(len(self.found.told_real), real)].mean()
            return float(told + self.found.told_generated[below(len(self.connected), generated)].mean()) / 2
        if metric == "connected":
            return float(np.median(self.connected[below(len(self.connected), generated)]))
        return self.by_features.resampled(metric, real, generated)

    def details(self) -> dict[str, Any]:
        return {**self.by_features.details(), "compared_by_overlap": {"real": len(self.found.told_real), "generated": len(self.connected)}}


class VolumeScoring(ImageScoring):
    """By a classifier's features where there are labels, by those of a fixed random network otherwise; and by overlap."""

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> Evidence:
        by_features = super().gather(generator, dataset, extractor, params)
        real = _held_out(dataset, params)
        labels = labels_asked(generator, dataset, len(real), params.seed)
        generated = generator.sample(len(real), seed=mix(params.seed, APART), labels=labels).samples
        return VolumeEvidence(by_features, matches(real, generated), in_one_piece(generated))

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """By overlap one half of the held-out volumes beside the other."""
        held_out = _held_out(dataset, params)
        half = len(held_out) // 2
        found = matches(held_out[:half], held_out[half : 2 * half])
        return {
            **super().real_against_real(dataset, extractor, params),
            "iou_coverage": rounded(found.coverage),
            "iou_nna": rounded(found.accuracy),
            "connected": rounded(float(np.median(in_one_piece(held_out)))),
        }

    def pictured(self, spec: DatasetSpec, samples: NDArray[Any]) -> NDArray[np.uint8]:
        return shaded(samples)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Beside the two, the first of the generated ones from several sides, a row each."""
        generated, _, _ = self.shown(generator, dataset, seed)
        return {**super().grids(generator, dataset, seed), "turned": pictures.rows(*from_all_sides(generated[:_TURNED]))}


def _held_out(dataset: Dataset, params: EvaluateParams) -> NDArray[np.uint8]:
    """Held-out volumes that overlaps are looked at with."""
    most = min(params.samples, most_compared(dataset.spec.shape), dataset.spec.counts["holdout"])
    return np.array(dataset.samples["holdout"][chosen(dataset, "holdout", most, params.seed)])
