"""Which classes a generator draws, as a classifier sees them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError


def modes_found(predicted: NDArray[np.int64]) -> int:
    """Number of classes among predictions (N,) that appear at least once (the protocol of stacked MNIST; Metz et al., 2017).

    >>> modes_found(np.array([3, 3, 7]))
    2
    """
    return len(np.unique(predicted))


def label_accuracy(predicted: NDArray[np.int64], asked: NDArray[np.int64]) -> float:
    """Share of samples (N,) that are classified as the class they were asked for, 0 to 1.

    >>> label_accuracy(np.array([3, 3, 7, 7]), np.array([3, 3, 7, 8]))
    0.75
    """
    if predicted.shape != asked.shape or not len(asked):
        raise DataError(f"label accuracy: {predicted.shape} predictions for {asked.shape} labels")
    return float(np.mean(predicted == asked))


def reverse_kl(generated: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    """KL(generated || real) between the shares of classes, in nats (Srivastava et al., 2017; Lin et al., 2018).

    0 where the shares are equal; infinite where a generated class is not among the real ones.

    Args:
        generated: class of each generated sample, (N,) of 0 to K - 1.
        shares: of each class among real samples, (K,), which add up to 1.

    Raises:
        DataError: there are no generated samples, or one is of none of the classes.

    >>> reverse_kl(np.array([0, 1]), np.array([0.5, 0.5])), round(reverse_kl(np.array([0, 0]), np.array([0.5, 0.5])), 4)  # log 2
    (0.0, 0.6931)
    """
    if not len(generated) or generated.min() < 0 or generated.max() >= len(shares):
        raise DataError(f"reverse KL: expected generated labels of 0 to {len(shares) - 1}")
    found = np.bincount(generated, minlength=len(shares)) / len(generated)
    drawn = found > 0
    if (shares[drawn] == 0).any():
        return math.inf
    return max(0.0, float(np.sum(found[drawn] * np.log(found[drawn] / shares[drawn]))))
