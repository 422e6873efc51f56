"""The moving average of a generator's weights, which is what is shipped (Yaz et al., 2019; Karras et al., 2018)."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of a network: its half-life is counted in images, and shorter while the run is young."""

    def __init__(self, network: nn.Module, half_life: int) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life = half_life
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))
        # state_dict's tensors share memory with the networks, so these lists stay good for the whole run.
        self._floating = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counting = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, images: int, step: int) -> None:
        """Take in the network's present weights after `images` images, of which the last `step` since the last call."""
        half_life = min(self.half_life, images / 20)
        keep = 0.5 ** (step / half_life) if half_life else 0.0
        mine = cast(list[Tensor], [pair[0] for pair in self._floating])
        torch._foreach_lerp_(mine, [pair[1] for pair in self._floating], 1 - keep)
        for average, current in self._counting:
            average.copy_(current)
