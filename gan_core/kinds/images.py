"""Images, with labels or without."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape, write_rows
from gan_core.errors import DataError
from gan_core.kinds.pixels import Pixels, depth_of, numbers_of

if TYPE_CHECKING:
    from gan_core.generator import Generator

_PREVIEW_COUNT = 64


@dataclass(frozen=True)
class Images(Pixels):
    """Images of one size."""

    kind: ClassVar[str] = "images"

    stacked: tuple[str, ...] | None = None
    """The classes of a channel, where channels are images of their own; `classes` are then all combinations of them."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # (N, C, H, W) of each split: uint8, uint16 or float32
        labels: Mapping[str, Sequence[float]] | None = None,  # index into classes of each, or without these its number, in the same order
        classes: tuple[str, ...] | None = None,
    ) -> Self:
        """Write images into `folder` as a packed data set; dataset.json is written last."""
        depth, numbers = depth_of(samples), numbers_of(labels, classes)
        counts = pack(folder, samples, samples["train"].dtype, labels, label_type=np.int64 if numbers is None else np.float32)
        return write_spec(folder, cls(sample_shape(samples), counts, classes, numbers=numbers, depth=depth))

    def stack(self, folder: Path, seed: int) -> Self:
        """Turn these grey images, packed in `folder`, into stacks of three, as colour channels: the protocol of stacked MNIST
        (Metz et al., 2017).

        Each split is shuffled among itself for the second and the third channel, so every image is in three stacks, and none of one split
        in a stack of the other. The classes are all combinations.

        Raises:
            DataError: the images have no labels.
        """
        if self.classes is None:
            raise DataError(
                "data.stack: the images have no labels, and the modes are combinations of them; name a source with a folder a class"
            )
        count, height, width = len(self.classes), *self.shape[1:]
        for number, split in enumerate(self.splits):
            images, labels = (np.load(folder / f"{split}{end}.npy", mmap_mode="r", allow_pickle=False) for end in ("", "_labels"))
            draw = np.random.default_rng((seed, number))
            members = np.stack([np.arange(len(images)), draw.permutation(len(images)), draw.permutation(len(images))], axis=1)
            stacks = (images[three].reshape(3, height, width) for three in members)
            write_rows(folder / "stacks.npy", stacks, (len(images), 3, height, width), self.dtype)
            modes = np.ravel_multi_index(tuple(labels[members].T), (count,) * 3)
            (folder / "stacks.npy").replace(folder / f"{split}.npy")
            np.save(folder / f"{split}_labels.npy", modes.astype(np.int64), allow_pickle=False)
        classes = tuple("+".join(names) for names in itertools.product(self.classes, repeat=3))
        return write_spec(folder, replace(self, shape=(3, height, width), classes=classes, stacked=self.classes))

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return pictures.grid(self.pictured(generator.sample(_PREVIEW_COUNT, PREVIEW_SEED).samples))
