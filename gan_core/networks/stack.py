"""Text to image in two stages (StackGAN, Zhang et al., 2017): a draft at half the size, which the second stage refines with the text."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.kinds.captions import Captioned
from gan_core.networks.common import Flatten, normalized, resolutions
from gan_core.networks.linear import Linear
from gan_core.networks.residual import GeneratorBlock
from gan_core.networks.text import TEXT_WIDTH, TextEncoder
from gan_core.params.networks import StackGeneratorParams


class ConditioningAugmentation(nn.Module):
    """A normal distribution for each text, and a draw from it (Zhang et al., 2017, section 3.2).

    Texts (N, TEXT_WIDTH) and standard normal noise (N, code) -> the code, its mean and the logarithm of its deviation, (N, code) each.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.linear = Linear(TEXT_WIDTH, 2 * code)

    def forward(self, texts: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_std = self.linear(texts).float().chunk(2, dim=1)
        log_std = log_std.clamp(-5, 2)
        return mean + log_std.exp() * noise, mean, log_std


class FirstStage(nn.Module):
    """A dense layer to the smallest resolution, then a residual block each doubling: code and latent -> an image before tanh."""

    def __init__(self, shape: tuple[int, ...], given: int, width: int) -> None:
        super().__init__()
        levels, sides = resolutions(shape, "stack")
        channels = [min(width * 2 ** (levels - level), 4 * width) for level in range(levels + 1)]
        self.start = (channels[0], *sides)
        self.dense = Linear(given, math.prod(self.start))
        self.blocks = nn.Sequential(*(_Doubling(*pair) for pair in pairwise(channels)))
        self.to_image = nn.Sequential(nn.BatchNorm2d(channels[-1]), nn.ReLU(), nn.Conv2d(channels[-1], shape[0], 3, padding=1))

    def forward(self, given: Tensor) -> Tensor:
        start = self.dense(given).view(-1, *self.start).contiguous(memory_format=torch.channels_last)
        image: Tensor = self.to_image(self.blocks(start))
        return image


class SecondStage(nn.Module):
    """Half the draft's size joined with the code, residual blocks, two doublings: what is added to the enlarged draft before tanh.

    It begins as zero, so a fresh second stage passes the draft on.
    """

    def __init__(self, channels: int, code: int, width: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(width, 2 * width, 4, 2, 1))
        self.join = nn.Conv2d(2 * width + code, 2 * width, 1)
        self.blocks = nn.Sequential(_Residual(2 * width), _Residual(2 * width), _Doubling(2 * width, width), _Doubling(width, width // 2))
        self.to_image = nn.Sequential(nn.BatchNorm2d(width // 2), nn.ReLU(), nn.Conv2d(width // 2, channels, 3, padding=1))
        last = self.to_image[-1]
        assert isinstance(last, nn.Conv2d)  # noqa: S101
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, draft: Tensor, code: Tensor) -> Tensor:
        seen = self.down(draft)
        everywhere = code.to(seen.dtype)[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        joined = torch.cat([seen, everywhere], dim=1).contiguous(memory_format=torch.channels_last)
        change: Tensor = self.to_image(self.blocks(self.join(joined)))
        return change


class StackGenerator(nn.Module):
    """Text encoder, conditioning augmentation and both stages: latents (N, latent), tokens (N, T) -> images in -1..1.

    The latent holds the noise of the first stage and that of both codes. `width` are the channels at each stage's size.
    """

    def __init__(self, params: StackGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        code = params.code
        self.parts = [latent - 2 * code, code, code]
        self.text = TextEncoder(len(Captioned.of(data).words))
        self.first_code = ConditioningAugmentation(code)
        self.first = FirstStage(half(data.shape), latent - code, params.width)
        self.second_code = ConditioningAugmentation(code)
        self.second = SecondStage(data.shape[0], code, params.width)

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        texts = self.text(tokens)
        draft, _, _ = self.draw_draft(latents, texts)
        refined, _, _ = self.refine(draft, latents, texts)
        return torch.tanh(refined)

    def draft(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """The first stage's images, enlarged to the full size (bicubic)."""
        draft, _, _ = self.draw_draft(latents, self.text(tokens))
        return F.interpolate(torch.tanh(draft.float()), scale_factor=2.0, mode="bicubic", align_corners=False).clamp(-1, 1)

    def draw_draft(self, latents: Tensor, texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first stage on encoded texts: images at half the size before tanh, and its code's mean and log deviation."""
        noise, first, _ = torch.split(latents, self.parts, dim=1)
        code, mean, log_std = self.first_code(texts, first)
        return self.first(torch.cat([noise, code], dim=1)), mean, log_std

    def refine(self, draft: Tensor, latents: Tensor, texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The second stage on a draft before tanh: images before tanh, and its code's mean and log deviation."""
        code, mean, log_std = self.second_code(texts, torch.split(latents, self.parts, dim=1)[2])
        # As sharp as `draft` shows it, so that the second stage begins no worse than what it is measured against.
        enlarged = F.interpolate(draft.float(), scale_factor=2.0, mode="bicubic", align_corners=False)
        return enlarged + self.second(torch.tanh(draft), code), mean, log_std


class StackDiscriminator(nn.Module):
    """Strided convolutions to the smallest resolution; judges an image together with a text.

    Images (N, C, H, W) and encoded texts (N, TEXT_WIDTH) -> logits (N,): a linear head, and the inner product of the features with a
    projection of the text (Miyato and Koyama, 2018). Spectral normalisation throughout.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        levels, sides = resolutions(shape, "stack")
        channels = [shape[0], *(min(width * 2**level, 4 * width) for level in range(levels))]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [normalized(nn.Conv2d(before, after, 4, 2, 1), "spectral"), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, Flatten())
        features = channels[-1] * math.prod(sides)
        self.linear = normalized(Linear(features, 1), "spectral")
        self.projection = normalized(Linear(TEXT_WIDTH, features, bias=False), "spectral")

    def features(self, images: Tensor) -> Tensor:
        """What the heads see of images: (N, F). Worth sharing between judgements of one image with several texts."""
        features: Tensor = self.layers(images)
        return features

    def judge(self, features: Tensor, texts: Tensor) -> Tensor:
        """Float32 logits (N,) of features with texts."""
        logits: Tensor = self.linear(features).squeeze(1).float() + (self.projection(texts).float() * features.float()).sum(dim=1)
        return logits

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        return self.judge(self.features(images), texts)


class _Doubling(GeneratorBlock):
    """A generator's residual block without labels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, condition=None)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(x, labels)


class _Residual(nn.Module):
    """(N, C, H, W) -> the same, with what two convolutions add."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [layer for _ in range(2) for layer in (nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1))]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.layers(x)
        return changed


def half(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of the first stage's images."""
    channels, height, width = shape
    return channels, height // 2, width // 2
