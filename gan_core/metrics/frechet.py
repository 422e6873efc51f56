"""Frechet distance between two sets of features, each seen as a Gaussian (FID; Heusel et al., 2017, arXiv:1706.08500)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.bootstrap import Draws

_NO_OVERLAP = 1e-9  # of the largest: below it two Gaussians have no direction in common, apart from rounding
_SIZES, _FEWEST_SHARE = 15, 10  # of an extrapolation: how many distances, and that the least takes a tenth
_FOLDS = 5
"""Parts of a jackknife: with 2 its estimate spreads a third wider, and more than 5 hardly narrow it."""
SAMPLES_A_DIRECTION = 4
"""Samples for each of the features' `directions` from which `frechet_unbiased` is free of bias beside its spread (docs/gate.md)."""


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

    @classmethod
    def from_moments(cls, count: int, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> Self:
        """The statistics of `count` features, at least 2, of which only mean (D,) and covariance (D, D) are kept."""
        statistics = cls(len(mean))
        statistics.count, statistics.mean, statistics._scatter = count, mean, covariance * (count - 1)
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

    >>> moved = FeatureStatistics.from_moments(10, np.array([3.0, 4.0]), np.eye(2))
    >>> frechet_distance(FeatureStatistics.from_moments(10, np.zeros(2), np.eye(2)), moved)
    25.0
    """
    _check_widths(real, generated)
    # With S = A A', Tr sqrt(S1 S2) is the sum of the singular values of A1' A2: nothing complex, and near a singular covariance
    # (fewer samples than columns) the error stays near 1e-16 of the scale, where eigenvalues of S1 S2 give their square root, 1e-8.
    overlap = scipy.linalg.svdvals(_factor(real.covariance).T @ _factor(generated.covariance)).sum() if len(real.mean) else 0.0
    return _distance(real, generated, overlap)


def _check_widths(real: FeatureStatistics, generated: FeatureStatistics) -> None:
    if real.mean.shape != generated.mean.shape:
        raise DataError(f"features: of {len(real.mean)} and {len(generated.mean)} columns cannot be compared")


def _distance(real: FeatureStatistics, generated: FeatureStatistics, overlap: float) -> float:
    """From Tr sqrt(S1 S2), the `overlap`."""
    shift = real.mean - generated.mean
    return max(0.0, float(shift @ shift + np.trace(real.covariance) + np.trace(generated.covariance) - 2 * overlap))


def frechet_infinity(real: NDArray[Any], generated: NDArray[Any]) -> float:
    """The distance that endlessly many generated samples would have (FID-infinity; Chong and Forsyth, 2020, arXiv:1911.07023).

    The distances of the first n generated features, for 15 n from a tenth of them to all, lie on a line in 1/n; this is where it meets
    1/n = 0. What the number of real ones adds stays. By chance it may be below 0.

    Args:
        real: (N, D).
        generated: (M, D), in random order.

    Raises:
        DataError: the widths differ, there are fewer than two real or 20 generated features, or something is not finite.

    >>> random = np.random.default_rng(0)
    >>> real, generated = random.normal(size=(2, 1_000, 4))
    >>> abs(frechet_infinity(real, generated)) < 0.03
    True
    """
    if len(generated) < 2 * _FEWEST_SHARE:
        raise DataError(f"features: {len(generated)} are too few to extrapolate from; at least {2 * _FEWEST_SHARE} are needed")
    sizes = np.linspace(len(generated) / _FEWEST_SHARE, len(generated), _SIZES).astype(int)
    held, statistics, start, distances = FeatureStatistics.of(real), FeatureStatistics(generated.shape[1]), 0, []
    for size in sizes:
        statistics.update(generated[start:size])
        distances.append(frechet_distance(held, statistics))
        start = size
    inverse = 1 / sizes - (1 / sizes).mean()
    slope = (inverse @ np.array(distances)) / (inverse @ inverse)
    return float(np.mean(distances) - slope * (1 / sizes).mean())


def frechet_replicates(real: NDArray[Any], generated: NDArray[Any], real_draws: Draws, generated_draws: Draws) -> NDArray[np.float64]:
    """The distance on each replicate of a bootstrap of (N, D) real and (M, D) generated features: (B,).

    To first order, by influence functions (Hampel, 1974), so all replicates together cost about as much as the distance itself, and
    their mean is that distance. Distances of actual resamples lie above it, since a resample repeats samples and varies less, and
    spread wider than those of newly drawn samples (docs/gate.md has both measured).

    Raises:
        DataError: the widths differ, a side has fewer than two features, or something is not finite.

    >>> features, draws = np.random.default_rng(0).normal(size=(40, 2)), Draws(40, replicates=100, seed=0)
    >>> frechet_replicates(features, features + 1, draws, draws).shape
    (100,)
    """
    distance, of_real, of_generated = frechet_influences(real, generated)
    return np.asarray(distance + real_draws.shifts(of_real) + generated_draws.shifts(of_generated), dtype=np.float64)


def frechet_unbiased(real: NDArray[Any], generated: NDArray[Any], real_draws: Draws, generated_draws: Draws) -> float:
    """The distance of (N, D) real and (M, D) generated features less its bias, as far as that falls with 1 / N and 1 / M.

    By the jackknife over five parts of both sides that are left out together (Quenouille, 1956). Parts are whole bags of the draws, so
    what those keep together stays together; where both sides are the same draws, as with pairs, partners are left out together. It may
    come out below 0. What is left of the bias is small from about `SAMPLES_A_DIRECTION` samples for each of `directions` on.

    Raises:
        DataError: as `frechet_replicates`.

    >>> real, generated = np.random.default_rng(0).normal(size=(2, 200, 2))
    >>> one, other = Draws(200, replicates=10, seed=0), Draws(200, replicates=10, seed=1)
    >>> frechet_unbiased(real, generated, one, other) < frechet_distance(FeatureStatistics.of(real), FeatureStatistics.of(generated))
    True
    """
    sides = [
        [FeatureStatistics.of(features[fold]) for fold in draws.folds(_FOLDS)]
        for features, draws in ((real, real_draws), (generated, generated_draws))
    ]
    folds = min(map(len, sides))
    if folds < 2:
        raise DataError("features: a single sample has no parts to leave out; at least 2 are needed on each side")
    whole = frechet_distance(*(_merged(parts) for parts in sides))
    without = [frechet_distance(*(_merged([*parts[:fold], *parts[fold + 1 :]]) for parts in sides)) for fold in range(folds)]
    return float(folds * whole - (folds - 1) * np.mean(without))


def directions(features: NDArray[Any]) -> float:
    """How many directions features (N, D) vary in, 1 to D, of equal variance each: the participation ratio of their covariance.

    Of a plain Gaussian of N samples it is about N D / (N + D), so few samples make it look smaller.

    >>> directions(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), directions(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    (2.0, 1.0)
    """
    covariance = FeatureStatistics.of(features).covariance
    squares = float(np.square(covariance).sum())
    return float(np.trace(covariance)) ** 2 / squares if squares > 0 else 1.0


def _merged(parts: Sequence[FeatureStatistics]) -> FeatureStatistics:
    merged = FeatureStatistics(len(parts[0].mean))
    for part in parts:
        merged.merge(part)
    return merged


def frechet_influences(real: NDArray[Any], generated: NDArray[Any]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The distance of (N, D) real and (M, D) generated features, and what each one weighs in it: (N,) and (M,), of mean 0.

    If a feature's share of its side grows from 1 / N to 1 / N + e, all others shrinking alike, the distance grows by e times its
    influence, to first order in e.

    Raises:
        DataError: as `frechet_replicates`.
    """
    first, second = FeatureStatistics.of(real), FeatureStatistics.of(generated)
    _check_widths(first, second)
    shift = first.mean - second.mean
    # With S1 = A A', S2 = B B' and A' B = U s V', the derivative of Tr sqrt(S1 S2) is half of B V s^-1 V' B' by S1, half of
    # A U s^-1 U' A' by S2: halves of the maps that carry one Gaussian into the other, within the directions that both vary in.
    one, other = _factor(first.covariance), _factor(second.covariance)
    left, overlaps, right = scipy.linalg.svd(one.T @ other, full_matrices=False)
    kept = overlaps > _NO_OVERLAP * max(overlaps[0], np.finfo(np.float64).tiny)
    scale = np.sqrt(overlaps[kept])
    onto_second, onto_first = other @ (right[kept].T / scale), one @ (left[:, kept] / scale)

    def influences(features: NDArray[Any], mean: NDArray[np.float64], onto: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
        centred = features - mean
        spread = ((centred**2).sum(axis=1) - ((centred @ onto) ** 2).sum(axis=1)) * len(features) / (len(features) - 1)
        raw: NDArray[np.float64] = spread + 2 * sign * centred @ shift
        return np.asarray(raw - raw.mean(), dtype=np.float64)

    distance = _distance(first, second, overlaps.sum())
    return distance, influences(real, first.mean, onto_second, 1.0), influences(generated, second.mean, onto_first, -1.0)


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A (D, R) with A A' = covariance (D, D) of rank R; directions that are only rounding are left out."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    if not kept.any():
        return np.zeros((len(values), 1))
    factor: NDArray[np.float64] = vectors[:, kept] * np.sqrt(values[kept])
    return factor
