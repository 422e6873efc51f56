"""Generated points against the distribution that the real ones were drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.modes import reverse_kl

SAMPLES = 2_500
"""How many points are scored: the protocol of PacGAN (Lin et al., 2018, arXiv:1712.04086)."""
BINS = 36
DEVIATIONS = 3.0
ALL = slice(None)


@dataclass(frozen=True)
class PointMeasures:
    """What the scores are made of, for each point."""

    each: Mapping[str, NDArray[np.float64]]
    """(N,) by score: `radius_error` or `high_quality`, which is the mean of these."""
    sorts: NDArray[np.int64]
    """(N,) which part of the distribution each belongs to: of equal angles of a circle, of the modes of a mixture the nearest."""
    counted: NDArray[np.bool_]
    """(N,) whether a point shows that its part is drawn."""
    parts: int
    """How many there are; all have the same share."""
    found: str
    """The score that counts parts which are drawn: `bins_filled` or `modes`."""

    @classmethod
    def of(cls, points: NDArray[np.float32], truth: Mapping[str, Any]) -> Self:
        """Measure points (N, 2) against a distribution as `Points.truth` has it.

        Raises:
            DataError: the distribution is none of those known, or points are not (N, 2), none, or not finite.
        """
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise DataError(f"points: expected (N, 2), got {points.shape}")
        if not np.isfinite(points).all():
            raise DataError("points: not finite")
        match truth.get("shape"):
            case "circle":
                errors = _radius_errors(points, float(truth["radius"]))
                return cls({"radius_error": errors}, _bins(points, BINS), np.ones(len(points), dtype=bool), BINS, "bins_filled")
            case "ring" | "grid":
                centers = np.asarray(truth["centers"], dtype=np.float64)
                nearest, good = _nearest_modes(points, centers, float(truth["sigma"]))
                return cls({"high_quality": good.astype(np.float64)}, nearest, good, len(centers), "modes")
            case other:
                raise DataError(f"points: no scores for a distribution of shape {other!r}; known are circle, ring and grid")

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores."""
        return *self.each, self.found, "reverse_kl"

    def score(self, metric: str, chosen: NDArray[np.int64] | slice = ALL) -> float:
        """One of the scores, of all points or of those that are chosen, with repetitions."""
        if metric in self.each:
            return float(self.each[metric][chosen].mean())
        sorts, counted = self.sorts[chosen], self.counted[chosen]
        if metric == self.found:
            return len(np.unique(sorts[counted]))
        return reverse_kl(sorts, np.full(self.parts, 1 / self.parts))


def point_scores(points: NDArray[np.float32], truth: Mapping[str, Any]) -> dict[str, float]:
    """The scores that fit the distribution.

    A circle: `radius_error`, and `bins_filled`, how many of 36 equal angles have a point. A mixture (ring or grid): `modes` and
    `high_quality`. Both: `reverse_kl`, how far the shares of the angles or modes are from equal ones.

    Args:
        points: (N, 2).
        truth: as `Points.truth`.

    Raises:
        DataError: as `PointMeasures.of`.

    >>> scores = point_scores(np.array([[1, 0], [0, -1]], dtype=np.float32), {"shape": "circle", "radius": 1.0})
    >>> scores["radius_error"], scores["bins_filled"]
    (0.0, 2)
    """
    measured = PointMeasures.of(points, truth)
    return {metric: measured.score(metric) for metric in measured.scores}


def radius_error(points: NDArray[Any], radius: float) -> float:
    """Mean of abs(|x| - radius) over points (N, 2), in the points' own unit.

    >>> radius_error(np.array([[3.0, 4.0], [0.0, 4.0]]), radius=5.0)
    0.5
    """
    return float(_radius_errors(points, radius).mean())


def _radius_errors(points: NDArray[Any], radius: float) -> NDArray[np.float64]:
    errors: NDArray[np.float64] = np.abs(np.hypot(points[:, 0].astype(np.float64), points[:, 1]) - radius)
    return errors


def bins_filled(points: NDArray[Any], bins: int = BINS) -> int:
    """How many of `bins` equal angles around the origin hold at least one of the points (N, 2).

    >>> bins_filled(np.array([[1.0, 0.1], [2.0, 0.1], [-1.0, 0.1]]), bins=4)
    2
    """
    return len(np.unique(_bins(points, bins)))


def _bins(points: NDArray[Any], bins: int) -> NDArray[np.int64]:
    angles = np.arctan2(points[:, 1].astype(np.float64), points[:, 0]) / (2 * np.pi) % 1.0
    found: NDArray[np.int64] = np.minimum((angles * bins).astype(np.int64), bins - 1)
    return found


def mixture_modes(points: NDArray[Any], centers: NDArray[np.float64], sigma: float) -> tuple[int, float]:
    """Modes found, and share of high-quality points (PacGAN's protocol).

    A point is of high quality within three standard deviations of the nearest mean; a mode is found if it is the nearest to at least
    one such point.

    Args:
        points: (N, D).
        centers: (K, D) means of the mixture.
        sigma: standard deviation of each component, above 0.

    >>> mixture_modes(np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [9.0, 9.0]]), np.array([[0.0, 0.0], [5.0, 5.0]]), sigma=0.1)
    (2, 0.75)
    """
    nearest, good = _nearest_modes(points, centers, sigma)
    return len(np.unique(nearest[good])), float(good.mean())


def _nearest_modes(points: NDArray[Any], centers: NDArray[np.float64], sigma: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of points (N, D) the nearest mean, and whether they are of high quality: (N,) each."""
    if not sigma > 0:
        raise DataError(f"points: a mixture's sigma must be above 0 to tell its modes, got {sigma}")
    distances = np.linalg.norm(points.astype(np.float64)[:, None, :] - centers[None, :, :], axis=2)
    nearest = distances.argmin(axis=1).astype(np.int64)
    return nearest, distances[np.arange(len(points)), nearest] <= DEVIATIONS * sigma
