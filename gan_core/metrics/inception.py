"""Inception Score (Salimans et al., 2016, arXiv:1606.03498), from the probabilities that any classifier gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError


def inception_score(probabilities: NDArray[Any]) -> float:
    """exp of the mean KL(p(class | sample) || p(class)): 1 to K; high where each sample is clearly of a class, and all classes occur.

    It knows nothing of real samples: one image a class, repeated, gets the best score. Published figures average it over 10 parts of
    the samples and use Inception's 1,000 classes.

    Args:
        probabilities: (N, K) of each sample's classes, rows that add up to 1.

    Raises:
        DataError: none, or something that is no probability.

    >>> inception_score(np.array([[1.0, 0.0], [0.0, 1.0]])), inception_score(np.array([[0.5, 0.5]]))
    (2.0, 1.0)
    """
    if probabilities.ndim != 2 or not probabilities.size:
        raise DataError(f"inception score: expected probabilities (N, K), got {probabilities.shape}")
    exact = probabilities.astype(np.float64)
    if not (np.isfinite(exact).all() and (exact >= 0).all() and np.allclose(exact.sum(axis=1), 1, atol=1e-3)):
        raise DataError("inception score: rows must be probabilities that add up to 1")
    return float(np.exp(np.mean(np.sum(_times_log(exact), axis=1)) - np.sum(_times_log(exact.mean(axis=0)))))


def _times_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """p log p, 0 where p is 0."""
    return values * np.log(np.where(values > 0, values, 1.0))
