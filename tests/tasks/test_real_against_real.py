"""What a perfect generator would get, from held-out samples alone."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from tasks.scoring.by_features import Features, real_distance

SPREAD = np.exp(-np.linspace(0, 2, 20))


def drawn(random: np.random.Generator, count: int) -> Features:
    return (SPREAD * random.normal(size=(count, 20))).astype(np.float32)


@pytest.mark.parametrize(("real", "generated"), [(60, 600), (200, 200), (300, 3_000)])
def test_it_is_what_newly_drawn_real_samples_get(real: int, generated: int) -> None:
    random = np.random.default_rng(0)
    anew = [frechet_distance(*(FeatureStatistics.of(drawn(random, count)) for count in (real, generated))) for _ in range(30)]
    told = [real_distance(drawn(random, real), generated, seed) for seed in range(30)]
    assert np.mean(told) == pytest.approx(np.mean(anew), rel=0.15)
