"""Features of images whose channels are images of their own, as in stacked MNIST: a classifier looks at each channel by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.kinds.images import Images
from gan_core.metrics.features import WIDTH, ClassifierExtractor, ExtractorKind


def unstacked(dataset: Dataset) -> Dataset:
    """The images that a stacked data set was made of: each channel by itself, (C * N, 1, H, W), with the class it is of."""
    spec = Images.of(dataset.spec)
    assert spec.stacked is not None, "the data set is stacked"  # noqa: S101
    channels, height, width = spec.shape
    samples = {split: images.reshape(-1, 1, height, width) for split, images in dataset.samples.items()}
    combinations = (len(spec.stacked),) * channels
    labels = {split: np.stack(np.unravel_index(modes, combinations), axis=1).reshape(-1) for split, modes in dataset.labels.items()}
    counts = {split: channels * count for split, count in spec.counts.items()}
    return Dataset(replace(spec, shape=(1, height, width), classes=spec.stacked, counts=counts, stacked=None), samples, labels)


def mode_shares(dataset: Dataset) -> NDArray[np.float64]:
    """Share of each combination in stacks of a data set's training images, drawn without end: (K**C,)."""
    images = unstacked(dataset)
    labels = images.labels["train"]
    single = np.bincount(labels, minlength=len(images.spec.classes or ())) / len(labels)
    shares: NDArray[np.float64] = np.ones(1)
    for _ in range(dataset.spec.shape[0]):
        shares = np.kron(shares, single).astype(np.float64)
    return shares


class StackedExtractor(ClassifierExtractor):
    """A classifier of single channels; features of an image are those of its channels side by side, and its class names all of theirs.

    It is fitted on, and takes, `unstacked` images as well.
    """

    kind: ClassVar[ExtractorKind] = "stacked"

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of uint8 images (N, C, H, W): float32 (N, C * D).

        Raises:
            DataError: the images are of another shape or type.
        """
        single = images.reshape(-1, 1, *images.shape[2:])
        return super().features(single).reshape(len(images), -1)

    def classify(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest class of each channel, as one number: int64 (N,), 0 to K**C - 1, the first channel's class counting most."""
        single = super().classify(features.reshape(-1, WIDTH)).reshape(len(features), -1)
        combinations = (len(self.config.classes or ()),) * single.shape[1]
        return np.asarray(np.ravel_multi_index(tuple(single.T), combinations), dtype=np.int64)
