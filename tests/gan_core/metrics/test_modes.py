"""Classes found, asked for and shared out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy

from gan_core.errors import DataError
from gan_core.metrics.modes import label_accuracy, modes_found, reverse_kl


def test_modes_are_classes_that_appear() -> None:
    assert modes_found(np.array([3, 3, 7, 0, 3])) == 3
    assert modes_found(np.zeros(50, dtype=np.int64)) == 1


def test_label_accuracy_is_the_share_of_right_ones() -> None:
    assert label_accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 3])) == 0.75
    with pytest.raises(DataError, match="predictions for"):
        label_accuracy(np.array([0]), np.array([0, 1]))
    with pytest.raises(DataError, match="predictions for"):
        label_accuracy(np.array([], dtype=np.int64), np.array([], dtype=np.int64))


def test_reverse_kl_agrees_with_scipy() -> None:
    draw = np.random.default_rng(0)
    generated, shares = draw.integers(0, 8, 500) * draw.integers(0, 2, 500), draw.dirichlet(np.ones(8))
    found = np.bincount(generated, minlength=8) / len(generated)
    assert reverse_kl(generated, shares) == pytest.approx(entropy(found, shares), rel=1e-12)


def test_reverse_kl_of_a_collapse_is_the_logarithm_of_the_classes() -> None:
    assert reverse_kl(np.full(90, 4), np.full(1_000, 1e-3)) == pytest.approx(math.log(1_000))
    assert reverse_kl(np.arange(10), np.full(10, 0.1)) == 0
    assert reverse_kl(np.array([0, 1]), np.array([1.0, 0.0])) == math.inf
    for labels in ([0, 2], [-1], []):
        with pytest.raises(DataError, match="generated labels of 0 to 1"):
            reverse_kl(np.array(labels, dtype=np.int64), np.array([0.5, 0.5]))
