"""The moving average of a generator's weights, which is what is shipped (Yaz et al., 2019; Karras et al., 2018)."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_POWER_ITERATIONS = 32
"""Enough for the largest singular value of a network's weights to three digits, from vectors that were near."""


class Average:
    """An exponential moving average of a network: its half-life is counted in images, and shorter while a run is young, unless it is warm.

    Weights and the running statistics of batch normalisation are averaged. Any other buffer is taken as it is now, since the mean of
    counters or of directions means nothing: the singular vectors of spectral normalisation are found anew for the averaged weights.
    """

    def __init__(self, network: nn.Module, half_life: int, *, is_warm: bool = False) -> None:
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life = half_life
        self.is_warm = is_warm  # there is no bad beginning to forget
        self._unsettled = False
        averaged = {name for name, _ in network.named_parameters()} | set(_running_statistics(network))
        # state_dict's tensors share memory with the networks, so these lists stay good for the whole run.
        theirs = network.state_dict()
        pairs = {name: (mine, theirs[name]) for name, mine in self._network.state_dict().items()}
        self._averaged = [pair for name, pair in pairs.items() if name in averaged]
        self._copied = [pair for name, pair in pairs.items() if name not in averaged]

    @torch.no_grad()
    def update(self, images: int, step: int) -> None:
        """Take in the network's present weights after `images` images, of which the last `step` since the last call."""
        half_life = self.half_life if self.is_warm else min(self.half_life, images / 20)
        keep = 0.5 ** (step / half_life) if half_life else 0.0
        mine = cast(list[Tensor], [pair[0] for pair in self._averaged])
        torch._foreach_lerp_(mine, [pair[1] for pair in self._averaged], 1 - keep)
        for average, current in self._copied:
            average.copy_(current)
        self._unsettled = True

    @property
    def network(self) -> nn.Module:
        """The averaged network, in evaluation mode, ready to draw."""
        if self._unsettled:
            _find_singular_vectors(self._network)
            self._unsettled = False
        return self._network


def _running_statistics(network: nn.Module) -> list[str]:
    """Names of the buffers whose mean over time is meant: those of batch normalisation, apart from its counter of batches."""
    kept = ("running_mean", "running_var")
    return [
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for name in kept
    ]


@torch.no_grad()
def _find_singular_vectors(network: nn.Module) -> None:
    """Iterate spectral normalisation's power method on each weight as it is now (Miyato et al., 2018, algorithm 1)."""
    for module in network.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrizations = cast(nn.ModuleDict, module.parametrizations)
            parametrizations.train()
            for _ in range(_POWER_ITERATIONS):
                _ = module.weight  # in training mode, each look at the weight is an iteration
            parametrizations.eval()
