"""From image to image through residual blocks at low resolution (Johnson et al., 2016; CycleGAN, Zhu et al., 2017)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.data.labels import Condition
from gan_core.networks.common import dcgan_init, embedding_of
from gan_core.params.networks import LabelledTranslatorParams, TranslatorParams

_STYLE = 64  # what is learned of each label
_MASK_BLOCKS = 2
_OPEN = 1.0  # logit that a mask begins at: closed it would let no gradient through

TranslatorNormalization = Literal["none", "instance"]


class Told(nn.Sequential):
    """Layers one after another, those among them that take one told a style (N, S) of the label, where there is any."""

    def forward(self, features: Tensor, style: Tensor | None = None) -> Tensor:
        for layer in self:
            features = layer(features, style) if isinstance(layer, LabelledScale | TranslatorBlock) else layer(features)
        return features


class LabelledScale(nn.Module):
    """Behind a convolution: scales and shifts each channel by the style of a label, (N, C, H, W), (N, S) -> (N, C, H, W).

    What a label adds in front of a normalisation by image, as planes beside the image do (StarGAN: Choi et al., 2018), that takes away
    again, apart from the border: so it comes behind each (conditional instance normalisation: Dumoulin et al., 2017).
    """

    def __init__(self, style: int, channels: int) -> None:
        super().__init__()
        self.both = nn.Linear(style, 2 * channels)

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        scale, shift = self.both(style)[:, :, None, None].chunk(2, dim=1)
        scaled: Tensor = features * (1 + scale) + shift
        return scaled


class TranslatorBlock(nn.Module):
    """(N, C, H, W) -> the same shape: two convolutions beside the identity, each under instance normalisation or none."""

    def __init__(self, channels: int, style: int = 0, normalization: TranslatorNormalization = "instance", kernel: int = 3) -> None:
        super().__init__()
        self.layers = Told(
            *_convolution(channels, channels, kernel, style, normalization),
            nn.ReLU(inplace=True),
            *_convolution(channels, channels, kernel, style, normalization),
        )

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        summed: Tensor = x + self.layers(x, style)
        return summed


class Translator(nn.Module):
    """(N, C, H, W) in -1..1 -> the same shape: the paper's c7s1-w, d2w, d4w, R4w x `blocks`, u2w, uw, c7s1-C.

    `width` channels in front of the first downsampling, twice as many behind each; `downsamplings` halve the side, so it has to be a
    multiple of 2 to their power. Reflection padding, instance normalisation; weights from N(0, 0.02), or He et al.'s (2015) where nothing
    is normalised. With `skip`, what the layers make is added to the image, under a mask or not, so that it starts near the identity; values
    may then lie a little outside. With a condition it takes labels (N,) beside the images, and tells every layer what is learned of them,
    the last and the mask apart: a mask that were told could close at one label, and its translations would stay copies.
    """

    def __init__(self, params: TranslatorParams | LabelledTranslatorParams, data: DatasetSpec, condition: Condition | None = None) -> None:
        super().__init__()
        blocks = params.with_blocks(min(data.shape[1:])).blocks or 0
        images, width, style = data.shape[0], params.width, 0 if condition is None else _STYLE
        outer, inner = (1, 1) if params.pixelwise else (7, 3)  # sides of kernels
        self.embedding = embedding_of(condition, style)
        normalization = params.normalization
        layers = [*_convolution(images, width, outer, style, normalization), nn.ReLU(inplace=True)]
        for _ in range(params.downsamplings):
            down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
            layers += [down, *_normalized(2 * width, style, normalization), nn.ReLU(inplace=True)]
            width *= 2
        layers += [TranslatorBlock(width, style, normalization, inner) for _ in range(blocks)]
        for _ in range(params.downsamplings):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1),
                *_normalized(width // 2, style, normalization),
                nn.ReLU(inplace=True),
            ]
            width //= 2
        layers += [*_convolution(width, images, outer, 0, "none"), *([] if params.skip else [nn.Tanh()])]
        self.skip = bool(params.skip)
        self.side_multiple = deepest = 2**params.downsamplings
        # The first and the last convolution, one of 3 pixels each halving and each doubling, two in each block.
        ends, block = 2 * (outer // 2), 2 * (inner // 2)
        self.reach = ends + (deepest - 1) + 2 * (deepest - 1) + block * blocks * deepest
        self.layers = Told(*layers)
        self.mask: nn.Sequential | None = None
        if params.skip == "masked":
            self.mask = nn.Sequential(
                *_convolution(images, width, outer, 0, "none"),
                nn.ReLU(inplace=True),
                *(TranslatorBlock(width, normalization="none", kernel=inner) for _ in range(_MASK_BLOCKS)),
                nn.Conv2d(width, 1, 1),
                nn.Sigmoid(),
            )
            self.reach = max(self.reach, outer // 2 + block * _MASK_BLOCKS)
        self.apply(dcgan_init)
        if normalization == "none":
            _keep_sizes(self.layers)
        if self.mask is not None:
            _keep_sizes(self.mask)
            nn.init.constant_(self.mask[-2].get_parameter("bias"), _OPEN)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        drawn: Tensor = self.layers(images, None if self.embedding is None else self.embedding(labels))
        if not self.skip:
            return drawn
        return images + (drawn if self.mask is None else self.mask(images) * drawn)


class LabelledTranslator(Translator):
    """The same, told a label: (N, C, H, W), (N,) -> (N, C, H, W)."""

    def __init__(self, params: LabelledTranslatorParams, data: DatasetSpec, latent: int = 0) -> None:
        super().__init__(params, data, data.condition)


class RoundTrip(nn.Module):
    """Two translators that undo each other: called, it translates `there`; `back` takes a translation to where it came from."""

    def __init__(self, params: TranslatorParams, data: DatasetSpec, latent: int = 0) -> None:
        super().__init__()
        self.there = Translator(params, data)
        self.back = Translator(params, data)

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.there(images)
        return translated


def _convolution(channels: int, out: int, kernel: int, style: int, normalization: TranslatorNormalization) -> list[nn.Module]:
    padding = [nn.ReflectionPad2d(kernel // 2)] if kernel > 1 else []
    return [*padding, nn.Conv2d(channels, out, kernel), *_normalized(out, style, normalization)]


def _normalized(channels: int, style: int, normalization: TranslatorNormalization) -> list[nn.Module]:
    normalizing = [nn.InstanceNorm2d(channels)] if normalization == "instance" else []
    return [*normalizing, *([LabelledScale(style, channels)] if style else [])]


def _convolutions(layers: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [module for module in layers.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def _keep_sizes(layers: nn.Sequential) -> None:
    """Initialise layers without norms so that features keep their size through all but the last, and blocks begin as the identity."""
    for convolution in _convolutions(layers)[:-1]:
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    for block in (layer for layer in layers if isinstance(layer, TranslatorBlock)):
        nn.init.zeros_(_convolutions(block)[-1].weight)
