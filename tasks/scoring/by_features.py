"""What all kinds of images share: generated against real ones by features, and scores that are means over the generated images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.frechet import (
    SAMPLES_A_DIRECTION,
    FeatureStatistics,
    directions,
    frechet_distance,
    frechet_replicates,
    frechet_unbiased,
)
from gan_core.metrics.kernel import Kernel, cubic, gaussian, kernel_distance, kernel_replicates
from gan_core.metrics.whitening import Whitening
from tasks.scoring.scoring import Evidence

Features = NDArray[np.float32]
"""(N, D)."""

_SPLITS, _KERNEL_SPLITS = 4, 16
_KERNELS: Mapping[str, Kernel] = {"kid": cubic, "whitened_kid": cubic, "rbf_kid": gaussian}


class FeatureEvidence(Evidence):
    """fid and kid, and the mean of each of `each`; with features to whiten by, whitened_kid; of a network that others have, too, rbf_kid.

    Two generators are compared by the Frechet distance without the bias of few samples, which differs between generators by more than
    they do: the one that varies less would win. Where there are fewer samples than that takes, it does not decide.
    """

    def __init__(
        self,
        real: Features,
        generated: Features,
        each: Mapping[str, NDArray[Any]] | None = None,  # (M,) by score: one number for each generated image
        paired: bool = False,
        clusters: NDArray[np.int64] | None = None,
        whitening: Whitening | None = None,
        published: bool = False,  # whether distances by these features are published
    ) -> None:
        self.real, self.generated, self.whitening, self.published = real, generated, whitening, published
        self.each = each or {}
        self.paired, self.clusters = paired, clusters
        self.n_real, self.n_generated = len(real), len(generated)

    @property
    def measured(self) -> list[str]:
        """Names of the scores."""
        kernels = ["whitened_kid"] * (self.whitening is not None) + ["rbf_kid"] * self.published
        return ["fid", "kid", *kernels, *self.each]

    def scores(self) -> dict[str, float]:
        everything = np.arange(self.n_real), np.arange(self.n_generated)
        return {metric: self.resampled(metric, *everything) for metric in self.measured}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        generated = real if self.paired else generated
        if metric == "fid":
            return frechet_distance(FeatureStatistics.of(self.real[real]), FeatureStatistics.of(self.generated[generated]))
        if metric in _KERNELS:
            first, second = self._compared_by_kernel(metric)
            return kernel_distance(first[real], second[generated], self.paired, _KERNELS[metric])
        return float(self.each[metric][generated].mean())

    def averaged(self, metric: str) -> NDArray[np.float64] | None:
        return self.each[metric].astype(np.float64) if metric in self.each else None

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        if metric == "fid":
            return frechet_replicates(self.real, self.generated, real, generated)
        if metric in _KERNELS:
            return kernel_replicates(*self._compared_by_kernel(metric), real, generated, self.paired, _KERNELS[metric])
        return generated.means(self.each[metric]) if metric in self.each else super().replicates(metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        if metric == "fid":
            return frechet_unbiased(self.real, self.generated, real, generated)
        return super().unbiased(metric, real, generated)

    def _compared_by_kernel(self, metric: str) -> tuple[Features, Features]:
        return self._whitened if metric == "whitened_kid" else (self.real, self.generated)

    @cached_property
    def _whitened(self) -> tuple[Features, Features]:
        assert self.whitening is not None, "there is what to whiten by"  # noqa: S101
        return self.whitening(self.real), self.whitening(self.generated)

    def undecided(self, metric: str) -> str | None:
        if "fid" not in metric and metric != "stage2_gain":
            return None
        least, asked = min(self.n_real, self.n_generated), round(SAMPLES_A_DIRECTION * directions(self.real))
        if least >= asked:
            return None
        return f"{least:,} samples are too few for features of {self.real.shape[1]:,} columns that vary so; at least {asked:,} are needed"


def real_distance(held_out: Features, generated: int, seed: int) -> float:
    """The fid that so many `generated` samples of a perfect generator would get beside held-out features (N, D), N at least 4.

    Of held-out samples alone, since features that were fitted on training images see more in those. Two halves lie 4 b / N apart, where b
    is what the bias of few samples depends on; real and generated ones b (1 / N + 1 / M). The mean of four splits.
    """
    distances = [
        frechet_distance(FeatureStatistics.of(one), FeatureStatistics.of(other)) for one, other in _halves(held_out, _SPLITS, seed)
    ]
    return float(np.mean(distances)) * _at_counts(len(held_out), generated)


def real_kernel_distance(held_out: Features, generated: int, seed: int, kernel: Kernel = cubic) -> float:
    """How far the kernel distance of so many `generated` samples of a perfect generator would lie from 0, on either side.

    Of held-out features (N, D), N at least 4, as in `real_distance`; the root mean square of 16 splits.
    """
    distances = [kernel_distance(one, other, kernel=kernel) for one, other in _halves(held_out, _KERNEL_SPLITS, seed)]
    return float(np.sqrt(np.mean(np.square(distances)))) * _at_counts(len(held_out), generated)


def _halves(held_out: Features, splits: int, seed: int) -> Iterator[tuple[Features, Features]]:
    random = np.random.default_rng(seed)
    for _ in range(splits):
        one, other = np.array_split(random.permutation(len(held_out)), 2)
        yield held_out[one], held_out[other]


def _at_counts(held_out: int, generated: int) -> float:
    """By how much a distance between halves is to be scaled to one of all against so many generated."""
    return (1 + held_out / generated) / 4
