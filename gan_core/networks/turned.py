"""Volumes of objects that stand in a few known directions: drawn and judged in one of them, and turned about the upright axis.

To a convolution a chair from the left and the same chair from the front are two shapes, and both have to be learned. Here the label says
how an object is turned and nothing else: the generator draws every object as it stands at 0 degrees, and the discriminator turns every one
back before it judges (the pose apart from the object: HoloGAN, Nguyen-Phuoc et al., 2019). Told the label as well, a generator drew the
same object for it again and again. Where objects are alike left and right, the generator draws one half, and the discriminator judges one,
drawn at random; that halves the work, too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.kinds.clips import Clips
from gan_core.kinds.volumes import Volumes
from gan_core.networks.dcgan import DcganDiscriminator, DcganGenerator
from gan_core.params.networks import (
    DcganDiscriminatorParams,
    DcganGeneratorParams,
    TurnedDiscriminatorParams,
    TurnedGeneratorParams,
)


class TurnedGenerator(nn.Module):
    """Latents (N, L), labels (N,) -> volumes (N, C, X, Y, Z).

    Turned are the numbers before the tanh, of which those above 0 become filled: between two voxels lies an edge, and no grey.
    """

    def __init__(self, params: TurnedGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        self.mirrored = params.mirrored
        self.turns = Turns(params, data)
        told = DcganGeneratorParams(width=params.width, widths=params.widths, normalization=params.normalization)
        self.content = DcganGenerator(told, _seen(data, params.mirrored), latent)
        self.content.layers[-1] = nn.Identity()  # the tanh, which comes last

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        upright = self.content(latents)
        if self.mirrored:
            upright = torch.cat([upright.flip(2), upright], dim=2).transpose(2, 3)
        return torch.tanh(self.turns(upright, labels))


class TurnedDiscriminator(nn.Module):
    """Volumes (N, C, X, Y, Z), labels (N,) -> logits (N,)."""

    def __init__(self, params: TurnedDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        self.mirrored = params.mirrored
        self.turns = Turns(params, data, back=True)
        told = DcganDiscriminatorParams.model_validate(params.model_dump(exclude={"network", "degrees", "mirrored"}))
        self.judge = DcganDiscriminator(told, _seen(data, params.mirrored))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        upright = self.turns(samples, labels)
        if self.mirrored:
            left, right = upright.transpose(2, 3).chunk(2, dim=2)
            # A row a sample, as processes that share a batch share a draw (gan_core.distributed).
            is_left = torch.randint(2, (len(samples), 1, 1, 1, 1), device=samples.device) > 0
            upright = torch.where(is_left, left.flip(2), right)
        logits: Tensor = self.judge(upright)
        return logits


def _seen(data: DatasetSpec, mirrored: bool) -> DatasetSpec:
    """What the networks draw and judge: a volume, or the half of it (C, Y / 2, X, Z) whose Y is above the middle.

    A half is like a clip to them: the first of its sides is shorter than the others, and halved less often.
    """
    channels, x, y, z = data.shape
    if mirrored:
        return Clips((channels, y // 2, x, z))
    return Volumes(data.shape)


class Turns(nn.Module):
    """Volumes (N, C, X, Y, Z) turned about Z by what is known of their labels (N,), the same shape. What comes in at the edge is as the
    edge is."""

    def __init__(self, params: TurnedGeneratorParams | TurnedDiscriminatorParams, data: DatasetSpec, back: bool = False) -> None:
        super().__init__()
        known, asked = set(data.classes or ()), set(params.degrees)
        if data.classes is None:
            raise ConfigError("network turned: the label says how an object is turned; set train.condition: label, and data.labels")
        if known != asked:
            raise ConfigError(f"network turned: degrees are of {', '.join(sorted(asked))}, and the classes are {', '.join(sorted(known))}")
        self.degrees = [(-1 if back else 1) * params.degrees[name] for name in data.classes]
        for place, degrees in enumerate(self.degrees):
            if degrees % 90:
                self.register_buffer(f"turn{place}", turning(degrees, data.shape[2]), persistent=False)

    def forward(self, volumes: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None, "turned by label"  # noqa: S101
        if labels.is_floating_point():  # a mixture of classes stands as most of it does
            labels = labels.argmax(dim=1)
        if self.training:  # each is turned once
            order = labels.argsort(stable=True)
            counts = torch.bincount(labels, minlength=len(self.degrees)).tolist()
            parts = volumes[order].split(counts)  # type: ignore[no-untyped-call]
            return torch.cat([self._turned(part, place) for place, part in enumerate(parts)])[order.argsort()]
        turned = volumes  # by the same operations whatever the labels, as an export has to
        for place in range(len(self.degrees)):
            turned = torch.where((labels == place).view(-1, 1, 1, 1, 1), self._turned(volumes, place), turned)
        return turned

    def _turned(self, volumes: Tensor, place: int) -> Tensor:
        degrees = self.degrees[place]
        if degrees % 90 == 0:
            return volumes.rot90(round(degrees / 90), (2, 3))
        matrix: Tensor = self.get_buffer(f"turn{place}")
        n, channels, x, y, z = volumes.shape
        squares = volumes.permute(2, 3, 0, 1, 4).reshape(x * y, n * channels * z)  # one product for all volumes
        return (matrix.to(volumes.dtype) @ squares).view(x, y, n, channels, z).permute(2, 3, 0, 1, 4)


def turning(degrees: float, side: int) -> Tensor:
    """The matrix (S S, S S) that turns a square of S x S places by so many degrees, from the first axis towards the second.

    What lies between places is interpolated, and what lies outside is as the nearest place inside.
    """
    angle, middle = math.radians(degrees), (side - 1) / 2
    places = torch.arange(side, dtype=torch.float64)
    first, second = torch.meshgrid(places - middle, places - middle, indexing="ij")
    # Where what is seen at a place was before the turn.
    before = (
        math.cos(angle) * first + math.sin(angle) * second + middle,
        math.cos(angle) * second - math.sin(angle) * first + middle,
    )
    rows, columns = ((1 - (one.clamp(0, side - 1).flatten()[:, None] - places).abs()).clamp(min=0) for one in before)
    return (rows[:, :, None] * columns[:, None, :]).flatten(1).float()
