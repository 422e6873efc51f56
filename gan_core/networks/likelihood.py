"""How networks of dense layers learn the values of rows, a network a value: their cross-entropy, and its gradient with it.

A network's gradient is known as soon as its logits are. So each is run forwards and backwards before the next one, while its numbers lie in
the processor's cache; torch's backward pass would begin once all have run, by a graph of some hundred nodes, and find the gradients of what
the rows hold, too, which nobody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gan_core.networks.common import Dropout
from gan_core.networks.linear import Linear, linear


def learns_at_once(begun: Tensor) -> bool:
    """Whether `cross_entropy` is to be had: where gradients are wanted, of float32 on a CPU.

    Args:
        begun: as `cross_entropy` takes it.
    """
    return (
        torch.is_grad_enabled()
        and begun.device.type == "cpu"
        and begun.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def cross_entropy(
    networks: Sequence[nn.Sequential], begun: Tensor, later: Tensor, targets: Sequence[Tensor], lowered: Sequence[Tensor] | None
) -> Tensor:
    """The sum over the networks of their cross-entropies, as a mean over rows: a scalar, whose gradient can be taken once.

    Args:
        networks: dense layers, each hidden one followed by ReLU and perhaps dropout.
        begun: what all see first (N, F), which is learned too.
        later: the rows, of which each sees the first entries, as many as it has inputs left (N, W).
        targets: what each is to give, a share of each option, (N, K).
        lowered: what its logits are lowered by, (N, K), of the first ones; None where nothing is.
    """
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        begun, later, targets, lowered or (), networks, *(weight for network in networks for weight in network.parameters())
    )
    return loss


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        begun: Tensor,
        later: Tensor,
        targets: Sequence[Tensor],
        lowered: Sequence[Tensor],
        networks: Sequence[nn.Sequential],
        *weights: Tensor,
    ) -> Tensor:
        seen = torch.cat([begun, later], dim=1)
        total = begun.new_zeros(len(begun))
        of_begun: list[Tensor] = []
        ctx.of_weights = []
        for place, (network, target) in enumerate(zip(networks, targets, strict=True)):
            layers: list[Linear] = []
            inputs: list[Tensor] = []
            features = seen[:, : inputs_of(network)].contiguous()
            for module in network:
                if isinstance(module, Linear):
                    layers.append(module)
                    inputs.append(features)
                features = module(features)
            shares = (features + lowered[place] if place < len(lowered) else features).log_softmax(dim=1)
            total -= (shares * target).sum(dim=1)
            gradient = torch._log_softmax_backward_data(target * (-1 / len(begun)), shares, 1, shares.dtype)
            scale = _scale(network)
            found: list[Tensor] = []
            for layer, given in zip(reversed(layers), reversed(inputs), strict=True):
                found += [gradient.sum(dim=0), linear(gradient.T, given.T)]
                if layer is not layers[0]:
                    # Of a hidden unit that ReLU or dropout has closed, what is given is 0.
                    gradient = torch.ops.aten.threshold_backward(linear(gradient, layer.weight.T), given, 0)
                    gradient.mul_(scale)
            ctx.of_weights += reversed(found)
            if ctx.needs_input_grad[0]:
                of_begun.append(linear(gradient, layers[0].weight[:, : begun.shape[1]].T))
        ctx.of_begun = sum(reversed(of_begun)) if of_begun else None  # in the order in which a backward pass comes by
        return total.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (factor,) = gradients
        of_begun = None if ctx.of_begun is None else ctx.of_begun * factor
        return of_begun, None, None, None, None, *torch._foreach_mul(ctx.of_weights, factor)


def inputs_of(network: nn.Sequential) -> int:
    """How many numbers it sees."""
    return cast(Linear, network[0]).in_features


def _scale(network: nn.Sequential) -> float:
    """What its dropout multiplies the units by that it keeps."""
    return next((module.scale for module in network if isinstance(module, Dropout) and module.training), 1.0)
