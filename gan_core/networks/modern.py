"""Residual networks without normalisation, after ResNeXt (R3GAN: Huang et al., 2024, "The GAN is dead; long live the GAN!").

Both players are the same tower, up and down: at each resolution some blocks of a 1 x 1 convolution to twice the channels, a grouped 3 x 3
one and a 1 x 1 one back, each behind a bias and a leaky ReLU; between resolutions bilinear interpolation, and a 1 x 1 convolution where
channels change. The generator begins with learned patterns at the smallest resolution, each times a number that the latent says; the
discriminator ends with the same the other way round. Weights begin as fix-up initialisation has them (Zhang et al., 2019): the last
convolution of each block at 0, the others smaller the more blocks there are, so that features neither grow nor shrink with depth, and
nothing has to normalise them.

Of images (C, H, W), and by the same code of series (C, T) and of volumes (C, X, Y, Z). Interpolation is symmetric about the pixels here,
with weights 1, 3, 3, 1; the authors' has 1, 2, 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gan_core.data.dataset import DatasetSpec
from gan_core.data.scaling import channels_last
from gan_core.errors import ConfigError
from gan_core.networks.common import LabelledLatent, Layers, embedding_of, resolutions
from gan_core.networks.linear import Linear
from gan_core.params.networks import ModernDiscriminatorParams, ModernGeneratorParams

EXPANSION = 2
"""Channels inside a block, times those outside."""
DEFAULT_WIDTH = 32
"""Channels beside the sample, unless `width` says otherwise."""
MOST_TIMES = 8
"""Channels at the smallest resolutions, times those beside the sample, at most."""

_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))
_CONVOLUTIONS = 3
"""Of a block."""


class Block(nn.Module):
    """(N, C, ...) -> the same shape: the sample, and what three convolutions add to it."""

    def __init__(self, channels: int, group_width: int, blocks: int, layers: Layers) -> None:
        super().__init__()
        inside = EXPANSION * channels
        self.expand = layers.convolution(channels, inside, 1)
        self.mix = layers.convolution(inside, inside, 3, padding=1, groups=inside // group_width)
        self.project = layers.convolution(inside, channels, 1, bias=False)
        gain = _GAIN * blocks ** (-1 / (2 * _CONVOLUTIONS - 2))
        for convolution in (self.expand, self.mix):
            _begin(convolution, gain)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.mix(F.leaky_relu(self.expand(x), _SLOPE)), _SLOPE)
        summed: Tensor = x + self.project(hidden)
        return summed


def _begin(layer: nn.Module, gain: float = 1.0) -> None:
    """Normal weights by which the size of features changes by `gain` (He et al., 2015); no bias."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)  # noqa: S101  dense layers and convolutions have one
    nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


def _doubled(x: Tensor) -> Tensor:
    """Every side twice as long, bilinearly."""
    mode = ("linear", "bilinear", "trilinear")[x.dim() - 3]
    return F.interpolate(x, scale_factor=2.0, mode=mode, align_corners=False)


def _halved(x: Tensor) -> Tensor:
    """Every side half as long, each pixel weighted as bilinear doubling spreads it."""
    sides, channels = x.dim() - 2, x.shape[1]
    one = x.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = one
    for _ in range(sides - 1):
        kernel = kernel[..., None] * one
    convolve = (F.conv1d, F.conv2d, F.conv3d)[sides - 1]
    padded = F.pad(x, [1, 1] * sides, mode="replicate")
    halved: Tensor = convolve(padded, kernel.expand(channels, 1, *kernel.shape), stride=2, groups=channels)
    return halved


class _Stage(nn.Module):
    """Blocks at one resolution."""

    def __init__(self, channels: int, count: int, group_width: int, blocks: int, layers: Layers, recompute: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, group_width, blocks, layers) for _ in range(count))
        self.recompute = recompute

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            again = self.recompute and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
        return x


def _transition(channels: int, out: int, layers: Layers) -> nn.Module:
    """A 1 x 1 convolution where channels change."""
    if channels == out:
        return nn.Identity()
    convolution = layers.convolution(channels, out, 1, bias=False)
    _begin(convolution)
    return convolution


