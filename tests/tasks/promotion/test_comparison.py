"""The paired bootstrap: what it says of generators that are equal, better and worse, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gan_core.errors import DataError
from tasks.promotion.comparison import Comparison, compare
from tasks.scoring import Evidence
from tasks.scoring.images import ImageEvidence


def features(count: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(shift, 1, size=(count, 6)).astype(np.float32)


def of(generated: NDArray[np.float32], real: NDArray[np.float32] | None = None) -> ImageEvidence:
    return ImageEvidence(features(200, 0) if real is None else real, generated, None, None)


def compared(challenger: Evidence, champion: Evidence, metric: str = "fid", seed: int = 0) -> Comparison:
    return compare(challenger, champion, metric, replicates=300, confidence=0.9, seed=seed)


class Means(Evidence):
    """A generator whose score is the mean of what it drew, less that of the real samples."""

    def __init__(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> None:
        self.real, self.generated = real, generated
        self.n_real, self.n_generated = len(real), len(generated)

    def scores(self) -> dict[str, float]:
        return {"recall": self.score("recall")}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        shift = self.real[real].mean() if len(self.real) else 0.0
        return float(self.generated[generated].mean() - shift)


@pytest.mark.parametrize("metric", ["fid", "kid", "precision", "recall", "density", "coverage"])
def test_a_much_better_one_is_better_in_every_resample(metric: str) -> None:
    good, bad = of(features(400, 1)), of(features(400, 2, shift=2.0))
    found = compared(good, bad, metric)
    assert found.probability_better == 1.0
    assert found.gain > 0
    assert compared(bad, good, metric).probability_better == 0.0
    low, high = found.interval
    assert low < found.difference < high
    assert (low < 0) == (high < 0) == (found.difference < 0)
    assert (found.challenger, found.champion) == (
        pytest.approx(good.scores()[metric], rel=1e-5),
        pytest.approx(bad.scores()[metric], rel=1e-5),
    )


def test_the_same_generator_is_a_draw() -> None:
    found = compared(of(features(400, 1)), of(features(400, 1)))
    assert (found.probability_better, found.interval, found.difference) == (0.5, (0.0, 0.0), 0.0)


def test_is_a_function_of_its_arguments() -> None:
    one, other = of(features(400, 1)), of(features(400, 2, shift=0.1))
    assert compared(one, other) == compared(one, other)
    assert compared(one, other, seed=1) != compared(one, other)


def test_what_is_an_accident_of_the_real_samples_cancels() -> None:
    random = np.random.default_rng(0)
    real, drawn = random.normal(0, 100, 300), random.normal(0, 1, 300)
    found = compared(Means(real, drawn + 0.5), Means(real, drawn), "recall")
    # Both share latents and real samples, so the difference is known exactly however far apart the real samples are.
    np.testing.assert_allclose(found.interval, (0.5, 0.5), atol=1e-5)


def test_the_interval_is_that_of_a_difference_of_means() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0.1, 1, 2_000), random.normal(0, 1, 2_000)
    none = np.zeros(0)
    found = compare(Means(none, one), Means(none, other), "recall", replicates=1_000, confidence=0.9, seed=0)
    half = 1.645 * np.std(one - other) / np.sqrt(2_000)
    expected = (found.difference - half, found.difference + half)
    np.testing.assert_allclose(found.interval, expected, atol=0.2 * half)


@pytest.mark.parametrize(("confidence", "drawn"), [(0.9, 200), (0.95, 200), (0.99, 500)])
def test_slow_scores_are_resampled_less_often(confidence: float, drawn: int) -> None:
    one, other = (Means(np.zeros(0), features(30, seed)[:, 0]) for seed in (1, 2))
    one.slow = frozenset({"recall"})
    assert compare(one, other, "recall", replicates=1_000, confidence=confidence, seed=0).replicates == drawn


def test_unequal_numbers_are_not_compared() -> None:
    with pytest.raises(DataError, match="on 200 real and 400 generated samples for the challenger and 200 real and 300 generated samples"):
        compared(of(features(400, 1)), of(features(300, 2)))


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(spoil: float) -> None:
    generated = features(400, 1)
    generated[7, 2] = spoil
    with pytest.raises(DataError, match="not finite"):
        compared(of(generated), of(features(400, 2)))


def as_good_by_chance(trial: int) -> tuple[Evidence, Evidence]:
    real = features(100, 10_000 + trial)
    return of(features(300, 3 * trial, shift=0.3), real), of(features(300, 3 * trial + 1, shift=-0.3), real)


def clearly_better(trial: int) -> tuple[Evidence, Evidence]:
    real = features(100, 10_000 + trial)
    return of(features(300, 3 * trial, shift=0.2), real), of(features(300, 3 * trial + 1, shift=0.5), real)


@pytest.mark.parametrize(("pair", "low", "high"), [(as_good_by_chance, 0.0, 0.12), (clearly_better, 0.9, 1.0)])
def test_how_often_it_is_sure(pair: Callable[[int], tuple[Evidence, Evidence]], low: float, high: float) -> None:
    """A small calibration; benchmarks/gate_calibration.py is the large one. 5 % are to be expected of equals."""
    sure = [compare(*pair(trial), "fid", replicates=100, confidence=0.95, seed=trial).probability_better >= 0.95 for trial in range(100)]
    assert low <= np.mean(sure) <= high
