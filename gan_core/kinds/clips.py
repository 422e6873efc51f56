"""Clips: so many frames of one size, one after another in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.kinds.pixels import Pixels

if TYPE_CHECKING:
    from gan_core.generator import Generator

_PREVIEW_COUNT = 24
_PREVIEW_COLUMNS = 3


@dataclass(frozen=True)
class Clips(Pixels):
    """Clips (C, F, H, W), with C of 1 or 3 and F frames; frames are the first of three sides to networks."""

    kind: ClassVar[str] = "clips"
    unit: ClassVar[str] = "clips"
    halves_alike: ClassVar[bool] = False

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # uint8 (N, C, F, H, W) of each split
        labels: Mapping[str, Sequence[int]] | None = None,  # index into classes of each, in the same order
        classes: tuple[str, ...] | None = None,
    ) -> Self:
        """Write clips into `folder` as a packed data set; dataset.json is written last."""
        counts = pack(folder, samples, np.uint8, labels)
        return write_spec(folder, cls(sample_shape(samples), counts, classes))

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """A strip of frames each."""
        return pictures.grid(pictures.strips(generator.sample(_PREVIEW_COUNT, PREVIEW_SEED).samples), _PREVIEW_COLUMNS)


def motion(clips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much frames of clips (N, C, F, H, W) differ from those before them, the mean over all pixels in units of 0..255: (N,)."""
    changes = np.abs(np.diff(clips.astype(np.int16), axis=2))
    return changes.mean(axis=(1, 2, 3, 4), dtype=np.float64) if changes.size else np.zeros(len(clips))
