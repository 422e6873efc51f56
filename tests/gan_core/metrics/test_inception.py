"""The Inception Score against torch-fidelity, torchmetrics and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.inception import inception_score


def some(count: int = 300, classes: int = 7, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits, and the probabilities that they stand for."""
    logits = np.random.default_rng(seed).normal(0, 3, size=(count, classes))
    shares = np.exp(logits)
    return logits, shares / shares.sum(axis=1, keepdims=True)


def test_agrees_with_torch_fidelity() -> None:
    logits, probabilities = some()
    from torch_fidelity.metric_isc import isc_features_to_metric

    found = isc_features_to_metric(torch.from_numpy(logits), splits=1, shuffle=False)
    assert inception_score(probabilities) == pytest.approx(found["inception_score_mean"], rel=1e-9)


def test_the_mean_of_parts_is_that_of_published_figures() -> None:
    logits, probabilities = some()
    from torch_fidelity.metric_isc import isc_features_to_metric

    found = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=False)
    assert np.mean([inception_score(part) for part in np.split(probabilities, 10)]) == pytest.approx(
        found["inception_score_mean"], rel=1e-9
    )


def test_agrees_with_torchmetrics() -> None:
    logits, probabilities = some()
    from torchmetrics.image.inception import InceptionScore

    theirs = InceptionScore(feature=torch.nn.Identity(), splits=1)
    theirs.features = [torch.from_numpy(logits)]
    assert inception_score(probabilities) == pytest.approx(float(theirs.compute()[0]), rel=1e-9)


@pytest.mark.parametrize(
    ("probabilities", "score"),
    [(np.eye(5), 5.0), (np.full((8, 4), 0.25), 1.0), (np.tile([1.0, 0.0, 0.0], (6, 1)), 1.0), (np.repeat(np.eye(4)[:2], 3, axis=0), 2.0)],
)
def test_closed_forms(probabilities: NDArray[np.float64], score: float) -> None:
    assert inception_score(probabilities) == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.ones(3), np.ones((2, 3)), np.array([[np.nan, 1.0]]), np.array([[-0.5, 1.5]])])
def test_what_is_no_probability(wrong: NDArray[np.float64]) -> None:
    with pytest.raises(DataError, match="inception score"):
        inception_score(wrong)
