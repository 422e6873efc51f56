"""The players' losses as small pure functions of logits (N,), each with its paper; lower is better for its player.

`LOSSES[name]` is the pair (discriminator's, generator's). All compute in float32 and return a scalar.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class DiscriminatorLoss(Protocol):
    """Of logits (N,) on real and generated samples; `smoothing` lowers the target of real samples from 1."""

    def __call__(self, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor: ...


class GeneratorLoss(Protocol):
    """Of logits (N,) on generated samples, and on real ones: the relativistic game's needs them, others do without (None)."""

    def __call__(self, fake: Tensor, real: Tensor | None = None) -> Tensor: ...


def cross_entropy_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """-t log D(x) - (1-t) log(1 - D(x)) - log(1 - D(G(z))), t = 1 - smoothing (Goodfellow et al., 2014; Salimans et al., 2016).

    >>> cross_entropy_discriminator(torch.zeros(2), torch.zeros(2)).item()  # undecided: 2 log 2
    1.3862943649291992
    """
    on_real = F.softplus(-real)
    if smoothing:
        on_real = on_real + smoothing * real
    return (on_real + F.softplus(fake)).mean()


def non_saturating_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-log D(G(z)) (Goodfellow et al., 2014, section 3).

    >>> non_saturating_generator(torch.zeros(2)).item()  # log 2
    0.6931471824645996
    """
    return F.softplus(-fake).mean()


def minimax_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """log(1 - D(G(z))): the game's own value, flat where the discriminator wins (Goodfellow et al., 2014, equation 1).

    >>> minimax_generator(torch.zeros(2)).item()
    -0.6931471824645996
    """
    return -F.softplus(fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """((D(x) - 1)^2 + D(G(z))^2) / 2 (Mao et al., 2017).

    >>> least_squares_discriminator(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])).item()
    0.25
    """
    return 0.5 * ((real - 1).square() + fake.square()).mean()


def least_squares_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """(D(G(z)) - 1)^2 / 2 (Mao et al., 2017).

    >>> least_squares_generator(torch.tensor([1.0, 0.0])).item()
    0.25
    """
    return 0.5 * (fake - 1).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim and Ye, 2017; Miyato et al., 2018).

    >>> hinge_discriminator(torch.tensor([2.0, 0.5]), torch.tensor([-2.0, -1.0])).item()
    0.25
    """
    return (F.relu(1 - real) + F.relu(1 + fake)).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """D(G(z)) - D(x): the critic's distance with its sign turned (Arjovsky et al., 2017).

    >>> wasserstein_discriminator(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0])).item()
    -1.5
    """
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-D(G(z)): the generator's side of both the Wasserstein and the hinge game.

    >>> wasserstein_generator(torch.tensor([1.0, 0.0])).item()
    -0.5
    """
    return -fake.mean()


def relativistic_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """-log sigmoid(D(x) - D(G(z))), pair by pair (Jolicoeur-Martineau, 2019; RpGAN in Huang et al., 2024).

    >>> relativistic_discriminator(torch.tensor([5.0]), torch.tensor([5.0])).item()  # log 2, whatever both logits are
    0.6931471824645996
    """
    return F.softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), pair by pair.

    >>> relativistic_generator(torch.tensor([5.0]), torch.tensor([5.0])).item()
    0.6931471824645996
    """
    assert real is not None, "this game compares with real samples"  # noqa: S101
    return F.softplus(real - fake).mean()


LOSSES: dict[str, tuple[DiscriminatorLoss, GeneratorLoss]] = {
    "non-saturating": (cross_entropy_discriminator, non_saturating_generator),
    "minimax": (cross_entropy_discriminator, minimax_generator),
    "least-squares": (least_squares_discriminator, least_squares_generator),
    "hinge": (hinge_discriminator, wasserstein_generator),
    "wasserstein": (wasserstein_discriminator, wasserstein_generator),
    "relativistic": (relativistic_discriminator, relativistic_generator),
}


def matching_loss(similarities: Tensor, temperature: float = 0.1) -> Tensor:
    """How badly N images and their N captions find each other by cosines (N, N), pairs on the diagonal; a scalar.

    The mean of both directions' cross-entropy over softmax(cosines / temperature) (DAMSM's sentence term, Xu et al., 2018; InfoNCE,
    van den Oord et al., 2018).

    >>> round(matching_loss(torch.eye(2), temperature=1.0).item(), 4)  # log(1 + 1 / e)
    0.3133
    """
    logits = similarities.float() / temperature
    pairs = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs))


def standard_normal_divergence(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) of (N, D), summed over D and averaged over N: conditioning augmentation's regulariser
    (Zhang et al., 2017, equation 2). A scalar.

    >>> standard_normal_divergence(torch.ones(4, 3), torch.zeros(4, 3)).item()
    1.5
    """
    terms = mean.square() + (2 * log_std).exp() - 1 - 2 * log_std
    return 0.5 * terms.sum(dim=1).mean()


DECISION_BOUNDARY = {"non-saturating": 0.0, "minimax": 0.0, "least-squares": 0.5}
"""The logit above which a discriminator calls a sample real. Other games have none: to the relativistic one, to a critic and, within its
margin, to the hinge, adding a number to every logit makes no difference."""


def share_called_real(logits: Tensor, loss: str) -> Tensor:
    """The share of samples that the discriminator calls real, 0 to 1, as a scalar tensor, for a loss of `DECISION_BOUNDARY`.

    >>> share_called_real(torch.tensor([0.4, 0.6]), "least-squares").item()
    0.5
    """
    return (logits > DECISION_BOUNDARY[loss]).to(torch.float32).mean()


def share_in_order(higher: Tensor, lower: Tensor) -> Tensor:
    """The share of pairs, one logit of each (N, ...), in which `higher` is above `lower`; a tie is half a pair. 0 to 1, a scalar tensor.

    >>> share_in_order(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])).item()
    0.75
    """
    return 0.5 * ((higher > lower).to(torch.float32) + (higher >= lower).to(torch.float32)).mean()
