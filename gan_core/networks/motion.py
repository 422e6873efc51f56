"""Clips as one picture each that moves, and what judges them: whole clips, and single frames (MoCoGAN: Tulyakov et al., 2018).

A network that draws every pixel of every frame lets what it is unsure of fade: at any one pixel the ground is likelier than what moves over
it. Here a clip has content, a picture that is drawn once as images are, and motion, a path that the picture goes. What is drawn is seen in
every frame: it can neither fade on its way nor leave.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.kinds.images import Images
from gan_core.networks.advection import moved
from gan_core.networks.common import LabelledLatent
from gan_core.networks.dcgan import DcganDiscriminator, DcganGenerator
from gan_core.networks.linear import Linear
from gan_core.params.common import common_halvings
from gan_core.params.networks import DcganDiscriminatorParams, DcganGeneratorParams, MotionDiscriminatorParams, MotionGeneratorParams

_HIDDEN = 128  # units of each layer between a latent and a path
_SLOPE = 0.2
_PACE = 0.25  # half sides that a place differs by where what the layers say differs by 1: an optimiser's steps would throw a path about


class MotionGenerator(nn.Module):
    """Latents (N, L), labels (N,) -> clips (N, C, F, H, W).

    One half of a latent says what a clip shows; the other, and the label, how that moves, as in the paper. The picture is half as high and
    wide as a frame, and around it a frame is as the picture's border is in the mean. What leaves a frame on one side comes in on the other.
    Dense layers give the places in all frames, as a sum of cosines over the clip of which those of more waves weigh less: so paths are
    smooth first, and any path can be learned that does not go round the frame. The paper's motion is a recurrent network's, and it draws
    each frame anew.
    """

    cosines: Tensor

    def __init__(self, params: MotionGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        if latent < 2:
            raise ConfigError("latent: content and motion take a part each; use 2 or more")
        channels, frames, *self.sides = data.shape
        halves = tuple(side // 2 for side in self.sides)
        if common_halvings(halves) is None:
            sides = " x ".join(map(str, self.sides))
            raise ConfigError(
                f"network motion: half of {sides} pixels cannot be halved further, down to 4, 5, 6 or 7; use a size such as 16"
            )
        content = DcganGeneratorParams(width=params.width, widths=params.widths, normalization=params.normalization)
        self.of_content = latent // 2
        self.content = DcganGenerator(content, Images((channels, *halves)), self.of_content)
        self.input = LabelledLatent(latent - self.of_content, data.condition)
        last = Linear(_HIDDEN, 2 * frames)
        self.path = nn.Sequential(
            Linear(self.input.width, _HIDDEN), nn.LeakyReLU(_SLOPE), Linear(_HIDDEN, _HIDDEN), nn.LeakyReLU(_SLOPE), last
        )
        nn.init.normal_(last.weight, 0.0, 1 / math.sqrt(_HIDDEN))  # paths begin apart from each other
        self.register_buffer("cosines", cosines(frames), persistent=False)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        picture = self.content(latents[:, : self.of_content]).float()
        waves = self.path(self.input(latents[:, self.of_content :], labels)).float().view(-1, 2, len(self.cosines))
        down, right = (_PACE * waves @ self.cosines).tanh().unsqueeze(2).unbind(1)
        ground = _border(picture).mean(dim=2)[:, :, None, None]
        height, width = self.sides
        there = moved((picture - ground)[:, None], placed(down, height, picture.shape[2]), placed(right, width, picture.shape[3]))
        return ground[:, :, None] + there.squeeze(1).transpose(1, 2)


def cosines(frames: int) -> Tensor:
    """(F, F): the cosine of each number of half waves, 0 to F - 1, over F frames, divided by the square of that number from 1 on, as the
    parts of a smooth curve are."""
    waves, moments = torch.arange(frames)[:, None], torch.arange(frames) + 0.5
    return torch.cos(math.pi / frames * waves * moments) / waves.clamp(min=1) ** 2


def placed(places: Tensor, side: int, short: int) -> Tensor:
    """Matrices (..., S, s) that lay a row of s pixels into one of S, whose ends are joined, and between two pixels by a share in each.

    `places` (...) say where the middle of the short row lies: at 0 in the middle of the long one, at -1 and 1 where its ends meet.
    """
    first = places * (side / 2) + (side - short) / 2
    pixels = torch.arange(side, device=places.device)
    apart = pixels[:, None] - pixels[:short] - first[..., None, None]
    nearest = torch.remainder(apart + side / 2, side) - side / 2
    return (1 - nearest.abs()).clamp(min=0)


def _border(images: Tensor) -> Tensor:
    """The pixels at the four sides of images (N, C, H, W): (N, C, 2 H + 2 W)."""
    return torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], dim=2)


class MotionDiscriminator(nn.Module):
    """Clips (N, C, F, H, W) -> two logits each, (N, 2): of the whole, whose frames are channels of one image, and of one frame drawn at
    random, which knows no label.
    """

    def __init__(self, params: MotionDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        channels, frames, *sides = data.shape
        told = DcganDiscriminatorParams.model_validate(params.model_dump(exclude={"network"}))
        whole = Images((channels * frames, *sides), classes=data.classes, numbers=data.numbers)
        self.whole = DcganDiscriminator(told, whole)
        self.frame = DcganDiscriminator(told, Images((channels, *sides)))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        count, _, frames = samples.shape[:3]
        # A row a sample, as processes that share a batch share a draw (gan_core.distributed).
        drawn = torch.randint(frames, (count,), device=samples.device)
        of_frames = self.frame(samples[torch.arange(count, device=samples.device), :, drawn])
        return torch.stack([self.whole(samples.flatten(1, 2), labels), of_frames], dim=1)