def settled_by_resolution(
    params: ModernGeneratorParams | ModernDiscriminatorParams, levels: int
) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Channels, blocks and the width of groups at each resolution, the smallest first.

    Raises:
        ConfigError: a list has another length than there are resolutions, or channels do not come out even in groups.
    """
    count = levels + 1
    usual = params.width or DEFAULT_WIDTH
    widths = params.widths or [usual * min(2**level, MOST_TIMES) for level in range(levels, -1, -1)]
    depths = params.depths or [params.depth] * count
    for key, given in (("widths", widths), ("depths", depths)):
        if len(given) != count:
            raise ConfigError(
                f"network modern: {key} has {len(given)} numbers, and these samples have {count} resolutions, {count} numbers"
            )
    groups = [min(params.group_width, EXPANSION * width) for width in widths]
    for width, group in zip(widths, groups, strict=True):
        if EXPANSION * width % group:
            raise ConfigError(
                f"network modern: {width} channels, {EXPANSION * width} within a block, do not come out even in groups of {group} "
                "(group_width); change one of them"
            )
    return widths, depths, groups


class ModernGenerator(nn.Module):
    """Learned patterns times what a dense layer makes of the latent, then blocks at each resolution, each twice the one before."""

    def __init__(self, params: ModernGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        layers = Layers.of(data.network_shape)
        levels, sides = resolutions(data.network_shape, "modern")
        widths, depths, groups = settled_by_resolution(params, levels)
        self.input = LabelledLatent(latent, data.condition)
        self.dense = Linear(self.input.width, widths[0], bias=False)
        _begin(self.dense)
        self.sides = sides
        self.basis = nn.Parameter(torch.randn(widths[0], math.prod(sides)))
        before = [widths[0], *widths]
        self.transitions = nn.ModuleList(_transition(one, other, layers) for one, other in zip(before, widths, strict=False))
        self.stages = nn.ModuleList(
            _Stage(width, depth, group, sum(depths), layers, params.recompute)
            for width, depth, group in zip(widths, depths, groups, strict=True)
        )
        self.to_image = layers.convolution(widths[-1], data.network_shape[0], 1, bias=False)
        _begin(self.to_image)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        scales: Tensor = self.dense(self.input(latents, labels))
        x = (scales[:, :, None] * self.basis).view(-1, len(self.basis), *self.sides)
        x = x.contiguous(memory_format=channels_last(x.dim()))
        for level, (transition, stage) in enumerate(zip(self.transitions, self.stages, strict=True)):
            # A 1 x 1 convolution and an interpolation commute; this order costs a quarter.
            x = stage(_doubled(transition(x)) if level else x)
        image: Tensor = self.to_image(x)
        return image


class ModernDiscriminator(nn.Module):
    """Blocks at each resolution, each half the one before; then each channel by its own pattern, and a dense layer.

    By label that layer gives as many numbers as channels, whose inner product with an embedding of the label is the logit
    (Miyato and Koyama, 2018).
    """

    def __init__(self, params: ModernDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        layers = Layers.of(data.network_shape)
        levels, sides = resolutions(data.network_shape, "modern")
        widths, depths, groups = (list(reversed(one)) for one in settled_by_resolution(params, levels))
        self.from_image = layers.convolution(data.network_shape[0], widths[0], 1, bias=False)
        _begin(self.from_image)
        self.stages, self.transitions = nn.ModuleList(), nn.ModuleList()
        for width, after, depth, group in zip(widths, [*widths[1:], widths[-1]], depths, groups, strict=True):
            self.stages.append(_Stage(width, depth, group, sum(depths), layers, params.recompute))
            self.transitions.append(_transition(width, after, layers))
        channels = widths[-1]
        self.basis = nn.Parameter(torch.randn(channels, math.prod(sides)) / math.sqrt(math.prod(sides)))
        self.dense = Linear(channels, 1 if data.condition is None else channels, bias=False)
        _begin(self.dense)
        self.embedding = embedding_of(data.condition, channels)
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, 0.0, 1 / math.sqrt(channels))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.from_image(samples)
        last = len(self.stages) - 1
        for level, (stage, transition) in enumerate(zip(self.stages, self.transitions, strict=True)):
            x = stage(x)
            x = transition(_halved(x)) if level < last else x
        features: Tensor = self.dense((x.flatten(2) * self.basis).sum(dim=2))
        if self.embedding is None:
            return features.squeeze(1)
        assert labels is not None, "a conditional discriminator needs labels"  # noqa: S101
        logits: Tensor = (self.embedding(labels) * features).sum(dim=1)
        return logits
