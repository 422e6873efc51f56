"""Two kinds of images without partners: the ones that a generator is given, and the ones that it is to make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.kinds.pixels import Pixels, Translated, depth_of

if TYPE_CHECKING:
    from gan_core.generator import Generator

_PREVIEW_COUNT = 12


@dataclass(frozen=True)
class Unpaired(Translated):
    """Images of one size from two domains."""

    kind: ClassVar[str] = "unpaired"
    has_partners: ClassVar[bool] = False

    input_counts: Mapping[str, int] = field(default_factory=dict)
    """Inputs in each split."""
    domains: tuple[str, str] = ("inputs", "samples")
    """Names of what the inputs are and of what the samples are."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # (N, C, H, W) of each split, uint8, uint16 or float32: such as a generator is to make
        inputs: Mapping[str, Rows],  # (M, C, H, W), of the same type: such as it is given
        domains: tuple[str, str] = ("inputs", "samples"),  # what the inputs and what the samples are
    ) -> Self:
        """Write images of both domains into `folder` as a packed data set; dataset.json is written last."""
        depth, dtype = depth_of(samples), samples["train"].dtype
        counts, input_counts = pack(folder, samples, dtype), pack(folder, inputs, dtype, ending="_inputs")
        spec = cls(sample_shape(samples), counts, inputs=sample_shape(inputs), input_counts=input_counts, domains=domains, depth=depth)
        return write_spec(folder, spec)

    def arrays(self, split: str) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        return {**super().arrays(split), "_inputs": ((self.input_counts[split], *(self.inputs or self.shape)), self.dtype)}

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return held_out_round_trips(generator, dataset)


def held_out_round_trips(generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
    """Three rows: held-out inputs, their translations, and what comes back of these. uint8 (H, W, 3)."""
    return round_trip_picture(generator, np.array(dataset.inputs["holdout"][:_PREVIEW_COUNT]))


def round_trip_picture(generator: Generator, inputs: NDArray[Any]) -> NDArray[np.uint8]:
    """Three rows of images (N, C, H, W): given, translated, taken back. uint8 (H, W, 3)."""
    translated = generator.translate(inputs).samples
    returned = generator.translate(translated, back=True).samples
    shown = Pixels.of(generator.config.data).pictured(np.concatenate([inputs, translated, returned]))
    return pictures.grid(shown, columns=len(inputs))
