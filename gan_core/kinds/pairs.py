"""Images, each with the one that it is to be made of: translations with partners, and restorations of images spoiled on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape, write_rows
from gan_core.errors import DataError
from gan_core.kinds.corruptions import FACTOR, corrupt
from gan_core.kinds.images import Images
from gan_core.kinds.pixels import Translated, depth_of
from gan_core.params.common import Corruption

if TYPE_CHECKING:
    from gan_core.generator import Generator

_PREVIEW_ROWS = 6


@dataclass(frozen=True)
class Pairs(Translated):
    """Images of one size, each with its input."""

    kind: ClassVar[str] = "pairs"

    corruption: Corruption | None = None
    """How the inputs were made of the samples; None where they were not."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # (N, C, H, W) of each split, uint8, uint16 or float32: what is to be made
        inputs: Mapping[str, Rows],  # (N, C', H, W), of the same type: what each is made from, in the same order
    ) -> Self:
        """Write pairs of images into `folder` as a packed data set; dataset.json is written last."""
        depth, dtype = depth_of(samples), samples["train"].dtype
        counts = pack(folder, samples, dtype)
        pack(folder, inputs, dtype, ending="_inputs")
        return write_spec(folder, cls(sample_shape(samples), counts, inputs=sample_shape(inputs), depth=depth))

    @classmethod
    def spoil(cls, folder: Path, images: Images, corruption: Corruption, seeds: Mapping[str, Sequence[int]]) -> Self:
        """Add to the images packed in `folder` the same ones spoiled, which makes pairs of them; `seeds` has one for each of a split.

        Raises:
            DataError: the images cannot be spoiled so.
        """
        channels, *sides = images.shape
        if corruption == "grey" and channels == 1:
            raise DataError("data.corruption: grey takes the colour from images, and these have none; set data.channels: 3, or another one")
        if corruption == "downsample" and any(side % FACTOR for side in sides):
            raise DataError(
                f"data.corruption: downsample needs a size that {FACTOR} divides, and images have {sides[0]} pixels; set data.size"
            )
        inputs = (1 if corruption == "grey" else channels, *sides)
        for split in images.splits:
            whole = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
            spoiled = (corrupt(np.array(image), corruption, seed) for image, seed in zip(whole, seeds[split], strict=True))
            write_rows(folder / f"{split}_inputs.npy", spoiled, (len(whole), *inputs), images.dtype)
        return write_spec(folder, cls(images.shape, images.counts, images.classes, inputs, corruption=corruption))

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """Rows of input, generated and real, of the first held-out pairs, or of training pairs where none are held out."""
        split = "holdout" if len(dataset.samples["holdout"]) else "train"
        inputs, real = (np.array(part[split][:_PREVIEW_ROWS]) for part in (dataset.inputs, dataset.samples))
        return pictures.rows(*map(self.pictured, (inputs, generator.translate(inputs).samples, real)))
