"""Scores of points against what is known of their distribution."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from gan_core.errors import DataError
from gan_core.metrics.points import bins_filled, mixture_modes, point_scores, radius_error

RING = np.array([[np.cos(angle), np.sin(angle)] for angle in 2 * np.pi * np.arange(8) / 8]) * 2
CIRCLE = {"shape": "circle", "radius": 2.0, "sigma": 0.0}


def at(*degrees: float, radius: float = 1.0) -> NDArray[np.float32]:
    angles = np.radians(degrees)
    return (radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)


def test_radius_error_of_known_points() -> None:
    assert radius_error(np.array([[3.0, 4.0], [0.0, 1.0]], dtype=np.float32), 2.0) == 2.0
    assert radius_error(at(*range(0, 360, 7), radius=2.0), 2.0) < 1e-7


def test_radius_error_of_a_noisy_circle_is_the_half_normal_mean() -> None:
    draw = np.random.default_rng(0)
    points = at(*draw.uniform(0, 360, 20_000)) * draw.normal(2.0, 0.1, size=(20_000, 1))
    assert radius_error(points, 2.0) == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.02)


def test_bins_are_ten_degrees_wide() -> None:
    assert bins_filled(at(*np.arange(5, 360, 10))) == 36
    assert bins_filled(at(1, 2, 9, 11, -1, 359)) == 3
    assert bins_filled(at(*np.linspace(0, 179.9, 500))) == 18
    assert bins_filled(np.array([[1.0, -0.0], [1.0, 0.0], [1.0, -1e-30]], dtype=np.float32)) <= 2  # the seam at angle 0


def test_a_mixture_drawn_from_the_truth() -> None:
    draw = np.random.default_rng(0)
    points = (RING[draw.integers(0, 8, 2_500)] + draw.normal(0, 0.02, size=(2_500, 2))).astype(np.float32)
    modes, share = mixture_modes(points, RING, 0.02)
    assert modes == 8
    assert share == pytest.approx(chi2(2).cdf(9), abs=0.01)  # 98.9 % lie within three deviations in the plane


def test_a_mode_needs_one_point_of_high_quality() -> None:
    near = RING[[0, 1, 2]] + [0.059, 0]
    far = RING[[3, 4]] + [0.061, 0]
    modes, share = mixture_modes(np.concatenate([near, far]), RING, 0.02)
    assert (modes, share) == (3, 0.6)


def test_scores_follow_the_shape() -> None:
    points = at(*range(0, 360, 5), radius=2.0)
    assert point_scores(points, CIRCLE).keys() == {"radius_error", "bins_filled", "reverse_kl"}
    ring = {"shape": "ring", "centers": RING.tolist(), "sigma": 0.02}
    assert point_scores(points, ring) == {"modes": 8, "high_quality": pytest.approx(8 / 72), "reverse_kl": pytest.approx(0)}


def test_refuses_what_cannot_be_scored() -> None:
    points = at(0, 90)
    with pytest.raises(DataError, match="no scores for a distribution of shape 'spiral'"):
        point_scores(points, {"shape": "spiral"})
    with pytest.raises(DataError, match="not finite"):
        point_scores(np.array([[np.nan, 0.0]], dtype=np.float32), CIRCLE)
    with pytest.raises(DataError, match=r"expected \(N, 2\)"):
        point_scores(np.zeros((4, 3), dtype=np.float32), CIRCLE)
    with pytest.raises(DataError, match=r"expected \(N, 2\)"):
        point_scores(np.zeros((0, 2), dtype=np.float32), CIRCLE)
    with pytest.raises(DataError, match="sigma"):
        point_scores(points, {"shape": "grid", "centers": [[0, 0]], "sigma": 0.0})
