"""Plain convolutional networks: transposed convolutions up, strided convolutions down (DCGAN, Radford et al., 2016).

Of images (C, H, W), and by the same code of series (C, T), of volumes (C, X, Y, Z) (3D-GAN, Wu et al., 2016) and of clips (C, F, H, W)
(VGAN, Vondrick et al., 2016).
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.data.scaling import channels_last
from gan_core.errors import ConfigError
from gan_core.networks.common import (
    Dropout,
    Factors,
    Flatten,
    LabelledLatent,
    Layers,
    ProjectionHead,
    batch_norm,
    dcgan_init,
    factors_of,
    normalized,
)
from gan_core.networks.linear import Linear
from gan_core.params.networks import DcganDiscriminatorParams, DcganGeneratorParams

DEFAULT_WIDTH = 64
"""Channels beside the sample; each halving of the side doubles them."""


def _channels(params: DcganGeneratorParams | DcganDiscriminatorParams, shape: tuple[int, ...], levels: int, what: str) -> tuple[int, ...]:
    """Channels at each resolution, from the sample's side inwards for a discriminator, outwards for a generator."""
    if params.widths is not None:
        if len(params.widths) != levels + (what == "generator"):
            raise ConfigError(
                f"{what}.widths: {len(params.widths)} given, and {shape[-1]} pixels take {levels + (what == 'generator')} "
                f"({'from the dense layer to the last but one' if what == 'generator' else 'one a strided convolution'})"
            )
        return params.widths
    base = params.width or DEFAULT_WIDTH
    inwards = tuple(base * 2**level for level in range(levels))
    return inwards if what == "discriminator" else (*reversed(inwards), base)


def _strided(factors: Factors) -> dict[str, Any]:
    """Kernel, stride and padding of a convolution: of side 4 where a side is halved or doubled, 3 where it stays."""
    return {"kernel_size": tuple(2 + by for by in factors), "stride": factors, "padding": 1}


class DcganGenerator(nn.Module):
    """A dense layer to the smallest resolution, then one transposed convolution each doubling.

    `widths` are the channels of the dense layer's output and of each doubling but the last (256-128-64 for 28 pixels);
    `normalization` is batch by default.
    """

    def __init__(self, params: DcganGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        normalization = params.normalization or "batch"
        nd = Layers.of(data.network_shape)
        factors, sides = factors_of(data, "dcgan")
        widths = _channels(params, data.network_shape, len(factors), "generator")
        self.input = LabelledLatent(latent, data.condition)
        self.dense = Linear(self.input.width, widths[0] * math.prod(sides), bias=normalization != "batch")
        self.start = (widths[0], *sides)
        layers: list[nn.Module] = [batch_norm(widths[0], normalization, nd), nn.ReLU()]
        for level, by in enumerate(reversed(factors)):
            doubling = nd.transposed(widths[level], widths[level + 1], **_strided(by), bias=normalization != "batch")
            layers += [
                normalized(doubling, normalization),
                batch_norm(widths[level + 1], normalization, nd),
                nn.ReLU(inplace=True),  # the same bits, and no block of memory more, which the kernel would have to clear
            ]
        layers += [nd.convolution(widths[-1], data.network_shape[0], 3, 1, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        seed = self.dense(self.input(latents, labels)).view(-1, *self.start)
        samples: Tensor = self.layers(seed.contiguous(memory_format=channels_last(seed.dim())))
        return samples


class DcganDiscriminator(nn.Module):
    """One strided convolution each halving, a dense layer of `hidden` units where that is set, then a linear head.

    `widths` are the channels of each convolution; `normalization` none (default), spectral or batch; `dropout` after each.
    """

    def __init__(self, params: DcganDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        normalization = params.normalization or "none"
        nd = Layers.of(data.network_shape)
        factors, sides = factors_of(data, "dcgan")
        widths = _channels(params, data.network_shape, len(factors), "discriminator")
        layers: list[nn.Module] = []
        channels = data.network_shape[0]
        for level, (width, by) in enumerate(zip(widths, factors, strict=True)):
            layers.append(normalized(nd.convolution(channels, width, **_strided(by)), normalization))
            if level:  # the paper leaves the layer beside the sample without
                layers.append(batch_norm(width, normalization, nd))
            layers.append(nn.LeakyReLU(0.2))
            if params.dropout:
                layers.append(Dropout(params.dropout))
            channels = width
        layers.append(Flatten())
        features = channels * math.prod(sides)
        if params.hidden:
            layers += [normalized(Linear(features, params.hidden), normalization), nn.LeakyReLU(0.2)]
            features = params.hidden
        self.layers = nn.Sequential(*layers)
        self.head = ProjectionHead(features, data.condition, params.batch_distance, lambda module: normalized(module, normalization))
        if normalization != "spectral":
            self.apply(dcgan_init)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.layers(samples), labels)
        return logits
