"""What the network families share: normalisation, initialisation, label embedding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from gan_core.data.dataset import DatasetSpec
from gan_core.data.labels import Classes, Condition, Numbers
from gan_core.data.scaling import channels_last
from gan_core.distributed import own_part, whole
from gan_core.errors import ConfigError
from gan_core.networks.linear import Linear
from gan_core.params.common import common_halvings, nearest_sides, sides_in_words

_FEWEST_FIRST = 4  # of a side that is halved by itself, at least left
_LEAST = 1e-4  # under a root, as a share of features of size 1
_KNOTS = 9  # numbers of which something is learned by itself


Normalization = Literal["none", "batch", "spectral", "instance"]
Network = TypeVar("Network", bound=nn.Module)


def normalized(module: nn.Module, normalization: Normalization) -> nn.Module:
    """`module` under spectral normalisation (Miyato et al., 2018) where that is asked for, itself otherwise."""
    return spectral_norm(module) if normalization == "spectral" else module


@dataclass(frozen=True)
class Layers:
    """What networks are made of, for samples of one number of dimensions."""

    convolution: type[nn.Conv1d | nn.Conv2d | nn.Conv3d]
    transposed: type[nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d]
    batch_norm: type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]
    instance_norm: type[nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d]
    average_pool: Callable[[Tensor, tuple[int, ...]], Tensor]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Layers:
        """For samples of a shape: series (C, T), images (C, H, W), volumes (C, X, Y, Z) or clips (C, F, H, W)."""
        return _LAYERS[len(shape) - 1]


_LAYERS = {
    1: Layers(nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.InstanceNorm1d, F.avg_pool1d),
    2: Layers(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d, F.avg_pool2d),
    3: Layers(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.InstanceNorm3d, F.avg_pool3d),
}
IMAGE_LAYERS = _LAYERS[2]


def batch_norm(channels: int, normalization: Normalization, layers: Layers = IMAGE_LAYERS) -> nn.Module:
    """Normalisation of features (N, C, ...) by batch or by instance where that is asked for, nothing otherwise."""
    if normalization == "instance":
        return layers.instance_norm(channels)
    return layers.batch_norm(channels) if normalization == "batch" else nn.Identity()


_WEIGHTED = (*(one for layers in _LAYERS.values() for one in (layers.convolution, layers.transposed)), nn.Linear)
_NORMALIZED = tuple(layers.batch_norm for layers in _LAYERS.values())


def dcgan_init(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as in the DCGAN paper (Radford et al., 2016)."""
    if isinstance(module, _WEIGHTED):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, _NORMALIZED):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def lay_out(network: Network) -> Network:
    """`network`, each of its kernels in the memory layout in which its convolution is fastest on either device."""
    for weight in network.parameters():
        if weight.dim() in (4, 5):
            weight.data = weight.data.to(memory_format=channels_last(weight.dim()))
    return network


def layers_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """A network's weights by layer, in the order in which the layers were made.

    A layer is a module with a weight of two or more dimensions. What has none, such as a normalisation, belongs to the one before it, and
    embeddings of labels to none.
    """
    layers: list[list[nn.Parameter]] = []
    for module in network.modules():
        # Under spectral normalisation the weight lies in a module below.
        parametrized = cast(nn.ModuleDict, module.parametrizations).parameters() if parametrize.is_parametrized(module) else ()
        weights = [*module.parameters(recurse=False), *parametrized]
        if isinstance(module, nn.Embedding | parametrize.ParametrizationList) or not weights:
            continue
        if any(weight.dim() > 1 for weight in weights):
            layers.append(weights)
        elif layers:
            layers[-1] += weights
    return layers


