"""Latents against what the normal distribution and the sphere say of them."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from gan_core import latents
from gan_core.errors import ConfigError


def test_independent_latents_are_normal_and_a_function_of_the_seed() -> None:
    drawn = latents.independent(2_000, 3, seed=5)
    assert drawn.shape == (2_000, 3)
    assert torch.equal(drawn, latents.independent(2_000, 3, seed=5))
    assert not torch.equal(drawn, latents.independent(2_000, 3, seed=5 + 2**32))
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("bound", [0.3, 1.0, 2.5])
def test_truncated_latents_follow_the_truncated_normal_distribution(bound: float) -> None:
    drawn = latents.independent(2_000, 3, seed=0, truncation=bound)
    assert drawn.abs().max() <= bound
    assert stats.kstest(drawn.flatten().numpy(), stats.truncnorm(-bound, bound).cdf).pvalue > 0.01


def test_a_walk_passes_its_stops_stays_on_the_sphere_and_closes() -> None:
    count = 5 * latents.FRAMES
    way = latents.walk(count, 64, seed=2)
    stops = latents.independent(5, 64, seed=2)
    assert torch.allclose(way[:: latents.FRAMES], stops)
    lengths = way.norm(dim=1)
    assert lengths.min() > 0.9 * stops.norm(dim=1).min()
    assert lengths.max() < 1.1 * stops.norm(dim=1).max()
    steps = (way - way.roll(-1, 0)).norm(dim=1)
    assert steps.max() < 3 * steps.median()


@pytest.mark.parametrize("count", [3, 8, 10, 16])
def test_a_walk_of_few_latents_moves_all_the_same(count: int) -> None:
    way = latents.walk(count, 64, seed=0)
    steps = (way - way.roll(-1, 0)).norm(dim=1)
    assert steps.min() > 0.3 * steps.max()
    assert torch.allclose(way[0], latents.independent(3, 64, seed=0)[0])


@pytest.mark.parametrize("count", [1, 2])
def test_a_walk_that_cannot_go_anywhere_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"walk: {count} samples go nowhere; ask for 3 at least"):
        latents.walk(count, 4, seed=0)
