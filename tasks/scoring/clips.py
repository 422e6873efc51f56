"""Clips: by features of three dimensions, time among them, as images are; and by how much they move.

Of a network's features the mean over all places and moments is taken, so they see in which direction something moves, and how far a moment
differs from the next. How much clips move in all is compared beside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from gan_core import pictures
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.generator import Generator
from gan_core.kinds.clips import motion
from gan_core.metrics.features import FeatureExtractor
from gan_core.randomness import mix
from tasks.params import EvaluateParams
from tasks.scoring.beside_features import APART, EvidenceBeside, below, labels_asked
from tasks.scoring.images import ImageScoring, real_by_classifier
from tasks.scoring.scoring import Evidence, chosen, chunks, rounded

_COLUMNS = 8
_FRAMES = 4  # of a clip in a picture that does not move


class ClipEvidence(EvidenceBeside):
    """The scores of features, and motion_distance."""

    own = ("motion_distance",)

    def __init__(self, by_features: Evidence, real: NDArray[np.float64], generated: NDArray[np.float64]) -> None:
        super().__init__(by_features)
        self.real, self.generated = real, generated

    def scores(self) -> dict[str, float]:
        return {**self.by_features.scores(), "motion_distance": motion_distance(self.real, self.generated)}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric == "motion_distance":
            return motion_distance(self.real[below(len(self.real), real)], self.generated[below(len(self.generated), generated)])
        return self.by_features.resampled(metric, real, generated)

    def details(self) -> dict[str, Any]:
        means = {"real": rounded(float(self.real.mean())), "generated": rounded(float(self.generated.mean()))}
        return {**self.by_features.details(), "motion": means}


def motion_distance(real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
    """Wasserstein's first distance between amounts of motion (N,) and (M,), over the mean of the real ones."""
    return float(wasserstein_distance(real, generated) / real.mean())


class ClipScoring(ImageScoring):
    """By a classifier's features where there are labels, by those of a fixed random network otherwise; and by motion."""

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> Evidence:
        by_features = super().gather(generator, dataset, extractor, params)
        real = _held_out(dataset, params)
        labels = labels_asked(generator, dataset, len(real), params.seed)
        drawn = [
            motion(
                generator.sample(
                    part.stop - part.start, mix(params.seed, APART, part.start), labels=None if labels is None else labels[part]
                ).samples
            )
            for part in chunks(len(real), dataset.spec.shape)
        ]
        return ClipEvidence(by_features, real, np.concatenate(drawn))

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """Of motion one half of the held-out clips beside the other."""
        moves = _held_out(dataset, params)
        half = len(moves) // 2
        return {
            **super().real_against_real(dataset, extractor, params),
            **real_by_classifier(dataset, extractor, params),
            "motion_distance": rounded(motion_distance(moves[:half], moves[half:])),
        }

    def pictured(self, spec: DatasetSpec, samples: NDArray[Any]) -> NDArray[np.uint8]:
        return pictures.strips(samples, _FRAMES)

    def shown(self, generator: Generator, dataset: Dataset, seed: int) -> tuple[NDArray[Any], NDArray[Any], int]:
        """As of images, but a few classes several times beside each other: what is as high as all clips below each other fits no screen."""
        generated, real, columns = super().shown(generator, dataset, seed)
        return generated, real, columns * max(1, _COLUMNS // columns)

    def films(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Those that `grids` shows, moving."""
        generated, real, columns = self.shown(generator, dataset, seed)
        return {"generated": pictures.film(generated, columns), "real": pictures.film(real, columns)}


def _held_out(dataset: Dataset, params: EvaluateParams) -> NDArray[np.float64]:
    """How much held-out clips move, (N,)."""
    clips = dataset.samples["holdout"]
    order = chosen(dataset, "holdout", min(params.samples, len(clips)), params.seed)
    return np.concatenate([motion(clips[order[part]]) for part in chunks(len(order), dataset.spec.shape)])