class Dropout(nn.Dropout):
    """`nn.Dropout` (Srivastava et al., 2014) whose mask is drawn faster on a CPU: 16 random bits a value instead of a call of the
    generator for each, which took an eighth of a DCGAN's step. The share that is dropped is the nearest of 1/65536.
    """

    @property
    def _dropped(self) -> int:
        """Of 65536."""
        return min(round(self.p * 2**16), 2**16 - 1)

    @property
    def scale(self) -> float:
        """What the values that are kept are multiplied by, on a CPU."""
        return 1 / (1 - self._dropped / 2**16)

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or not self.p or features.device.type != "cpu":
            return super().forward(features)
        count, each = len(features), features[0].numel()
        # A row a sample, by torch.randint: so processes that share a batch share the draw too (gan_core.distributed).
        bits = torch.randint(-(2**63), 2**63 - 1, (count, -(-each // 4))).view(torch.int16)[:, :each]
        mask = torch.empty_like(features, requires_grad=False)
        # In place, since comparing to booleans and copying those takes seven times as long; in the features' layout.
        mask.as_strided((count, each), (each, 1)).copy_(bits.ge_(self._dropped - 2**15)).mul_(self.scale)
        return features * mask


class Flatten(nn.Flatten):
    """`nn.Flatten` of channels-last features (N, C, ...), whose gradient comes back channels-last as well.

    Otherwise each operation behind it in the backward pass meets two layouts, and takes five times as long.
    """

    def forward(self, features: Tensor) -> Tensor:
        layout = channels_last(features.dim())
        if features.requires_grad and features.is_contiguous(memory_format=layout):
            features.register_hook(lambda gradient: gradient.contiguous(memory_format=layout))  # type: ignore[no-untyped-call]
        return super().forward(features)


class LabelEmbedding(nn.Embedding):
    """What is learned of each class, a row a class, in the order of the data set's classes.

    Labels are (N,), int64, or float (N, classes): shares of the classes that each is a mixture of, which embeddings are mixed by.
    """

    def forward(self, labels: Tensor) -> Tensor:
        return labels @ self.weight if labels.is_floating_point() else super().forward(labels)


class NumberEmbedding(nn.Embedding):
    """What is learned of numbers (N,): a row at each of some, evenly spaced over their range, and between two of them what lies between.

    So what is learned of one number holds for those near it as well, which the labels of CcGAN are made for (Ding et al., 2021).
    """

    def __init__(self, numbers: Numbers, width: int) -> None:
        super().__init__(_KNOTS, width)
        self.numbers = numbers

    def forward(self, labels: Tensor) -> Tensor:
        places = self.numbers.shares(labels.float()).clamp(0.0, 1.0) * (_KNOTS - 1)
        shares = (1 - (places[:, None] - torch.arange(_KNOTS, device=labels.device)).abs()).clamp(min=0.0)
        embedded: Tensor = shares.to(self.weight.dtype) @ self.weight
        return embedded


def embedding_of(condition: Condition | None, width: int) -> nn.Embedding | None:
    """What a network learns of labels: (N,) -> (N, width); None where there are none."""
    if isinstance(condition, Classes):
        return LabelEmbedding(len(condition.names), width)
    return NumberEmbedding(condition, width) if isinstance(condition, Numbers) else None


class WordEmbedding(nn.Embedding):
    """What is learned of each word, a row a token, in the order of the data set's vocabulary."""


def rows_of(network: nn.Module, kind: type[LabelEmbedding | WordEmbedding]) -> list[str]:
    """Names of the tensors in a network's state that have a row for each class, or for each word."""
    found = {path: module for path, module in network.named_modules() if isinstance(module, kind)}
    weights = ("weight", "parametrizations.weight.original")
    return [f"{path}.{weight}".lstrip(".") for path, module in found.items() for weight in weights if weight in module.state_dict()]


class LabelledLatent(nn.Module):
    """Joins a latent and an embedding of its label: (N, L), (N,) -> (N, L + E); the latent alone without labels."""

    def __init__(self, latent: int, condition: Condition | None) -> None:
        super().__init__()
        self.embedding = embedding_of(condition, min(latent, 64))
        self.width = latent + (self.embedding.embedding_dim if self.embedding else 0)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        if self.embedding is None:
            return latents
        assert labels is not None, "a conditional generator needs labels"  # noqa: S101
        return torch.cat([latents, self.embedding(labels)], dim=1)


class MixtureLatent(nn.Module):
    """Makes of a normal latent (N, L) one from a mixture of `components` learned Gaussians, (N, L - 1) (Gurumurthy et al., 2017).

    A continuous generator has to draw something on the way from one piece of the data to the next; with a component a piece it need
    not. Which component a latent belongs to is read off its first coordinate, so the same latent always makes the same sample.
    """

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        if latent < 2:
            raise ConfigError("latent: a mixture takes one coordinate for itself; use 2 or more")
        self.components = components
        self.mean = nn.Embedding(components, latent - 1)
        self.log_std = nn.Embedding(components, latent - 1)
        # Apart from each other from the start: components that overlap are drawn over each other, and never part.
        nn.init.constant_(self.log_std.weight, math.log(0.1))

    def forward(self, latents: Tensor) -> Tensor:
        quantile = torch.special.ndtr(latents[:, 0].float())
        component = (quantile * self.components).long().clamp_(0, self.components - 1)
        mixed: Tensor = self.mean(component) + self.log_std(component).exp() * latents[:, 1:]
        return mixed


class ProjectionHead(nn.Module):
    """Logits from features, by label through their inner product with an embedding (Miyato and Koyama, 2018).

    (N, F), (N,) -> (N,); without labels a plain linear layer. With `batch_distance` each sample's distance to its like in the batch is
    one more feature.
    """

    def __init__(
        self,
        features: int,
        condition: Condition | None,
        batch_distance: bool = False,
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    ) -> None:
        super().__init__()
        self.batch_distance = batch_distance
        features += self.batch_distance
        self.linear = wrap(Linear(features, 1))
        embedding = embedding_of(condition, features)
        self.embedding = None if embedding is None else wrap(embedding)
        self.by_class = isinstance(condition, Classes)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        if self.batch_distance:
            features = torch.cat(
                [features, distance_in_batch(features, labels if self.by_class else None)[:, None].to(features.dtype)], dim=1
            )
        logits: Tensor = self.linear(features).squeeze(1)
        if self.embedding is not None:
            assert labels is not None, "a conditional discriminator needs labels"  # noqa: S101
            logits = logits + (self.embedding(labels) * features).sum(dim=1)
        return logits


def distance_in_batch(features: Tensor, labels: Tensor | None) -> Tensor:
    """How far the features (N, F) of each sample are from the others of its label, or from all others without labels: float32 (N,).

    The root of the mean squared difference over features and samples; 0 where there is no other.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = features.float()
        squares = rows.square().sum(dim=1)
        everyone = whole(rows)
        squared = (squares[:, None] + whole(squares)[None, :] - 2 * rows @ everyone.T).clamp(min=0.0) / rows.shape[1]
        like = torch.ones_like(squared, dtype=torch.bool) if labels is None else labels[:, None] == whole(labels)[None, :]
        like = like & ~own_part(torch.eye(len(everyone), dtype=torch.bool, device=rows.device))
        mean = (squared * like).sum(dim=1) / like.sum(dim=1).clamp(min=1)
        # The root of 0, which equal samples have, has no slope.
        return (mean + _LEAST).sqrt() - math.sqrt(_LEAST)


def resolutions(shape: tuple[int, ...], family: str) -> tuple[int, tuple[int, ...]]:
    """How often the sides of a sample (C, ...) can be halved, and the smallest sides: the shortest one as `params.halvings` says.

    Raises:
        ConfigError: the shortest side is not 4 to 7 times a power of two, or another cannot be halved as often.
    """
    sides = shape[1:]
    found = common_halvings(sides)
    if found is None:
        nearest = nearest_sides(sides, lambda other: common_halvings(other) is not None)
        raise ConfigError(
            f"network {family}: {' x '.join(map(str, dict.fromkeys(sides)))} pixels cannot be halved down to 4, 5, 6 or 7; "
            f"use a size such as {sides_in_words(nearest)}"
        )
    return found


Factors = tuple[int, ...]
"""By what each side of a sample is divided at once: 2, or 1 where it stays."""


def factors_of(data: DatasetSpec, family: str) -> tuple[list[Factors], tuple[int, ...]]:
    """By what the sides of a sample are divided, halving by halving from the sample inwards, and the smallest sides.

    Where sides are not halved alike, the first one is halved beside the sample, so that what is large gets small soon.

    Raises:
        ConfigError: as `resolutions`, of all sides or of those behind the first.
    """
    channels, *sides = data.network_shape
    if data.halves_alike:
        levels, smallest = resolutions(data.network_shape, family)
        return [(2,) * len(sides)] * levels, smallest
    levels, smallest = resolutions((channels, *sides[1:]), family)
    first, factors = sides[0], list[Factors]()
    for _ in range(levels):
        by = 2 if first % 2 == 0 and first >= 2 * _FEWEST_FIRST else 1
        factors.append((by, *[2] * len(smallest)))
        first //= by
    return factors, (first, *smallest)
