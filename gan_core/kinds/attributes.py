"""Images by label, such as faces by age, for a translator that makes of one what it would be with another label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.kinds.pixels import PROBE_INPUTS, Translated, depth_of

if TYPE_CHECKING:
    from gan_core.generator import Generator, Samples

_PREVIEW_ROWS = 6
MOST_SHOWN = 10
"""Labels in a picture of translations."""


@dataclass(frozen=True)
class Attributed(Translated):
    """Images of one size and their labels. What a generator is given are such images, too."""

    kind: ClassVar[str] = "attributes"

    grouped: bool = False
    """Whether it is known which images are of one group, such as one figure with every label: then a translation may have a partner."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # (N, C, H, W) of each split, uint8, uint16 or float32
        labels: Mapping[str, Sequence[int]],  # index into classes of each, in the same order
        classes: tuple[str, ...],
        groups: Mapping[str, Sequence[int]] | None = None,  # a number for each, the same in a group; -1: of none
    ) -> Self:
        """Write images and labels into `folder` as a packed data set; dataset.json is written last."""
        depth, shape = depth_of(samples), sample_shape(samples)
        counts = pack(folder, samples, samples["train"].dtype, labels)
        for split, numbers in (groups or {}).items():
            np.save(folder / f"{split}_groups.npy", np.asarray(numbers, dtype=np.int64), allow_pickle=False)
        return write_spec(folder, cls(shape, counts, classes, shape, grouped=groups is not None, depth=depth))

    def arrays(self, split: str) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        found = {ending: array for ending, array in super().arrays(split).items() if ending != "_inputs"}
        return {**found, **({"_groups": ((self.counts[split],), np.int64)} if self.grouped else {})}

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        """Translations to each label in turn."""
        inputs = np.array(dataset.samples["train"][:PROBE_INPUTS])
        return replace(generator.translate(inputs, labels=np.arange(len(inputs)) % self.n_classes), labels=None)

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return translations_picture(generator, np.array(dataset.samples["holdout"][:_PREVIEW_ROWS]))


def translations_picture(generator: Generator, inputs: NDArray[Any]) -> NDArray[np.uint8]:
    """A row for each of images (N, C, H, W): the image, and what it becomes with each label, of at most ten. uint8 (H, W, 3)."""
    data, n = Attributed.of(generator.config.data), len(inputs)
    made = (generator.translate(inputs, labels=np.full(n, label)).samples for label in range(min(data.n_classes, MOST_SHOWN)))
    return pictures.rows(*map(data.pictured, (inputs, *made)))
