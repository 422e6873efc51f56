"""What comes next, made of the last frame: its content moved, and the rest drawn anew (CDNA: Finn et al., 2016).

A network that draws every pixel lets what it is unsure of fade. What is moved keeps its form, its colour, and how much of it there is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.networks.linear import Linear
from gan_core.networks.unet import Unet, unet_widths
from gan_core.params.networks import AdvectionParams

_HIDDEN = 256  # units between the smallest resolution and how far things move
_MOSTLY_MOVED = 3.0  # logit of what is moved, over what is drawn anew, at the start


class AdvectionGenerator(nn.Module):
    """The first frames of clips, (N, C * G, H, W) -> those that follow, (N, C * F, H, W).

    For each of `motions` of a frame there is a distribution over how far the last given frame moves down, a softmax over H - 1 pixels up
    to H - 1 down, and one over how far to the right. The frame moved is the mean over both; what comes in from outside is like the border.
    The paper's kernels, of 5 x 5 pixels, move the frame before, step by step. These reach over the whole frame at once, so no frame waits
    for another, and none is blurred twice. A mask, a softmax at each pixel, says how much comes from each motion, and how much a U-Net
    draws anew, which without `anew` is nothing: then whatever moves stays, and half of the U-Net is not there.
    """

    down: Tensor
    right: Tensor

    def __init__(self, params: AdvectionParams, data: DatasetSpec, latent: int = 0) -> None:
        super().__init__()
        given, shape = data.network_inputs, data.network_shape
        if given is None or given[1:] != shape[1:] or len(data.shape) != 4:
            raise ConfigError("network advection: goes on from the first frames of clips, and is given none; set data.given, or use unet")
        self.channels, self.frames = data.shape[:2]
        self.motions, self.anew = params.motions, params.anew
        widths = unet_widths(shape, params.width, params.widths)
        # At each pixel of a frame: what is drawn anew, and how much comes from each.
        drawn = self.motions + (1 + self.channels if self.anew else 0)
        self.unet = Unet(given[0], self.frames * drawn, widths, params.normalization)
        self.is_mixed = drawn > 1
        if not self.is_mixed:  # only the half that looks is needed
            del self.unet.up, self.unet.last
        sides = shape[1:]
        self.places = tuple(2 * side - 1 for side in sides)
        smallest = widths[-1] * math.prod(side // 2 ** len(widths) for side in sides)
        self.head = nn.Sequential(Linear(smallest, _HIDDEN), nn.ReLU(), Linear(_HIDDEN, self.frames * self.motions * sum(self.places)))
        for name, side in zip(("down", "right"), sides, strict=True):
            self.register_buffer(name, shifts(side), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        n, _, height, width = inputs.shape
        levels = self.unet.encode(inputs)
        last = inputs.reshape(n, 1, self.channels, -1, height, width)[:, :, :, -1].float()
        rows, columns = self.head(levels[-1].flatten(1)).float().view(n, self.motions, self.frames, -1).split(self.places, dim=-1)
        there = moved(last.expand(-1, self.motions, -1, -1, -1), blended(rows, self.down), blended(columns, self.right))
        if not self.is_mixed:
            return there.squeeze(1).transpose(1, 2).flatten(1, 2)
        drawn = self.unet.decode(inputs, levels).float().view(n, self.frames, -1, height, width)
        logits, frames = drawn[:, :, : self.motions], there.transpose(1, 2)
        if self.anew:
            logits = torch.cat([logits + _MOSTLY_MOVED, drawn[:, :, self.motions : self.motions + 1]], dim=2)
            frames = torch.cat([frames, torch.tanh(drawn[:, :, None, self.motions + 1 :])], dim=2)
        mixed = (logits.softmax(dim=2).unsqueeze(3) * frames).sum(dim=2)
        return mixed.transpose(1, 2).flatten(1, 2)


def moved(pictures: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each of K pictures (N, K, C, h, w) by matrices (N, K, F, H, h) and (N, K, F, W, w) that move it in F frames: (N, K, F, C, H, W)."""
    n, things, channels, height, width = pictures.shape
    frames, rows = down.shape[2:4]
    # One product moves a picture down in all frames, a second one then all its channels to the right.
    lowered = down.flatten(2, 3) @ pictures.transpose(2, 3).reshape(n, things, height, channels * width)
    there = lowered.view(n, things, frames, rows * channels, width) @ right.transpose(-1, -2)
    return there.view(n, things, frames, rows, channels, -1).transpose(3, 4)


def shifts(side: int) -> Tensor:
    """(2 S - 1, S, S): by each number of pixels from -(S - 1) to S - 1, which place each of a shifted row is taken from."""
    places = torch.arange(side) - torch.arange(1 - side, side)[:, None]
    return F.one_hot(places.clamp(0, side - 1), side).float()


def blended(logits: Tensor, shifts: Tensor) -> Tensor:
    """Logits (..., D) of D shifts (D, S, S) -> the matrix (..., S, S) that shifts by all of them at once, each as much as it is likely."""
    blend: Tensor = torch.tensordot(logits.softmax(dim=-1), shifts, dims=1)  # type: ignore[no-untyped-call]
    return blend
