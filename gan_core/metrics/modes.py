"""Which classes a generator draws, as a classifier sees them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError


def modes_found(predicted: NDArray[np.int64]) -> int:
    """Number of classes among predictions (N,) that appear at least once (the protocol of stacked MNIST; Metz et al., 2017)."""
    return len(np.unique(predicted))


def label_accuracy(predicted: NDArray[np.int64], asked: NDArray[np.int64]) -> float:
    """Share of samples (N,) that are classified as the class they were asked for, 0 to 1."""
    if predicted.shape != asked.shape or not len(asked):
        raise DataError(f"label accuracy: {predicted.shape} predictions for {asked.shape} labels")
    return float(np.mean(predicted == asked))


def reverse_kl(generated: NDArray[np.int64], real: NDArray[np.int64], classes: int) -> float:
    """KL(generated || real) between the shares of classes, in nats (Srivastava et al., 2017; Lin et al., 2018).

    0 where the shares are equal; infinite where a generated class is not among the real ones.

    Args:
        generated: class of each generated sample, (N,) of 0 to classes - 1.
        real: class of each real sample, (M,).
        classes: how many there are.

    Raises:
        DataError: a side is empty or holds something else than classes.
    """
    for name, labels in (("generated", generated), ("real", real)):
        if not len(labels) or labels.min() < 0 or labels.max() >= classes:
            raise DataError(f"reverse KL: expected {name} labels of 0 to {classes - 1}")
    shares = np.bincount(generated, minlength=classes) / len(generated)
    target = np.bincount(real, minlength=classes) / len(real)
    drawn = shares > 0
    if (target[drawn] == 0).any():
        return math.inf
    return max(0.0, float(np.sum(shares[drawn] * np.log(shares[drawn] / target[drawn]))))
