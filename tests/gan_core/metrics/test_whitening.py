"""Features in units of what real ones vary by, and the distance of such."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.whitening import Whitening
from tasks.promotion.comparison import compare
from tasks.scoring.by_features import FeatureEvidence, real_kernel_distance


def test_variances_are_those_of_the_closed_form() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 4)) @ random.normal(size=(4, 4)) + 7
    variances = np.linalg.eigvalsh(np.cov(features.T))
    white = Whitening.of(features)(features)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-5)
    expected = np.diag(variances / (variances + 0.1 * variances.mean()))
    np.testing.assert_allclose(np.cov(white.T), expected, atol=1e-5)


def test_few_features_and_features_that_are_alike_stay_finite() -> None:
    few = np.random.default_rng(0).normal(size=(3, 8))
    assert np.isfinite(Whitening.of(few)(few)).all()
    assert not Whitening.of(np.ones((5, 2)))(np.ones((4, 2))).any()
    with pytest.raises(DataError, match="at least 2 are needed"):
        Whitening.of(few[:1])


def test_a_fault_of_a_small_direction_outweighs_a_smaller_one_of_a_large_direction() -> None:
    """One is a tenth of a deviation too bright, the other two deviations off where real ones hardly vary."""

    def drawn(count: int, seed: int, shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
        return (np.array([10.0, 1.0]) * (np.random.default_rng(seed).normal(size=(count, 2)) + shift)).astype(np.float32)

    whitening, real = Whitening.of(drawn(2_000, 0)), drawn(300, 1)
    bright, noisy = (FeatureEvidence(real, drawn(600, 2, shift), whitening=whitening) for shift in ((0.5, 0.0), (0.0, 2.0)))
    by = {metric: compare(bright, noisy, metric, 200, 0.95, 0).probability_better for metric in ("fid", "whitened_kid")}
    assert by["fid"] < 0.025 < 0.975 < by["whitened_kid"]
    assert bright.undecided("whitened_kid") is None


@pytest.mark.parametrize("paired", [False, True])
def test_equals_are_rarely_promoted(paired: bool) -> None:
    """As many directions as samples, one moved one way, the other the other way: 2.5 % promoted are expected, and 2.5 % worse."""
    moved = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        whitening, real = Whitening.of(random.normal(size=(500, 40))), random.normal(size=(40, 40)).astype(np.float32)
        sides = [(0.6 * real * paired + random.normal(shift, 0.8, size=real.shape)).astype(np.float32) for shift in (0.1, -0.1)]
        one, other = (FeatureEvidence(real, side, paired=paired, whitening=whitening) for side in sides)
        share = compare(one, other, "whitened_kid", 100, 0.95, seed).probability_better
        moved.append(min(share, 1 - share) <= 0.025)
    assert np.mean(moved) <= 0.15


def test_what_a_perfect_generator_gets_falls_with_the_samples() -> None:
    def chance(count: int) -> float:
        return real_kernel_distance(np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32), 10 * count, 0)

    few, many = chance(50), chance(500)
    assert few / many == pytest.approx(10, rel=0.5)
