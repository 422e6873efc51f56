"""Regularisers of the discriminator as pure functions, each with its paper. All compute in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from gan_core.networks.linear import no_weight_gradients
from gan_core.params.gan import PenaltyParams


def gradient_norms_squared(judge: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Squared norm of the gradient of `judge`'s logits at each of `samples`: (N, ...) -> (N,), differentiable in judge's weights.

    >>> gradient_norms_squared(lambda samples: samples @ torch.tensor([3.0, 4.0]), torch.zeros(2, 2)).tolist()
    [25.0, 25.0]
    """
    inputs = samples.detach().float().requires_grad_(True)
    # Autocast off: half precision loses the small gradients that the penalty is made of.
    with torch.autocast(inputs.device.type, enabled=False), nullcontext() if torch.compiler.is_compiling() else no_weight_gradients():
        (gradients,) = torch.autograd.grad(judge(inputs).sum(), inputs, create_graph=True)
    return gradients.square().flatten(1).sum(dim=1)


def zero_centred_penalty(judge: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """|grad D|^2 / 2, averaged: R1 at real samples, R2 at generated ones (Mescheder et al., 2018, equation 9). A scalar.

    >>> zero_centred_penalty(lambda samples: samples @ torch.tensor([3.0, 4.0]), torch.zeros(2, 2)).item()
    12.5
    """
    return 0.5 * gradient_norms_squared(judge, samples).mean()


def one_centred_penalty(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """(|grad D| - 1)^2 at random points between real and generated samples, averaged (WGAN-GP, Gulrajani et al., 2017). A scalar.

    >>> one_centred_penalty(lambda samples: samples @ torch.tensor([3.0, 4.0]), torch.zeros(2, 2), torch.ones(2, 2)).item()
    16.0
    """
    mix = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    between = torch.lerp(fake.detach().float(), real.float(), mix)
    return ((gradient_norms_squared(judge, between) + 1e-12).sqrt() - 1).square().mean()


def penalties(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weights: PenaltyParams) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The weighted sum of the penalties that `weights` asks for, a scalar, and each one by name, unweighted and detached.

    >>> real, fake = torch.zeros(2, 2), torch.ones(2, 2)
    >>> total, each = penalties(lambda samples: samples @ torch.tensor([3.0, 4.0]), real, fake, PenaltyParams(r1=2))
    >>> total.item(), {name: value.item() for name, value in each.items()}
    (25.0, {'r1': 12.5})
    """
    terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
        "r1": (weights.r1, lambda: zero_centred_penalty(judge, real)),
        "r2": (weights.r2, lambda: zero_centred_penalty(judge, fake)),
        "gradient_penalty": (weights.gradient, lambda: one_centred_penalty(judge, real, fake)),
    }
    values = {name: (weight, penalty()) for name, (weight, penalty) in terms.items() if weight}
    total = sum((weight * value for weight, value in values.values()), start=real.new_zeros(()))
    return total, {name: value.detach() for name, (_, value) in values.items()}


@torch.no_grad()
def clip_weights(parameters: Iterable[nn.Parameter], bound: float) -> None:
    """Clamp every weight to [-bound, bound], in place (WGAN, Arjovsky et al., 2017, algorithm 1).

    >>> layer = nn.Linear(1, 2)
    >>> clip_weights(layer.parameters(), 0.01)
    >>> bool((layer.weight.abs() <= 0.01).all())
    True
    """
    weights: list[Tensor] = list(parameters)
    torch._foreach_clamp_min_(weights, -bound)
    torch._foreach_clamp_max_(weights, bound)
