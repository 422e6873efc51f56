"""A segmentation network fitted on real pairs of image and label map; it tells whether generated images show what was asked for.

This is how pix2pix is judged in its paper (Isola et al., 2017, section 3.3): an image is as good as the labels that are found in it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gan_core.augment import mirrored_and_shifted
from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.data.scaling import images_to_bytes
from gan_core.errors import DataError
from gan_core.metrics import features
from gan_core.metrics.features import WIDTH, ExtractorConfig, FeatureExtractor, ImageNetwork
from gan_core.metrics.fitting import one_cycle, steps_for
from gan_core.metrics.palette import are_label_maps, labels_of, palette_of
from gan_core.networks.unet import Unet

_PALETTE_FROM = 200  # label maps that the colours are taken from
_EPOCHS, _FEWEST, _MOST = 12, 1_000, 20_000  # how long it is fitted: 12 epochs, within these bounds in images seen
_BATCH = 8
_LEARNING_RATE, _WEIGHT_DECAY = 3e-3, 1e-2


def _halvings(shape: tuple[int, ...]) -> int:
    halvings = min(4, *((side & -side).bit_length() - 1 for side in shape[1:]))
    if not halvings:
        raise DataError(f"features: a segmentation network needs even sides, and images have {shape[1]} x {shape[2]} pixels")
    return halvings


class SegmentationNetwork(ImageNetwork):
    """A small U-Net: images (N, C, H, W) in -1..1 -> the classes' logits (N, K, H, W). Its features are the mean of its deepest level."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        halvings = _halvings(shape)
        self.unet = Unet(shape[0], classes, tuple(WIDTH // 2**level for level in range(halvings - 1, -1, -1)))

    def features(self, images: Tensor) -> Tensor:
        return self.unet.encode(images)[-1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.unet(images)
        return logits


class SegmentationExtractor(FeatureExtractor):
    """From an image to the label map that it was made from; for pairs whose input is a label map."""

    kind = "segmentation"

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """Fit on the real pairs of the training split, for 12 epochs within 1,000 to 20,000 pairs, mirrored and shifted.

        Raises:
            DataError: the data has no inputs for its images, or they are no label maps of at least two colours.
            TrainingError: the loss is not finite.
        """
        spec = dataset.spec
        palette = cls.colours(dataset)
        device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SegmentationNetwork(features.image_shape(spec), len(palette)).to(device)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            _fit(network, Batches(dataset, seed, device), spec.counts["train"], palette)
        colours = tuple(tuple(colour) for colour in palette.tolist())
        fitted = cls(ExtractorConfig(cls.kind, features.image_shape(spec), None, seed, spec.digest, palette=colours), network)
        found = [
            fitted.accuracies(np.array(dataset.samples["holdout"][at : at + 1]), np.array(dataset.inputs["holdout"][at : at + 1]))
            for at in range(spec.counts["holdout"])
        ]
        accuracy = round(float(np.concatenate(found).mean()), 6) if found else None
        return cls(replace(fitted.config, holdout_accuracy=accuracy), network)

    @staticmethod
    def colours(dataset: Dataset) -> NDArray[np.uint8]:
        """The palette of a data set's label maps, uint8 (K, C).

        Raises:
            DataError: the data has no inputs for its images, they are no label maps of at least two colours, or the sides are odd.
        """
        spec = dataset.spec
        if spec.kind != "pairs":
            raise DataError("features: a segmentation network needs pairs of image and label map; use evaluate.features: random")
        _halvings(features.image_shape(spec))
        maps = np.array(dataset.inputs["train"][:_PALETTE_FROM])
        palette = palette_of(maps)
        if not are_label_maps(maps, palette):
            raise DataError(
                "features: the inputs are no label maps, which have areas of at least two colours and little else; "
                "use evaluate.features: random, or turn data.direction"
            )
        return palette

    @staticmethod
    def _empty(config: ExtractorConfig) -> SegmentationNetwork:
        return SegmentationNetwork(config.shape, len(config.palette or ()))

    def fits(self, spec: DatasetSpec) -> bool:
        return self.config.shape == spec.shape and spec.inputs is not None and len(self._palette[0]) == spec.inputs[0]

    def accuracies(self, images: NDArray[np.uint8], maps: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Share of each image's pixels that are taken for what its label map says: (N,), 0 to 1.

        Args:
            images: uint8 (N, C, H, W).
            maps: uint8 (N, C', H, W).
        """
        device = next(self.network.parameters()).device
        wanted = torch.from_numpy(labels_of(maps, self._palette))
        with torch.inference_mode(), features.in_float32():
            found = self.network(self.prepared(torch.from_numpy(np.array(images)).to(device))).argmax(dim=1).cpu()
        right: NDArray[np.float64] = (found == wanted).to(torch.float64).mean(dim=(1, 2)).numpy()
        return right

    @property
    def _palette(self) -> NDArray[np.uint8]:
        return np.array(self.config.palette, dtype=np.uint8)


def _fit(network: SegmentationNetwork, batches: Batches, count: int, palette: NDArray[np.uint8]) -> None:
    size = min(count, _BATCH)

    def loss_at(step: int) -> Tensor:
        batch = batches.after(step * size, size)
        assert batch.inputs is not None  # noqa: S101  the caller has seen that the data has pairs
        maps, images = mirrored_and_shifted(batch.inputs, batch.real, flip=True, jitter=1 / 16)
        labels = torch.from_numpy(labels_of(images_to_bytes(maps).cpu().numpy(), palette)).to(images.device)
        return F.cross_entropy(network(images), labels)

    network.train()
    with features.in_float32():
        steps = steps_for(count, size, _EPOCHS, _FEWEST, _MOST)
        one_cycle(network.parameters(), loss_at, steps, _LEARNING_RATE, _WEIGHT_DECAY, "segmentation network")
