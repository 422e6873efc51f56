"""Kernel distance between two sets of features (KID; Binkowski et al., 2018, arXiv:1801.01401).

The squared maximum mean discrepancy under a kernel, by its unbiased estimator: unlike the Frechet distance its expectation does not
depend on the number of samples, and it can come out slightly negative where two sets are alike. The kernel of published figures is the
cubic one; the Gaussian one sees all moments of the features (CMMD; Jayasumana et al., 2024, arXiv:2401.09603).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.errors import DataError
from gan_core.metrics.bootstrap import Draws

BLOCK = 250  # rows of the kernel matrix held at once: 20 MB against 10,000, which takes less time than more

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Of features (..., N, D) and (..., D, M) each with each: (..., N, M)."""


def cubic(first: Tensor, second: Tensor) -> Tensor:
    """(x.y / D + 1)^3 (Binkowski et al., 2018, section 4).

    >>> cubic(torch.ones(1, 2), torch.ones(2, 1)).item()
    8.0
    """
    inner = (first @ second).div_(first.shape[-1]).add_(1.0)
    return (inner * inner).mul_(inner)


def gaussian(first: Tensor, second: Tensor) -> Tensor:
    """exp(-|x - y|^2 / (2 10^2)): of the width that torch-fidelity 0.4 and CMMD have.

    >>> round(gaussian(torch.zeros(1, 1), torch.full((1, 1), 10.0)).item(), 6)  # exp(-1/2)
    0.606531
    """
    squares = first.square().sum(dim=-1, keepdim=True) + second.square().sum(dim=-2, keepdim=True)
    return (first @ second).mul_(2.0).sub_(squares).clamp_(max=0.0).div_(2.0 * _WIDTH**2).exp_()


_WIDTH = 10.0


def kernel_distance(real: NDArray[Any], generated: NDArray[Any], paired: bool = False, kernel: Kernel = cubic) -> float:
    """The estimate over every pair of (N, D) and (M, D) features, in float64.

    It has the expectation of the usual mean over subsets, and the least variance of all; memory grows with N + M, not N * M.

    Args:
        real: (N, D).
        generated: (M, D).
        paired: whether generated sample i was made for real sample i. A sample is then not held against its own partner, which it
            resembles more than it would another: that would flatter the generator that follows its input most.
        kernel: `cubic` or `gaussian`.

    Raises:
        DataError: the widths differ, fewer than two features on a side, or something not finite.

    >>> features = np.random.default_rng(0).normal(size=(2, 100, 4))
    >>> kernel_distance(features[0], features[1]) < 0.2 < kernel_distance(features[0], features[1] + 1)
    True
    """
    first, second = _checked(real, generated, paired)
    n, m = len(first), len(second)
    within = _sum_within(first, kernel) / (n * (n - 1)) + _sum_within(second, kernel) / (m * (m - 1))
    across = sum(float(kernel(first[start : start + BLOCK], second.T).sum()) for start in range(0, n, BLOCK))
    if paired:
        return within - 2 * (across - float(_of_partners(first, second, kernel).sum())) / (n * (n - 1))
    return within - 2 * across / (n * m)


