"""The kernel distance against torch-fidelity, torchmetrics and the estimator written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics import kernel
from gan_core.metrics.kernel import gaussian, kernel_distance, kernel_distance_over_subsets


def two_sets(n: int = 120, m: int = 120, width: int = 16) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(n, width)), draw.normal(0.2, 1.1, size=(m, width))


def torch_fidelity_distance(first: NDArray[np.float64], second: NDArray[np.float64], subsets: int, size: int) -> tuple[float, float]:
    from torch_fidelity.metric_kid import kid_features_to_metric

    result = kid_features_to_metric(
        torch.from_numpy(first), torch.from_numpy(second), kid_subsets=subsets, kid_subset_size=size, rng_seed=7, verbose=False
    )
    return result["kernel_inception_distance_mean"], result["kernel_inception_distance_std"]


def test_agrees_with_torch_fidelity_on_the_full_set() -> None:
    first, second = two_sets()
    expected, _ = torch_fidelity_distance(first, second, subsets=1, size=120)
    assert kernel_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_agrees_with_torch_fidelity_over_subsets() -> None:
    first, second = two_sets(n=120, m=150)
    mean, deviation = kernel_distance_over_subsets(first, second, subsets=6, size=50, seed=7)
    assert (mean, deviation) == pytest.approx(torch_fidelity_distance(first, second, subsets=6, size=50), rel=1e-9)
    assert deviation > 0


def test_under_the_gaussian_kernel_agrees_with_torch_fidelity() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    first, second = (3 * features for features in two_sets())
    given = {"kid_subsets": 1, "kid_subset_size": 120, "kid_kernel": "rbf", "kid_kernel_rbf_sigma": 10.0, "verbose": False}
    expected = kid_features_to_metric(torch.from_numpy(first), torch.from_numpy(second), **given)["kernel_inception_distance_mean"]
    assert kernel_distance(first, second, kernel=gaussian) == pytest.approx(expected, rel=1e-9)
    assert kernel_distance(first, second, kernel=gaussian) > 0.001


def test_agrees_with_torchmetrics() -> None:
    first, second = two_sets()
    from torchmetrics.image.kid import poly_mmd

    expected = float(poly_mmd(torch.from_numpy(first), torch.from_numpy(second)))
    assert kernel_distance(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("block", [7, 1_000])
def test_unequal_counts_against_the_estimator_written_out(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(kernel, "BLOCK", block)
    first, second = two_sets(n=30, m=41, width=5)

    def k(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float((x @ y / 5 + 1) ** 3)

    within = [sum(k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j) / (len(s) * (len(s) - 1)) for s in (first, second)]
    across = sum(k(x, y) for x in first for y in second) / (30 * 41)
    assert kernel_distance(first, second) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_is_unbiased() -> None:
    """Over many small draws from one distribution the mean is 0, where the Frechet distance's would be large."""
    draw = np.random.default_rng(0)
    estimates = [kernel_distance(draw.normal(size=(12, 4)), draw.normal(size=(9, 4))) for _ in range(600)]
    assert abs(np.mean(estimates)) < 3 * np.std(estimates) / np.sqrt(600)
    assert min(estimates) < 0


def test_features_of_a_shifted_distribution_are_farther() -> None:
    first, second = two_sets()
    assert kernel_distance(first, second + 1) > kernel_distance(first, second) > 0


def test_refuses_what_has_no_distance() -> None:
    first, second = two_sets()
    with pytest.raises(DataError, match="cannot be compared"):
        kernel_distance(first[:, :3], second)
    with pytest.raises(DataError, match="at least 2"):
        kernel_distance(first[:1], second)
    with pytest.raises(DataError, match="not finite"):
        kernel_distance(first, np.full_like(second, np.inf))
    with pytest.raises(DataError, match="subsets of 500"):
        kernel_distance_over_subsets(first, second, size=500)
