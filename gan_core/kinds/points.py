"""Points: rows of a few numbers, whose distribution may be known in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, Dataset, DatasetSpec, write_spec
from gan_core.data.packing import pack, sample_shape
from gan_core.data.scaling import points_to_data, points_to_unit

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator

_PREVIEW_COUNT = 1_000


@dataclass(frozen=True)
class Points(DatasetSpec):
    """Points (D,)."""

    kind: ClassVar[str] = "points"
    unit: ClassVar[str] = "points"
    dtype: ClassVar[type[np.generic]] = np.float32

    mean: tuple[float, ...] = ()
    """Of each column over the training split."""
    std: tuple[float, ...] = ()
    """Standard deviation of each column over the training split, never 0."""
    truth: Mapping[str, Any] | None = None
    """The distribution they were drawn from.

    `{"shape": "circle", "radius": r, "sigma": s}`, or `{"shape": "ring" | "grid", "centers": [[x, y], ...], "sigma": s}`.
    """

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, NDArray[np.float32]],  # (N, D) of each split
        truth: Mapping[str, Any] | None = None,
    ) -> Self:
        """Write points into `folder` as a packed data set; dataset.json, with the training split's mean and deviation, is written last."""
        counts = pack(folder, samples, cls.dtype)
        train = samples["train"].astype(np.float64)
        std = train.std(axis=0)
        # A column that never changes is left as it is when points are standardised.
        mean, std = tuple(train.mean(axis=0).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
        return write_spec(folder, cls(sample_shape(samples), counts, mean=mean, std=std, truth=truth))

    def to_networks(self, samples: Tensor) -> Tensor:
        return points_to_unit(samples, self.mean, self.std)

    def to_samples(self, made: Tensor) -> Tensor:
        return points_to_data(made, self.mean, self.std).cpu()

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        real = np.array(dataset.samples["train"][:_PREVIEW_COUNT])
        return pictures.scatter(generator.sample(len(real), PREVIEW_SEED).samples, real)
