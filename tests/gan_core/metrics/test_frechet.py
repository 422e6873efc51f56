"""The Frechet distance against torch-fidelity, torchmetrics and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance, frechet_infinity


def two_sets(n: int = 600, m: int = 500, width: int = 32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlated features, some of them never negative as a network's are."""
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(width, width))
    first = np.maximum(draw.normal(size=(n, width)) @ mixing, 0)
    second = np.maximum(draw.normal(0.3, 1.2, size=(m, width)) @ mixing.T, 0)
    return first, second


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return frechet_distance(FeatureStatistics.of(first), FeatureStatistics.of(second))


def torch_fidelity_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(torch.from_numpy(features)) for features in (first, second)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def exact(mean: NDArray[np.float64], covariance: NDArray[np.float64], n: int = 200) -> NDArray[np.float64]:
    """Features whose sample mean and covariance are exactly the given ones."""
    draw = np.random.default_rng(1).normal(size=(n, len(mean)))
    draw -= draw.mean(axis=0)
    whitening = np.linalg.inv(np.linalg.cholesky(np.cov(draw, rowvar=False))).T
    return draw @ whitening @ np.linalg.cholesky(covariance).T + mean


def test_agrees_with_torch_fidelity() -> None:
    first, second = two_sets()
    assert distance(first, second) == pytest.approx(torch_fidelity_distance(first, second), rel=1e-6)


def test_agrees_with_torchmetrics() -> None:
    first, second = two_sets()
    statistics = [torch.from_numpy(value) for features in (first, second) for value in (features.mean(0), np.cov(features, rowvar=False))]
    from torchmetrics.image.fid import _compute_fid

    assert distance(first, second) == pytest.approx(float(_compute_fid(*statistics)), rel=1e-6)


def test_fewer_samples_than_columns() -> None:
    first, second = two_sets(n=20, m=15, width=64)
    # Without covariances: with centred features X and Y the overlap is the sum of singular values of X Y'.
    x, y = (features - features.mean(axis=0) for features in (first, second))
    overlap = np.linalg.svd(x @ y.T, compute_uv=False).sum() / np.sqrt(19 * 14)
    spread = (x**2).sum() / 19 + (y**2).sum() / 14
    expected = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum() + spread - 2 * overlap
    assert distance(first, second) == pytest.approx(expected, rel=1e-10)
    assert distance(first, second) == pytest.approx(torch_fidelity_distance(first, second), rel=1e-6)


def test_gaussians_whose_covariances_commute() -> None:
    first = exact(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 9.0]))
    second = exact(np.array([0.0, 2.0, 5.0]), np.diag([4.0, 4.0, 0.25]))
    # |m1 - m2|^2 + sum (s1 - s2)^2
    assert distance(first, second) == pytest.approx((1 + 0 + 4) + (1 + 0 + 2.5**2), rel=1e-9)


def test_gaussians_whose_covariances_do_not_commute() -> None:
    a, b = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
    # For 2 x 2 matrices Tr sqrt(M) = sqrt(Tr M + 2 sqrt(det M)).
    expected = 5.0 + np.trace(a + b) - 2 * np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    assert distance(exact(np.zeros(2), a), exact(np.array([1.0, 2.0]), b)) == pytest.approx(expected, rel=1e-9)


def test_a_set_against_itself_is_zero() -> None:
    first, _ = two_sets()
    scale = np.trace(np.cov(first, rowvar=False))
    assert 0 <= distance(first, first) < 1e-12 * scale
    few = first[:10]  # a singular covariance
    assert 0 <= distance(few, few) < 1e-12 * scale


def test_is_symmetric() -> None:
    first, second = two_sets(n=40, width=64)
    assert distance(first, second) == pytest.approx(distance(second, first), rel=1e-9)


def test_a_set_without_variance() -> None:
    first, _ = two_sets()
    constant = np.full((30, first.shape[1]), 2.0)
    expected = ((first.mean(axis=0) - 2.0) ** 2).sum() + np.trace(np.cov(first, rowvar=False))
    assert distance(first, constant) == pytest.approx(expected, rel=1e-9)
    assert distance(constant, constant) == 0


def test_batches_give_what_the_whole_gives() -> None:
    features, _ = two_sets()
    running = FeatureStatistics(features.shape[1])
    for batch in np.split(features, [1, 2, 100, 100, 577]):
        running.update(batch)
    half = FeatureStatistics.of(features[:250])
    half.merge(FeatureStatistics.of(features[250:]))
    half.merge(FeatureStatistics(features.shape[1]))
    for statistics in (running, half):
        assert statistics.count == len(features)
        np.testing.assert_allclose(statistics.mean, features.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), rtol=1e-11, atol=1e-13)


def test_a_large_mean_does_not_swallow_the_variance() -> None:
    small = np.random.default_rng(0).normal(size=(1_000, 3))
    running = FeatureStatistics(3)
    for batch in np.split(small + 1e7, 10):
        running.update(batch)
    np.testing.assert_allclose(running.covariance, np.cov(small, rowvar=False), rtol=1e-6, atol=1e-8)


def test_sums_of_float32_features_are_taken_in_float64() -> None:
    features = np.full((4, 1), 2.0**24 + 2, dtype=np.float32)
    features[0] = 2.0**24
    assert FeatureStatistics.of(features).mean[0] == 2.0**24 + 1.5


def test_refuses_what_has_no_distance() -> None:
    first, second = two_sets()
    with pytest.raises(DataError, match="not finite"):
        FeatureStatistics.of(np.where(first > 3, np.nan, first))
    with pytest.raises(DataError, match="at least 2"):
        distance(first[:1], second)
    with pytest.raises(DataError, match="cannot be compared"):
        distance(first[:, :5], second)
    with pytest.raises(DataError, match="expected"):
        FeatureStatistics(4).update(first)


class TestInfinity:
    def test_is_where_numpys_line_meets_zero(self) -> None:
        real, generated = two_sets(n=300, m=400, width=8)
        sizes = np.linspace(40, 400, 15).astype(int)
        line = np.polyfit(1 / sizes, [distance(real, generated[:size]) for size in sizes], 1)
        assert frechet_infinity(real, generated) == pytest.approx(line[1], rel=1e-9)

    def test_takes_away_what_few_samples_add(self) -> None:
        """Two equal normal distributions are at distance 0, and 2,000 samples of one say more, by about 1 / n."""
        draw = np.random.default_rng(0)
        real, generated = exact(np.zeros(64), np.eye(64)), draw.normal(size=(2_000, 64))
        biased = distance(real, generated)
        assert biased > 0.2
        assert abs(frechet_infinity(real, generated)) < biased / 4

    def test_a_true_distance_stays(self) -> None:
        real, generated = exact(np.zeros(4), np.eye(4)), np.random.default_rng(2).normal(size=(5_000, 4)) + 1.0
        assert frechet_infinity(real, generated) == pytest.approx(4.0, rel=0.05)

    def test_too_few(self) -> None:
        with pytest.raises(DataError, match="19 are too few to extrapolate from; at least 20"):
            frechet_infinity(np.zeros((50, 2)), np.zeros((19, 2)))
