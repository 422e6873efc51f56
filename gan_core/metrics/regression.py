"""Which number an image shows, such as an age or an angle, told by a network that saw real images alone.

As the matcher of captions it is fitted once on the training split and then frozen; distances between images are those of a random network,
since one that was fitted to read a number may be blind to everything else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.data.labels import Numbers
from gan_core.errors import DataError
from gan_core.metrics.features import (
    ExtractorConfig,
    ExtractorKind,
    FeatureNetwork,
    RandomConvExtractor,
    fit,
    in_float32,
    seeded_network,
)


class RegressorNetwork(FeatureNetwork):
    """The random network of `RandomConvExtractor`, and beside it one that reads a number."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape, 0)
        self.reader = FeatureNetwork(shape, 1)


class RegressorExtractor(RandomConvExtractor):
    """A random network's features for distances between images, and a regressor of the number that an image shows."""

    kind: ClassVar[ExtractorKind] = "regressor"

    @staticmethod
    def _empty(config: ExtractorConfig) -> RegressorNetwork:
        return RegressorNetwork(config.shape)

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """Fit on the training split, as `ClassifierExtractor.fit`, by the squared error of the number's place in its range.

        Raises:
            DataError: the images have no numbers.
            TrainingError: the loss is not finite.
        """
        spec, numbers = dataset.spec, dataset.spec.condition
        if len(spec.shape) < 3 or not isinstance(numbers, Numbers):
            raise DataError("features: a regressor needs images with a number each; use evaluate.features: random")
        device = torch.device(device)
        reader = seeded_network(spec, 1, seed).to(device)

        def loss(read: Tensor, labels: Tensor) -> Tensor:
            return F.mse_loss(read[:, 0], 2 * numbers.shares(labels) - 1)

        fit(reader, Batches(dataset, seed, device), spec.counts["train"], seed, loss, cls.kind)
        random = RandomConvExtractor.fit(dataset, seed, device)
        network = RegressorNetwork(spec.shape).to(device)
        network.trunk, network.reader = cast(FeatureNetwork, random.network).trunk, reader
        return cls(replace(random.config, kind=cls.kind, numbers=(numbers.low, numbers.high)), network)

    def fits(self, spec: DatasetSpec) -> bool:
        return super().fits(spec) and spec.numbers is not None

    def read(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The number that each of images (N, C, H, W) shows, not bounded by the range: (N,)."""
        low, high = self.config.numbers or (0.0, 1.0)
        head = cast(RegressorNetwork, self.network).reader.head
        assert head is not None  # noqa: S101
        features = self._features(cast(RegressorNetwork, self.network).reader, images)
        with torch.inference_mode(), in_float32():
            places: NDArray[np.float32] = head(torch.from_numpy(features).to(head.weight.device))[:, 0].cpu().numpy()
        return (low + (places + 1) / 2 * (high - low)).astype(np.float32)

    def errors(self, images: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """How far the number that each image shows is from its label (N,), as a share of the range: (N,)."""
        low, high = self.config.numbers or (0.0, 1.0)
        return np.asarray(np.abs(self.read(images).astype(np.float64) - labels) / (high - low))
