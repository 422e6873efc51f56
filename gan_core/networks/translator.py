"""From image to image through residual blocks at low resolution (Johnson et al., 2016; CycleGAN, Zhu et al., 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.networks.common import dcgan_init
from gan_core.params.networks import TranslatorParams


class TranslatorBlock(nn.Module):
    """(N, C, H, W) -> the same shape: two 3x3 convolutions beside the identity, each under instance normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels, 3), nn.ReLU(inplace=True), *_convolution(channels, channels, 3)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = x + self.layers(x)
        return summed


class Translator(nn.Module):
    """(N, C, H, W) in -1..1 -> the same shape: the paper's c7s1-w, d2w, d4w, R4w x `blocks`, u2w, uw, c7s1-C.

    `width` channels in front of the first downsampling, twice as many behind each; `downsamplings` halve the side, so it has to be a
    multiple of 2 to their power. Reflection padding, instance normalisation; weights from N(0, 0.02). With `skip`, what the layers
    make is added to the image, so that it starts near the identity; values may then lie a little outside.
    """

    def __init__(self, params: TranslatorParams, data: DatasetSpec) -> None:
        super().__init__()
        blocks = params.blocks if params.blocks is not None else 9 if min(data.shape[1:]) >= 256 else 6
        images, width = data.shape[0], params.width
        layers = [*_convolution(images, width, 7), nn.ReLU(inplace=True)]
        for _ in range(params.downsamplings):
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * width), nn.ReLU(inplace=True)]
            width *= 2
        layers += [TranslatorBlock(width) for _ in range(blocks)]
        for _ in range(params.downsamplings):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(width // 2),
                nn.ReLU(inplace=True),
            ]
            width //= 2
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, images, 7), *([] if params.skip else [nn.Tanh()])]
        self.skip = params.skip
        self.side_multiple = deepest = 2**params.downsamplings
        # Both convolutions of 7 pixels, one of 3 each halving and each doubling, two in each block.
        self.reach = 3 + 3 + (deepest - 1) + 2 * (deepest - 1) + 2 * blocks * deepest
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.layers(images)
        return images + translated if self.skip else translated


class RoundTrip(nn.Module):
    """Two translators that undo each other: called, it translates `there`; `back` takes a translation to where it came from."""

    def __init__(self, params: TranslatorParams, data: DatasetSpec, latent: int = 0) -> None:
        super().__init__()
        self.there = Translator(params, data)
        self.back = Translator(params, data)

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.there(images)
        return translated


def _convolution(channels: int, out: int, kernel: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(channels, out, kernel), nn.InstanceNorm2d(out)]
