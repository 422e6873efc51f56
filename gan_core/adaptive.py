"""Augmentation as strong as the discriminator's overfitting asks for (ADA, Karras et al., 2020).

The discriminator overfits where it tells training samples ever more surely from generated ones. What tells it is r, in -1 (always wrong)
to 1 (always right): the mean sign of its logits on training samples, measured from the boundary between real and generated (the paper's
r_t). Games without such a boundary, to which a number added to all logits makes no difference (relativistic, hinge), say the same by the
mean sign of the difference between a training and a generated sample's logits: twice the share of pairs in order, less 1.

Every few steps the strength goes up by a fixed step where r is above its target, and down by it where it is below: from nothing to all
within a fixed number of images. It is the probability that each change is made to a sample. Below 0.8, the paper says, augmentations do
not leak into what is generated.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

TARGET = 0.6
"""Of r, as in the paper."""
EVERY = 4
"""Steps of the discriminator between two adjustments, as in the paper."""
OVERFITTING = ("accuracy_real", "accuracy_pairs")
"""Numbers of the record that r is taken from, the first of them that a game has."""


def overfitting(numbers: Mapping[str, Tensor]) -> Tensor:
    """r, a scalar in -1..1, of what the record says of one step of a discriminator."""
    return 2 * next(numbers[name] for name in OVERFITTING if name in numbers) - 1


class AdaptiveStrength(nn.Module):
    """The strength of augmentation, 0 to 1. A module with buffers: as a player of a recipe it is part of every checkpoint.

    Args:
        step: by how much it is adjusted each time: images between two adjustments, divided by the span.
        target: of r.
    """

    strength: Tensor
    signs: Tensor
    steps: Tensor

    def __init__(self, step: float, target: float = TARGET) -> None:
        super().__init__()
        self.step, self.target = step, target
        self.register_buffer("strength", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def take(self, sign: Tensor) -> None:
        """Take in r of one step; each fourth time, adjust the strength by the sign of mean r - target."""
        self.signs += sign
        self.steps += 1
        if int(self.steps) == EVERY:
            self.strength += self.step * torch.sign(self.signs / EVERY - self.target)
            self.strength.clamp_(0.0, 1.0)
            self.signs.zero_()
            self.steps.zero_()