def kernel_distance_over_subsets(
    real: NDArray[Any], generated: NDArray[Any], subsets: int = 100, size: int = 1_000, seed: int = 2020
) -> tuple[float, float]:
    """Mean and deviation of the estimate over random subsets of `size` from each side: the protocol of published figures.

    Subsets are drawn as torch-fidelity draws them, so the same seed gives the same subsets.

    Raises:
        DataError: as `kernel_distance`, or a side has fewer than `size` features.

    >>> real, generated = np.random.default_rng(0).normal(size=(2, 100, 4))
    >>> mean, deviation = kernel_distance_over_subsets(real, generated, subsets=10, size=50)
    >>> abs(mean) < 0.2, deviation > 0
    (True, True)
    """
    if size > min(len(real), len(generated)):
        raise DataError(f"kernel distance: subsets of {size} from {len(real)} real and {len(generated)} generated features")
    random = np.random.RandomState(seed)
    estimates = [
        kernel_distance(real[random.choice(len(real), size, replace=False)], generated[random.choice(len(generated), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(estimates)), float(np.std(estimates))


def kernel_replicates(
    real: NDArray[Any],
    generated: NDArray[Any],
    real_draws: Draws,
    generated_draws: Draws,
    paired: bool = False,
    kernel: Kernel = cubic,
) -> NDArray[np.float64]:
    """The estimate on each replicate of a bootstrap: (B,). Of a sample that is drawn twice, pairs with itself are left out,
    so that the replicates lie around the estimate of the whole sets. `paired` and `kernel` as in `kernel_distance`; of pairs both draws are
    the same.

    Raises:
        DataError: as `kernel_distance`.
    """
    first, second = _checked(real, generated, paired)
    of_real = _means(first, first, real_draws, real_draws, True, kernel)
    of_generated = _means(second, second, generated_draws, generated_draws, True, kernel)
    return of_real + of_generated - 2 * _means(first, second, real_draws, generated_draws, paired, kernel)


def _means(first: Tensor, second: Tensor, draws: Draws, others: Draws, partners_apart: bool, kernel: Kernel) -> NDArray[np.float64]:
    """The kernel's mean over pairs from two sets, in each replicate: (B,). Over all, or over those of different places."""
    # Sums of the kernel over pairs of bags, once; a replicate is then a quadratic form in how often it takes each bag.
    sums = _sums_of_bags(first, second, draws, others, kernel)
    pairs = (draws.counts @ draws.bag_sizes) * (others.counts @ others.bag_sizes)
    if partners_apart:
        sums -= np.diag(draws.of_bags(_of_partners(first, second, kernel).numpy()))
        pairs -= draws.counts**2 @ draws.bag_sizes
    means: NDArray[np.float64] = (draws.counts @ sums * others.counts).sum(axis=1) / pairs
    return means


def _of_partners(first: Tensor, second: Tensor, kernel: Kernel) -> Tensor:
    """The kernel of each feature with the one at the same place on the other side: (N,)."""
    return kernel(first[:, None, :], second[:, :, None]).flatten()


def _sums_of_bags(first: Tensor, second: Tensor, draws: Draws, others: Draws, kernel: Kernel) -> NDArray[np.float64]:
    """The kernel's sums over all pairs from each two bags: (bags, bags)."""
    starts = np.cumsum([0, *(len(members) for members in others.members[:-1])])
    arranged = second[np.concatenate(others.members)].T
    sums = np.zeros((len(draws.members), len(starts)))
    within = first is second and draws is others
    for row, members in enumerate(draws.members):
        done = row if within else 0  # of a set with itself the two halves are alike
        of_columns = kernel(first[members], arranged[:, starts[done] :]).sum(dim=0)
        sums[row, done:] = np.add.reduceat(of_columns.numpy(), starts[done:] - starts[done])
    return sums + np.triu(sums, 1).T if within else sums


def _checked(real: NDArray[Any], generated: NDArray[Any], paired: bool = False) -> tuple[Tensor, Tensor]:
    if paired and len(real) != len(generated):
        raise DataError(f"kernel distance: {len(real)} real and {len(generated)} generated features are no pairs")
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise DataError(f"kernel distance: features of {real.shape} and {generated.shape} cannot be compared")
    if min(len(real), len(generated)) < 2:
        raise DataError(f"kernel distance: {len(real)} real and {len(generated)} generated features; at least 2 of each are needed")
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        raise DataError("kernel distance: a feature is not finite")
    return torch.from_numpy(real.astype(np.float64)), torch.from_numpy(generated.astype(np.float64))


def _sum_within(features: Tensor, kernel: Kernel) -> float:
    """The kernel's sum over all ordered pairs of different rows."""
    total = -float(_of_partners(features, features, kernel).sum())
    for start in range(0, len(features), BLOCK):
        block, rest = features[start : start + BLOCK], features[start + BLOCK :]
        total += float(kernel(block, block.T).sum()) + 2 * float(kernel(block, rest.T).sum())
    return total
