"""Residual networks: blocks that double or halve the side (SNGAN, Miyato et al., 2018; Gulrajani et al., 2017).

Of images (C, H, W), and by the same code of series (C, T), volumes (C, X, Y, Z) and clips (C, F, H, W).
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.data.labels import Condition
from gan_core.data.scaling import channels_last
from gan_core.networks.common import (
    IMAGE_LAYERS,
    Dropout,
    Factors,
    LabelledLatent,
    Layers,
    Normalization,
    ProjectionHead,
    batch_norm,
    embedding_of,
    factors_of,
    normalized,
)
from gan_core.networks.linear import Linear
from gan_core.params.networks import ResidualDiscriminatorParams, ResidualGeneratorParams

DEFAULT_WIDTH = 128
"""Channels of every block, unless `width` says otherwise."""


class GeneratorBlock(nn.Module):
    """(N, C, ...) -> (N, C', ...) with every side doubled; by label in its normalisation's scale and shift (de Vries et al., 2017)."""

    def __init__(
        self, channels: int, out: int, condition: Condition | None, layers: Layers = IMAGE_LAYERS, factors: Factors = (2, 2)
    ) -> None:
        super().__init__()
        self.factors = tuple(map(float, factors))
        self.norm1 = ConditionalBatchNorm(channels, condition, layers)
        self.conv1 = layers.convolution(channels, out, 3, padding=1)
        self.norm2 = ConditionalBatchNorm(out, condition, layers)
        self.conv2 = layers.convolution(out, out, 3, padding=1)
        self.skip = layers.convolution(channels, out, 1, bias=False) if channels != out else nn.Identity()

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        hidden = F.interpolate(F.relu(self.norm1(x, labels)), scale_factor=self.factors)
        hidden = self.conv2(F.relu(self.norm2(self.conv1(hidden), labels)))
        # A 1x1 convolution and a nearest doubling commute; this order costs a quarter.
        summed: Tensor = hidden + F.interpolate(self.skip(x), scale_factor=self.factors)
        return summed


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift depend on the label; a plain one without labels."""

    def __init__(self, channels: int, condition: Condition | None, layers: Layers = IMAGE_LAYERS) -> None:
        super().__init__()
        self.norm = layers.batch_norm(channels, affine=condition is None)
        self.affine = embedding_of(condition, 2 * channels)
        if self.affine is not None:
            with torch.no_grad():
                self.affine.weight[:, :channels] = 1.0
                self.affine.weight[:, channels:] = 0.0

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        normal: Tensor = self.norm(x)
        if self.affine is None:
            return normal
        affine = self.affine(labels).to(normal.dtype)
        scale, shift = affine.view(*affine.shape, *[1] * (x.dim() - 2)).chunk(2, dim=1)
        return torch.addcmul(shift, normal, scale)


class ResidualGenerator(nn.Module):
    """A dense layer to the smallest resolution, then one residual block each doubling. `width` channels everywhere."""

    def __init__(self, params: ResidualGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        layers = Layers.of(data.network_shape)
        factors, sides = factors_of(data, "residual")
        width = params.width or DEFAULT_WIDTH
        self.input = LabelledLatent(latent, data.condition)
        self.dense = Linear(self.input.width, width * math.prod(sides))
        self.start = (width, *sides)
        self.blocks = nn.ModuleList(GeneratorBlock(width, width, data.condition, layers, by) for by in reversed(factors))
        self.norm = batch_norm(width, "batch", layers)
        self.to_image = layers.convolution(width, data.network_shape[0], 3, padding=1)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.dense(self.input(latents, labels)).view(-1, *self.start)
        x = x.contiguous(memory_format=channels_last(x.dim()))
        for block in self.blocks:
            x = block(x, labels)
        return torch.tanh(self.to_image(F.relu(self.norm(x))))


class DiscriminatorBlock(nn.Module):
    """(N, C, ...) -> (N, C', ...) with every side halved, or the same where it does not halve."""

    def __init__(self, channels: int, out: int, factors: Factors | None, first: bool, spectral: bool, layers: Layers) -> None:
        super().__init__()
        norm: Normalization = "spectral" if spectral else "none"
        self.first = first
        self.pool, self.factors = layers.average_pool, factors
        self.conv1 = normalized(layers.convolution(channels, out, 3, padding=1), norm)
        self.conv2 = normalized(layers.convolution(out, out, 3, padding=1), norm)
        self.skip = normalized(layers.convolution(channels, out, 1), norm) if channels != out or factors else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if self.factors is not None:
            # A 1x1 convolution and a pooling commute; this order costs a quarter.
            hidden, x = self.pool(hidden, self.factors), self.pool(x, self.factors)
        summed: Tensor = hidden + self.skip(x)
        return summed


class ResidualDiscriminator(nn.Module):
    """One residual block each halving, sum pooling, a projection head. `normalization` none (default) or spectral."""

    def __init__(self, params: ResidualDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        spectral = params.normalization == "spectral"
        layers = Layers.of(data.network_shape)
        factors, _ = factors_of(data, "residual")
        width = params.width or DEFAULT_WIDTH
        blocks: list[nn.Module] = []
        channels = data.network_shape[0]
        for level, by in enumerate(factors):
            blocks.append(DiscriminatorBlock(channels, width, by, first=level == 0, spectral=spectral, layers=layers))
            channels = width
        blocks.append(DiscriminatorBlock(width, width, None, first=False, spectral=spectral, layers=layers))
        self.blocks = nn.Sequential(*blocks)
        self.dropout = Dropout(params.dropout)
        wrap = partial(normalized, normalization="spectral" if spectral else "none")
        self.head = ProjectionHead(width, data.condition, params.batch_distance, wrap)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        features = F.relu(self.blocks(samples)).sum(dim=tuple(range(2, samples.dim())))
        logits: Tensor = self.head(self.dropout(features), labels)
        return logits
