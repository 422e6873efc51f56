"""Features in units of what real ones vary by, so that a direction in which they hardly vary counts as well as one in which they do.

The largest directions of random features are brightness and contrast. Faint noise, soft edges and images that repeat show in small ones,
and a distance of plain features hardly sees them; a linear classifier, which the Mahalanobis distance is that of, does.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.frechet import FeatureStatistics

_LEAST = 0.1  # of the mean variance, added to each: directions that hold next to nothing would be only noise


class Whitening:
    """A linear map of features, fitted on real ones that nothing is compared with.

    Were it fitted on those that are compared, their own chance would be taken out of them and not of the others, and the generator that
    varies less would win.

    >>> features = np.random.default_rng(0).normal(size=(2_000, 2)) * [10.0, 5.0] + 3
    >>> np.round(np.abs(Whitening.of(features)(features)).mean(axis=0)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, mean: NDArray[np.float64], onto: NDArray[np.float64]) -> None:
        self.mean, self.onto = mean, onto

    @classmethod
    def of(cls, features: NDArray[Any]) -> Self:
        """The map that gives features (N, D) mean 0 and about equal variances in all directions.

        Raises:
            DataError: fewer than two of them, or something not finite.
        """
        statistics = FeatureStatistics.of(features)
        variances, vectors = np.linalg.eigh(statistics.covariance)
        scales = np.sqrt(variances.clip(min=0) + max(_LEAST * float(variances.mean()), np.finfo(np.float64).tiny))
        return cls(statistics.mean, vectors / scales)

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Features (N, D) in these units: float32 (N, D)."""
        return ((features - self.mean) @ self.onto).astype(np.float32)
