"""The U-Net: from image to image, with a skip at each resolution (Ronneberger et al., 2015; pix2pix, Isola et al., 2017)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.networks.common import Dropout, Normalization, batch_norm, dcgan_init, resolutions
from gan_core.params.networks import UnetParams

DEFAULT_WIDTH = 32
"""Channels at half the side; each further halving doubles them, up to eight times as many."""


def unet_widths(shape: tuple[int, ...], width: int | None, widths: tuple[int, ...] | None) -> tuple[int, ...]:
    """Channels at each halving of images of `shape`, (C, H, W): `widths`, or as many as the side can be halved.

    Raises:
        ConfigError: the sides cannot be halved so often.
    """
    if widths is None:
        levels, _ = resolutions(shape, "unet")
        base = width or DEFAULT_WIDTH
        return tuple(base * 2 ** min(level, 3) for level in range(levels))
    if any(side % 2 ** len(widths) for side in shape[1:]):
        sides = " x ".join(map(str, dict.fromkeys(shape[1:])))
        raise ConfigError(f"generator.widths: {len(widths)} given, one a halving, and {sides} pixels cannot be halved so often")
    return widths


def unet_reach(halvings: int) -> int:
    """How far, in pixels, those of the input lie that one of the output depends on, at most."""
    furthest = 0
    for place in range(2**halvings):
        low, high = place - 1, place + 1  # the last convolution, 3 x 3
        for _ in range(halvings):  # transposed ones, 4 x 4, stride 2, padding 1
            low, high = -((2 - low) // 2), (high + 1) // 2
        for _ in range(halvings):  # strided ones, alike
            low, high = 2 * low - 1, 2 * high + 2
        furthest = max(furthest, place - low, high - place)
    return furthest


class Unet(nn.Module):
    """Strided convolutions down, transposed ones up, each joined with what lies across: (N, C, H, W) -> (N, C', H, W), linear.

    The image itself is joined before the last convolution, which the paper leaves out: without it, what stays the same has to
    pass through half the resolution.
    """

    def __init__(
        self,
        channels: int,  # of the image
        out: int,  # channels of what is made of it
        widths: tuple[int, ...],  # channels at each halving of the side
        normalization: Normalization = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        bias = normalization == "none"
        self.down = nn.ModuleList(
            # The paper leaves the layer beside the image without normalisation.
            _layer(nn.Conv2d(wide, deep, 4, 2, 1, bias=bias or not level), deep, normalization if level else "none")
            for level, (wide, deep) in enumerate(pairwise((channels, *widths)))
        )
        self.up = nn.ModuleList(
            _layer(nn.ConvTranspose2d(deep * (2 if level else 1), wide, 4, 2, 1, bias=bias), wide, normalization)
            for level, (deep, wide) in enumerate(pairwise((*reversed(widths), widths[0])))
        )
        self.dropout = Dropout(dropout)
        self.last = nn.Conv2d(widths[0] + channels, out, 3, padding=1)
        self.apply(dcgan_init)

    def encode(self, images: Tensor) -> list[Tensor]:
        """What is seen at each resolution, from the widest inwards."""
        levels = []
        for layer in self.down:
            images = F.leaky_relu(layer(images), 0.2)
            levels.append(images)
        return levels

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(images, self.encode(images))

    def decode(self, images: Tensor, levels: list[Tensor]) -> Tensor:
        """What is made of images and of what `encode` saw of them."""
        *across, hidden = levels
        for layer, skip in zip(self.up, [*reversed(across), images], strict=True):
            hidden = torch.cat([F.relu(self.dropout(layer(hidden))), skip.to(hidden.dtype)], dim=1)
        drawn: Tensor = self.last(hidden)
        return drawn


class UnetGenerator(nn.Module):
    """A U-Net from the input image to the output, with tanh at its end.

    `widths` are the channels at each halving (default: `width` and its doubles, down to 4 to 7 pixels); `normalization` is batch
    by default, or instance, or none; `dropout` is applied after each transposed convolution. With `skip` the input is added to what the
    U-Net makes, without tanh, as restoration begins best from what is there (Zhang et al., 2017); what leaves -1..1 is clipped later.
    """

    def __init__(self, params: UnetParams, data: DatasetSpec, latent: int = 0) -> None:
        super().__init__()
        given, shape = data.network_inputs, data.network_shape
        if given is None or given[1:] != shape[1:]:
            raise ConfigError(f"network unet: needs inputs as large as its outputs, {shape[1:]}, and is given {given}")
        if params.skip and given[0] not in (1, shape[0]):
            raise ConfigError(f"generator.skip: inputs of {given[0]} channels cannot be added to outputs of {shape[0]}; leave it out")
        self.skip = bool(params.skip)
        widths = unet_widths(shape, params.width, params.widths)
        self.side_multiple = 2 ** len(widths)
        self.reach = unet_reach(len(widths))
        self.unet = Unet(given[0], shape[0], widths, params.normalization, params.dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = self.unet(inputs)
        # In float32: half precision would round the image itself.
        return inputs + made.float() if self.skip else torch.tanh(made)


def _layer(convolution: nn.Module, channels: int, normalization: Normalization) -> nn.Sequential:
    return nn.Sequential(convolution, batch_norm(channels, normalization))
