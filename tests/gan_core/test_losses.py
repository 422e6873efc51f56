"""The losses against their closed forms, written with logarithms in float64, and against gradients derived by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.losses import (
    LOSSES,
    cross_entropy_discriminator,
    matching_loss,
    share_called_real,
    share_in_order,
    standard_normal_divergence,
)
from gan_core.params.gan import Loss

Array = NDArray[np.float64]
REAL = np.array([-2.5, -0.75, 0.5, 1.25, 3.0])
FAKE = np.array([1.5, -3.0, 0.25, -0.5, -1.25])
N = len(REAL)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def discriminator_values(real: Array, fake: Array) -> dict[str, float]:
    cross_entropy = float(np.mean(-np.log(sigmoid(real)) - np.log(1 - sigmoid(fake))))
    return {
        "non-saturating": cross_entropy,
        "minimax": cross_entropy,
        "least-squares": float(np.mean((real - 1) ** 2 + fake**2) / 2),
        "hinge": float(np.mean(np.maximum(0, 1 - real)) + np.mean(np.maximum(0, 1 + fake))),
        "wasserstein": float(np.mean(fake) - np.mean(real)),
        "relativistic": float(np.mean(-np.log(sigmoid(real - fake)))),
    }


def generator_values(real: Array, fake: Array) -> dict[str, float]:
    return {
        "non-saturating": float(np.mean(-np.log(sigmoid(fake)))),
        "minimax": float(np.mean(np.log(1 - sigmoid(fake)))),
        "least-squares": float(np.mean((fake - 1) ** 2) / 2),
        "hinge": float(-np.mean(fake)),
        "wasserstein": float(-np.mean(fake)),
        "relativistic": float(np.mean(-np.log(sigmoid(fake - real)))),
    }


# d(discriminator's loss)/d(real), d/d(fake), d(generator's loss)/d(fake), each times N.
GRADIENTS: dict[str, tuple[Array, Array, Array]] = {
    "non-saturating": (sigmoid(REAL) - 1, sigmoid(FAKE), sigmoid(FAKE) - 1),
    "minimax": (sigmoid(REAL) - 1, sigmoid(FAKE), -sigmoid(FAKE)),
    "least-squares": (REAL - 1, FAKE, FAKE - 1),
    "hinge": (np.where(REAL < 1, -1.0, 0.0), np.where(FAKE > -1, 1.0, 0.0), np.full(N, -1.0)),
    "wasserstein": (np.full(N, -1.0), np.full(N, 1.0), np.full(N, -1.0)),
    "relativistic": (-sigmoid(FAKE - REAL), sigmoid(FAKE - REAL), -sigmoid(REAL - FAKE)),
}


def logits(values: Array) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


def test_every_loss_that_can_be_asked_for_is_there() -> None:
    assert set(LOSSES) == set(get_args(Loss)) == set(GRADIENTS)


@pytest.mark.parametrize("name", LOSSES)
def test_values_are_the_closed_forms(name: str) -> None:
    discriminator, generator = LOSSES[name]
    on_both, on_fake = discriminator(logits(REAL), logits(FAKE)), generator(logits(FAKE), logits(REAL))
    assert on_both.shape == on_fake.shape == ()
    assert on_both.item() == pytest.approx(discriminator_values(REAL, FAKE)[name], rel=1e-6)
    assert on_fake.item() == pytest.approx(generator_values(REAL, FAKE)[name], rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_derived_by_hand(name: str) -> None:
    discriminator, generator = LOSSES[name]
    by_real, by_fake, generator_by_fake = GRADIENTS[name]
    real, fake = logits(REAL), logits(FAKE)
    discriminator(real, fake).backward()
    np.testing.assert_allclose(real.grad, by_real / N, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(fake.grad, by_fake / N, rtol=1e-5, atol=1e-7)
    fake = logits(FAKE)
    generator(fake, logits(REAL)).backward()
    np.testing.assert_allclose(fake.grad, generator_by_fake / N, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "relativistic"])
def test_the_generator_looks_at_real_logits_only_where_pairs_are_judged(name: str) -> None:
    generator = LOSSES[name][1]
    assert generator(logits(FAKE), torch.empty(0)) == generator(logits(FAKE), logits(REAL))


def test_relativistic_pairs_are_judged_one_by_one() -> None:
    """Shifting both logits of a pair changes nothing; pairing the samples otherwise does."""
    discriminator, generator = LOSSES["relativistic"]
    shift = np.array([5.0, -3.0, 0.0, 1.0, -7.0])
    for loss in (discriminator, lambda real, fake: generator(fake, real)):
        value = loss(logits(REAL), logits(FAKE)).item()
        assert loss(logits(REAL + shift), logits(FAKE + shift)).item() == pytest.approx(value, rel=1e-6)
        assert loss(logits(REAL), logits(FAKE[::-1].copy())).item() != pytest.approx(value, rel=1e-3)


def test_smoothing_moves_the_target_of_real_samples_alone() -> None:
    """At D(x) = 1 - smoothing the gradient on real samples is 0, and on generated ones what it was."""
    smoothing = 0.1
    target = math.log((1 - smoothing) / smoothing)
    real, fake = logits(np.array([target, 0.0])), logits(np.array([0.5, -0.5]))
    value = cross_entropy_discriminator(real, fake, smoothing)
    probability = sigmoid(np.array([target, 0.0]))
    by_hand = np.mean(
        -(1 - smoothing) * np.log(probability) - smoothing * np.log(1 - probability) - np.log(1 - sigmoid(np.array([0.5, -0.5])))
    )
    assert value.item() == pytest.approx(by_hand, rel=1e-6)
    value.backward()
    np.testing.assert_allclose(real.grad, [0.0, (0.5 - 0.9) / 2], atol=1e-7)
    np.testing.assert_allclose(fake.grad, sigmoid(np.array([0.5, -0.5])) / 2, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_large_logits_stay_finite_and_keep_their_gradient(name: str) -> None:
    """A discriminator that is certain and wrong is what float32 logarithms of probabilities would make infinite."""
    discriminator, generator = LOSSES[name]
    wrong_real, wrong_fake = logits(np.array([-1e4])), logits(np.array([1e4]))
    loss = discriminator(wrong_real, wrong_fake)
    loss.backward()
    assert math.isfinite(loss.item())
    assert wrong_real.grad is not None
    assert wrong_real.grad.item() <= -0.99
    fake = logits(np.array([-1e4]))
    loss = generator(fake, logits(np.array([1e4])))
    loss.backward()
    assert math.isfinite(loss.item())
    assert fake.grad is not None
    assert abs(fake.grad.item()) == 0 if name == "minimax" else fake.grad.item() <= -0.99


@pytest.mark.parametrize(
    ("loss", "called_real"),
    [("minimax", lambda logit: logit > 0), ("non-saturating", lambda logit: logit > 0), ("least-squares", lambda logit: logit > 0.5)],
)
def test_the_share_called_real_counts_above_the_loss_s_own_boundary(loss: str, called_real: Callable[[Array], Array]) -> None:
    values = np.array([-1.0, 0.0, 0.25, 0.5, 0.75, 2.0, 3.0, 0.4])
    assert share_called_real(logits(values).detach(), loss).item() == called_real(values).mean()


def test_the_share_in_order_is_that_of_pairs_and_a_tie_is_half_of_one() -> None:
    """Whatever number is added to all logits, to which some games are blind."""
    real, fake = np.array([1.0, 2.0, 0.5, -1.0]), np.array([0.0, 3.0, 0.5, -2.0])
    for shift in (0.0, 100.0):
        assert share_in_order(logits(real + shift).detach(), logits(fake + shift).detach()).item() == (2 + 0.5) / 4


def test_matching_loss_is_the_mean_of_both_directions_cross_entropies() -> None:
    cosines = np.array([[0.9, 0.1, -0.3], [0.2, 0.4, 0.6], [-0.5, 0.0, 0.7]])
    logits = cosines / 0.1
    by_image = -np.log(np.exp(np.diag(logits)) / np.exp(logits).sum(axis=1)).mean()
    by_caption = -np.log(np.exp(np.diag(logits)) / np.exp(logits).sum(axis=0)).mean()
    found = matching_loss(torch.from_numpy(cosines)).item()
    assert found == pytest.approx((by_image + by_caption) / 2, rel=1e-5)
    assert matching_loss(torch.zeros(8, 8)).item() == pytest.approx(math.log(8))


def test_divergence_from_the_standard_normal_agrees_with_torch_and_by_numbers() -> None:
    torch.manual_seed(0)
    mean, log_std = torch.randn(5, 3), torch.randn(5, 3)
    normal, standard = torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(normal, standard).sum(dim=1).mean()
    torch.testing.assert_close(standard_normal_divergence(mean, log_std), expected)
    assert standard_normal_divergence(torch.zeros(4, 2), torch.zeros(4, 2)).item() == 0
    # KL(N(1, 4) || N(0, 1)) = (1 + 4 - 1 - log 4) / 2
    assert standard_normal_divergence(torch.ones(1, 1), torch.full((1, 1), math.log(2))).item() == pytest.approx((4 - math.log(4)) / 2)
