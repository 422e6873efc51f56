"""Generated points against the distribution that the real ones were drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError

SAMPLES = 2_500
"""How many points are scored: the protocol of PacGAN (Lin et al., 2018, arXiv:1712.04086)."""
BINS = 36
DEVIATIONS = 3.0


def point_scores(points: NDArray[np.float32], truth: Mapping[str, Any]) -> dict[str, float]:
    """The scores that fit the distribution.

    A circle: `radius_error` and `bins_filled`. A mixture (ring or grid): `modes` and `high_quality`.

    Args:
        points: (N, 2).
        truth: as `Points.truth`.

    Raises:
        DataError: the distribution is none of these, or points are not (N, 2), none, or not finite.
    """
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise DataError(f"points: expected (N, 2), got {points.shape}")
    if not np.isfinite(points).all():
        raise DataError("points: not finite")
    match truth.get("shape"):
        case "circle":
            return {"radius_error": radius_error(points, float(truth["radius"])), "bins_filled": bins_filled(points)}
        case "ring" | "grid":
            modes, share = mixture_modes(points, np.asarray(truth["centers"], dtype=np.float64), float(truth["sigma"]))
            return {"modes": modes, "high_quality": share}
        case other:
            raise DataError(f"points: no scores for a distribution of shape {other!r}; known are circle, ring and grid")


def radius_error(points: NDArray[Any], radius: float) -> float:
    """Mean of abs(|x| - radius) over points (N, 2), in the points' own unit."""
    return float(np.mean(np.abs(np.hypot(points[:, 0].astype(np.float64), points[:, 1]) - radius)))


def bins_filled(points: NDArray[Any], bins: int = BINS) -> int:
    """How many of `bins` equal angles around the origin hold at least one of the points (N, 2)."""
    angles = np.arctan2(points[:, 1].astype(np.float64), points[:, 0]) / (2 * np.pi) % 1.0
    return len(np.unique(np.minimum((angles * bins).astype(np.int64), bins - 1)))


def mixture_modes(points: NDArray[Any], centers: NDArray[np.float64], sigma: float) -> tuple[int, float]:
    """Modes found, and share of high-quality points (PacGAN's protocol).

    A point is of high quality within three standard deviations of the nearest mean; a mode is found if it is the nearest to at least
    one such point.

    Args:
        points: (N, D).
        centers: (K, D) means of the mixture.
        sigma: standard deviation of each component, above 0.
    """
    if not sigma > 0:
        raise DataError(f"points: a mixture's sigma must be above 0 to tell its modes, got {sigma}")
    distances = np.linalg.norm(points.astype(np.float64)[:, None, :] - centers[None, :, :], axis=2)
    nearest = distances.argmin(axis=1)
    good = distances[np.arange(len(points)), nearest] <= DEVIATIONS * sigma
    return len(np.unique(nearest[good])), float(good.mean())
