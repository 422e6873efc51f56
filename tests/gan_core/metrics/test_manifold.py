"""Precision, recall, density and coverage against torch-fidelity, prdc where it is installed, and the definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics import manifold
from gan_core.metrics.manifold import ManifoldScores, manifold_scores


def two_sets(n: int = 150, m: int = 110, width: int = 6) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(n, width)), draw.normal(0.5, 0.7, size=(m, width))


def by_definition(real: NDArray[np.float64], generated: NDArray[np.float64], k: int) -> ManifoldScores:
    """Balls one by one, from differences of coordinates."""

    def radius(own: NDArray[np.float64], i: int) -> float:
        others = np.delete(own, i, axis=0)
        return float(np.sort(np.linalg.norm(others - own[i], axis=1))[k - 1])

    real_radii = [radius(real, i) for i in range(len(real))]
    generated_radii = [radius(generated, j) for j in range(len(generated))]
    in_real = [[np.linalg.norm(y - x) <= r for x, r in zip(real, real_radii, strict=True)] for y in generated]
    in_generated = [[np.linalg.norm(x - y) <= r for y, r in zip(generated, generated_radii, strict=True)] for x in real]
    return ManifoldScores(
        precision=float(np.mean([any(balls) for balls in in_real])),
        recall=float(np.mean([any(balls) for balls in in_generated])),
        density=float(np.mean([sum(balls) for balls in in_real])) / k,
        coverage=float(np.mean(np.any(in_real, axis=0))),
    )


@pytest.mark.parametrize("block", [13, 1_000])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_agrees_with_the_definitions(monkeypatch: pytest.MonkeyPatch, k: int, block: int) -> None:
    monkeypatch.setattr(manifold, "BLOCK", block)
    real, generated = two_sets()
    scores, expected = manifold_scores(real, generated, k), by_definition(real, generated, k)
    # Shares are counts over counts; only the division may round.
    assert vars(scores) == pytest.approx(vars(expected), rel=1e-12)
    assert 0.05 < scores.recall < scores.precision < 1  # the sets are such that it matters


def test_precision_and_recall_agree_with_torch_fidelity() -> None:
    real, generated = two_sets()
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    precision, recall = calculate_precision_recall_full(torch.from_numpy(generated), torch.from_numpy(real), neighborhood=5)
    scores = manifold_scores(real, generated)
    # torch-fidelity averages in float32.
    assert (scores.precision, scores.recall) == pytest.approx((precision, recall), rel=1e-6)


def test_all_four_agree_with_prdc(capsys: pytest.CaptureFixture[str]) -> None:
    prdc = pytest.importorskip("prdc", reason="the reference implementation prdc is not installed")
    real, generated = two_sets()
    assert vars(manifold_scores(real, generated)) == pytest.approx(prdc.compute_prdc(real, generated, nearest_k=5), rel=1e-9)


def test_two_draws_of_one_distribution() -> None:
    draw = np.random.default_rng(0)
    scores = manifold_scores(draw.normal(size=(1_500, 4)), draw.normal(size=(1_500, 4)))
    assert scores.density == pytest.approx(1, abs=0.05)
    assert scores.coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_a_mode_that_is_missing_lowers_recall_and_coverage_alone() -> None:
    draw = np.random.default_rng(0)
    left, right = draw.normal(-10, 1, size=(200, 3)), draw.normal(10, 1, size=(200, 3))
    scores = manifold_scores(np.concatenate([left, right]), draw.normal(-10, 1, size=(400, 3)))
    assert scores.precision > 0.9
    assert scores.recall <= 0.5
    assert scores.coverage <= 0.5


def test_one_image_repeated_is_precise_and_recalls_nothing() -> None:
    real, _ = two_sets()
    scores = manifold_scores(real, np.repeat(real[:1], 100, axis=0))
    assert scores.precision == 1
    assert scores.recall == pytest.approx(1 / len(real))  # the sample itself
    assert scores.coverage < 0.2


def test_far_from_the_origin_nothing_changes() -> None:
    real, generated = two_sets()
    assert manifold_scores(real + 1e6, generated + 1e6) == manifold_scores(real, generated)


def test_refuses_what_has_no_neighbours() -> None:
    real, generated = two_sets()
    with pytest.raises(DataError, match="more than 5 of each"):
        manifold_scores(real[:5], generated)
    with pytest.raises(DataError, match="cannot be compared"):
        manifold_scores(real[:, :2], generated)
    with pytest.raises(DataError, match="not finite"):
        manifold_scores(real, np.full_like(generated, np.nan))
