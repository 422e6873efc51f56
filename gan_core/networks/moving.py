"""Clips as things that move over a background that stays: what is seen and how it moves are drawn apart.

The two streams are VGAN's (Vondrick et al., 2016), content and motion apart are MoCoGAN's (Tulyakov et al., 2018), and things that are
moved, not drawn in each frame again, are CDNA's (Finn et al., 2016). So a thing keeps its form and colour through a clip, whatever the
discriminator has taught of either, and what is to be learned of a motion is a few numbers a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.kinds.images import Images
from gan_core.networks.advection import blended, moved, shifts
from gan_core.networks.common import LabelledLatent
from gan_core.networks.dcgan import DcganGenerator
from gan_core.networks.linear import Linear
from gan_core.params.networks import DcganGeneratorParams, MovingGeneratorParams

_SPREAD = 2.0  # pixels that a thing is blurred by at the start; a frame in which it is nowhere near teaches nothing of where it should be
_LEAST = 0.3  # that is left of it at least, less than half a pixel


class MovingGenerator(nn.Module):
    """A DCGAN's one picture of the background and of each thing, with how much it hides, and dense layers for where it is in each frame.

    (N, L), (N,) -> (N, C, F, H, W). A thing is moved by a Gaussian over all shifts from H - 1 pixels up to H - 1 down, and likewise
    sideways, whose mean and width the dense layers say; later things hide earlier ones.
    """

    down: Tensor
    right: Tensor

    def __init__(self, params: MovingGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        self.channels, self.frames, *sides = data.network_shape
        self.things = params.things
        layers = self.channels + self.things * (self.channels + 1)
        picture = Images((layers, *sides), data.counts, data.classes)
        self.pictures = DcganGenerator(DcganGeneratorParams(width=params.width, normalization=params.normalization), picture, latent)
        self.input = LabelledLatent(latent, data.condition)
        self.motion = nn.Sequential(
            Linear(self.input.width, params.hidden),
            nn.LeakyReLU(0.2),
            Linear(params.hidden, params.hidden),
            nn.LeakyReLU(0.2),
            Linear(params.hidden, self.frames * self.things * 4),
        )
        for name, side in zip(("down", "right"), sides, strict=True):
            self.register_buffer(name, shifts(side), persistent=False)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        n = len(latents)
        drawn = self.pictures(latents, labels).float()
        background, things = drawn[:, : self.channels], drawn[:, self.channels :]
        motion = self.motion(self.input(latents, labels)).float().view(n, self.things, self.frames, 4)
        down, right = self._matrix(motion[..., :2], self.down), self._matrix(motion[..., 2:], self.right)
        frames = background[:, None].expand(-1, self.frames, -1, -1, -1)
        for thing in moved(things.view(n, self.things, self.channels + 1, *drawn.shape[2:]), down, right).unbind(1):
            hidden = (1 + thing[:, :, -1:]) / 2
            frames = frames + hidden * (thing[:, :, :-1] - frames)
        clips: Tensor = frames.transpose(1, 2)
        return clips

    def _matrix(self, motion: Tensor, moves: Tensor) -> Tensor:
        """Means, of -1..1, and logarithms of widths (..., 2) -> what moves along a side (..., S, S)."""
        side = moves.shape[1]
        mean, width = torch.tanh(motion[..., :1]) * (side - 1), _LEAST + _SPREAD * motion[..., 1:].clamp(-6, 2).exp()
        places = torch.arange(1 - side, side, device=motion.device)
        return blended(-((places - mean) / width).square() / 2, moves)
