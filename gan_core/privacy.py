"""Differential privacy of the rows that a generator learns from (DP-SGD: Abadi et al., 2016), counted and clipped by Opacus.

Each step sees each row with the same small chance (`gan_core.data.shuffle.ByChance`); the gradient of each row is shortened to a length,
and noise is added to their sum. The norm of a row's gradient needs no gradient a row (ghost clipping: Li et al., 2022).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gan_core.errors import ConfigError
from gan_core.networks.common import LabelEmbedding
from gan_core.networks.linear import Linear

if TYPE_CHECKING:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    from gan_core.params.tabular import PrivacyParams

EXTRA = "pip install 'gantry-gan[privacy]'"
_ACCOUNTANT = "rdp"  # of Opacus's, the one whose numbers are a bound and the same everywhere (Mironov et al., 2019)


@dataclass(frozen=True)
class Privacy:
    """What a training promises of each row, and by what: of the weights alone, whatever is done with them later."""

    epsilon: float
    delta: float
    clip: float
    """Length that a row's gradient is shortened to, where it is longer."""
    noise: float
    """Standard deviation of what is added to the sum of gradients, over `clip`."""
    rows: int
    """That are learned from."""
    share: float
    """Chance of each row to be in a step."""
    steps: int
    accountant: str
    """Who says so."""

    def as_record(self) -> dict[str, Any]:
        """As run.json has it."""
        return asdict(self)

    @property
    def in_words(self) -> str:
        """What is promised and what is not, in three sentences."""
        return (
            f"Trained with differential privacy of each row: epsilon {self.epsilon:g}, delta {self.delta:g}, by {self.steps:,} steps that "
            f"saw a row with a chance of {self.share:.3g} each, gradients of at most {self.clip:g} and noise of {self.noise:.3g} times "
            f"that ({self.accountant}). It holds of the network's weights; what describes the columns (ranges, modes, frequent values, "
            "categories), and all figures here, are of the rows as they are. Epsilons of several trainings on the same rows add up."
        )


def promised(params: PrivacyParams, rows: int, batch: int, budget: int) -> Privacy:
    """What a training with such a batch and budget, in rows, has to do for the epsilon and delta that are asked for.

    Raises:
        ConfigError: Opacus is missing, or no noise keeps that promise with so few rows.
    """
    if params.delta >= 1 / rows:
        raise ConfigError(
            f"train.privacy.delta: {params.delta:g} is no less than one in {rows:,} rows, which allows to give a row away; write less than "
            f"{1 / rows:.0e}"
        )
    if batch > rows:
        raise ConfigError(f"train.batch: {batch:,} rows a step, and there are {rows:,}; with train.privacy write a tenth of them or less")
    steps = math.ceil(budget / batch)
    try:
        noise = _noise(params.epsilon, params.delta, batch / rows, steps)
    except ImportError:
        raise ConfigError(f"train.privacy: needs Opacus; install it: {EXTRA}") from None
    except ValueError as error:
        raise ConfigError(f"train.privacy.epsilon: {params.epsilon:g} cannot be kept over {steps:,} steps ({error})") from None
    said = f"Opacus {version('opacus')}, {_ACCOUNTANT}"
    return Privacy(params.epsilon, params.delta, params.clip, noise, rows, batch / rows, steps, said)


@cache
def _noise(epsilon: float, delta: float, share: float, steps: int) -> float:
    from opacus.accountants.utils import get_noise_multiplier

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that another accountant would find a tighter bound
        return float(
            get_noise_multiplier(target_epsilon=epsilon, target_delta=delta, sample_rate=share, steps=steps, accountant=_ACCOUNTANT)
        )


def private_loss(network: nn.Module, losses: Callable[[], Tensor], privacy: Privacy) -> tuple[Tensor, Tensor]:
    """A scalar whose gradient is what DP-SGD moves the network's weights by: that of each row's loss, shortened, summed, with noise, over
    the expected number of rows. It is linear in the weights. Beside it the sum of the losses over that number, detached, which nothing
    protects. Noise is drawn from torch's global random state.

    Args:
        network: in training mode; each of its layers sees a row apart from all others.
        losses: of each row, (N,), from the network's layers, each called once; N may be 0.
        privacy: what was promised.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    expected = privacy.share * privacy.rows
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that a first layer's input has no gradient, and the like
        norms = _with_norms(network, privacy.clip)
        try:
            of_rows = losses()
            if len(of_rows):  # functorch, which counts for layers that Opacus has no rule for, takes no empty batch
                torch.autograd.grad(of_rows.sum(), weights, retain_graph=True)
                norms.disable_hooks()
                shortened = torch.autograd.grad((of_rows * norms.get_clipping_coef()).sum(), weights)
            else:
                shortened = tuple(map(torch.zeros_like, weights))
        finally:
            norms.to_standard_module()
    length = privacy.noise * privacy.clip
    moved = [(total + length * torch.randn_like(total)) / expected for total in shortened]
    loss = torch.stack([(weight * gradient).sum() for weight, gradient in zip(weights, moved, strict=True)]).sum()
    return loss, of_rows.detach().sum() / expected


def _with_norms(network: nn.Module, clip: float) -> GradSampleModuleFastGradientClipping:
    """The network, whose layers keep the norms of rows' gradients until it is a standard module again."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping, register_grad_sampler, register_norm_sampler
    from opacus.grad_sample.embedding import compute_embedding_grad_sample
    from opacus.grad_sample.embedding_norm_sample import compute_embedding_norm_sample
    from opacus.grad_sample.linear import compute_linear_grad_sample, compute_linear_norm_sample

    for layer, gradient, norm in (
        (Linear, compute_linear_grad_sample, compute_linear_norm_sample),
        (LabelEmbedding, compute_embedding_grad_sample, compute_embedding_norm_sample),
    ):
        register_grad_sampler(layer)(gradient)
        register_norm_sampler(layer)(norm)
    # Not strict, since constants of the encoding are buffers, which no row changes.
    return GradSampleModuleFastGradientClipping(network, loss_reduction="sum", strict=False, max_grad_norm=clip)
