"""Volumes: objects in three dimensions, as a cube of voxels each of which is filled or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, PROBE, Dataset, DatasetSpec, write_spec
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.data.scaling import channels_last, images_to_bytes, images_to_unit
from gan_core.shading import shaded

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator, Samples

FILLED = 255
"""What a filled voxel is on disk; an empty one is 0."""
_PREVIEW_COUNT = 25


@dataclass(frozen=True)
class Volumes(DatasetSpec):
    """Volumes (1, X, Y, Z), of 0 and 255, Z upright; -1 and 1 in the networks."""

    kind: ClassVar[str] = "volumes"
    unit: ClassVar[str] = "volumes"
    dtype: ClassVar[type[np.generic]] = np.uint8

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # uint8 (N, 1, X, Y, Z) of each split, 0 and 255
        labels: Mapping[str, Sequence[int]] | None = None,  # index into classes of each, in the same order
        classes: tuple[str, ...] | None = None,
    ) -> Self:
        """Write volumes into `folder` as a packed data set; dataset.json is written last."""
        counts = pack(folder, samples, cls.dtype, labels)
        return write_spec(folder, cls(sample_shape(samples), counts, classes))

    def to_networks(self, samples: Tensor) -> Tensor:
        return images_to_unit(samples).contiguous(memory_format=channels_last(samples.dim()))

    def to_samples(self, made: Tensor) -> Tensor:
        return (made > 0).byte().mul_(FILLED).cpu().contiguous()

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        """What the network says before it is told filled from empty: at first nothing is filled, and that is no collapse."""
        from gan_core.generator import Samples

        order = generator.order(PROBE, PREVIEW_SEED)
        return Samples(images_to_bytes(generator.made(order)).cpu().numpy(), order.labels, generator.config.kind)

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return pictures.grid(shaded(generator.sample(_PREVIEW_COUNT, PREVIEW_SEED).samples))
