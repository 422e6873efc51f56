"""The PatchGAN: a discriminator that judges overlapping patches instead of the whole image (pix2pix, Isola et al., 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.errors import ConfigError
from gan_core.networks.common import Dropout, NetworkSpec, batch_norm, dcgan_init, normalized

DEFAULT_WIDTH = 32
HALVINGS = {16: 1, 34: 2, 70: 3}
"""Strided convolutions by side of the patch, in pixels, that one logit sees."""


def patch_widths(patch: int, width: int | None) -> tuple[int, ...]:
    """Channels of each convolution before the logits, for patches of 16, 34 or 70 pixels; 64-128-256-512 in the paper."""
    return tuple((width or DEFAULT_WIDTH) * 2**level for level in range(HALVINGS[patch] + 1))


class PatchDiscriminator(nn.Module):
    """A logit for each patch: (N, C, H, W) -> (N, h, w); with `inputs` in its specification, of input and output side by side.

    `widths` are the channels of each convolution; all but the last halve the side. `normalization` none (default), spectral, batch or
    instance.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        normalization = spec.normalization or "none"
        widths = spec.widths or patch_widths(70, spec.width)
        if min(spec.shape[1:]) < 2 ** (len(widths) + 1):
            raise ConfigError(f"network patch: {spec.shape[-1]} pixels are too few for {len(widths)} convolutions; choose a smaller patch")
        layers: list[nn.Module] = []
        channels = spec.shape[0] + (spec.inputs[0] if spec.inputs is not None else 0)
        for level, width in enumerate(widths):
            stride = 2 if level < len(widths) - 1 else 1
            bias = not level or normalization != "batch"
            layers.append(normalized(nn.Conv2d(channels, width, 4, stride, 1, bias=bias), normalization))
            if level:  # the paper leaves the layer beside the image without
                layers.append(batch_norm(width, normalization))
            layers += [nn.LeakyReLU(0.2), *([Dropout(spec.dropout)] if spec.dropout else [])]
            channels = width
        layers.append(normalized(nn.Conv2d(channels, 1, 4, 1, 1), normalization))
        self.layers = nn.Sequential(*layers)
        if normalization != "spectral":
            self.apply(dcgan_init)

    def forward(self, *images: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat(images, dim=1))
        return logits.squeeze(1)
