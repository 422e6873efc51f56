"""Frechet distance between two sets of features, each seen as a Gaussian (FID; Heusel et al., 2017, arXiv:1706.08500)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from gan_core.errors import DataError


class FeatureStatistics:
    """Mean and covariance of features, gathered batch by batch in float64; memory does not depend on how many there are.

    Each batch is centred on its own mean before it is merged (Chan et al., 1979), so nothing cancels where the mean is large beside
    the deviation, as it does with plain sums of squares.

    >>> statistics = FeatureStatistics(2)
    >>> statistics.update(np.array([[0.0, 0.0], [2.0, 4.0]]))
    >>> statistics.mean.tolist(), statistics.covariance.tolist()
    ([1.0, 2.0], [[2.0, 4.0], [4.0, 8.0]])
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(width)
        self._scatter: NDArray[np.float64] = np.zeros((width, width))

    @classmethod
    def of(cls, features: NDArray[Any]) -> Self:
        """The statistics of features (N, D) that are all at hand."""
        statistics = cls(features.shape[1])
        statistics.update(features)
        return statistics

    def update(self, features: NDArray[Any]) -> None:
        """Take in features (N, D).

        Raises:
            DataError: their width is another one, or one of them is not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise DataError(f"features: expected (N, {len(self.mean)}), got {features.shape}")
        if not len(features):
            return
        exact = features.astype(np.float64)
        mean = exact.mean(axis=0)
        if not np.isfinite(mean).all():
            raise DataError(f"features: not finite among samples {self.count} to {self.count + len(features) - 1}")
        centred = exact - mean
        self._merge(len(exact), mean, centred.T @ centred)

    def merge(self, other: FeatureStatistics) -> None:
        """Take in what another one has seen."""
        if other.count:
            self._merge(other.count, other.mean, other._scatter)

    def _merge(self, count: int, mean: NDArray[np.float64], scatter: NDArray[np.float64]) -> None:
        total = self.count + count
        shift = mean - self.mean
        self._scatter = self._scatter + scatter + np.outer(shift, shift) * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(D, D), divided by count - 1.

        Raises:
            DataError: fewer than two features were seen.
        """
        if self.count < 2:
            raise DataError(f"features: {self.count} of them have no covariance; at least 2 are needed")
        return self._scatter / (self.count - 1)


def frechet_distance(real: FeatureStatistics, generated: FeatureStatistics) -> float:
    """|m1 - m2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2)), at least 0.

    Biased upwards with few samples: compare distances only at equal counts.

    Raises:
        DataError: the widths differ, or one side has fewer than two features.
    """
    if real.mean.shape != generated.mean.shape:
        raise DataError(f"features: of {len(real.mean)} and {len(generated.mean)} columns cannot be compared")
    shift = real.mean - generated.mean
    first, second = real.covariance, generated.covariance
    # With S = A A', Tr sqrt(S1 S2) is the sum of the singular values of A1' A2: nothing complex, and near a singular covariance
    # (fewer samples than columns) the error stays near 1e-16 of the scale, where eigenvalues of S1 S2 give their square root, 1e-8.
    overlap = scipy.linalg.svdvals(_factor(first).T @ _factor(second)).sum() if len(shift) else 0.0
    return max(0.0, float(shift @ shift + np.trace(first) + np.trace(second) - 2 * overlap))


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A (D, R) with A A' = covariance (D, D) of rank R; directions that are only rounding are left out."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    if not kept.any():
        return np.zeros((len(values), 1))
    factor: NDArray[np.float64] = vectors[:, kept] * np.sqrt(values[kept])
    return factor
