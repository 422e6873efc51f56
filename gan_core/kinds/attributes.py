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
from gan_core.data.labels import Labels
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.kinds.pixels import PROBE_INPUTS, Translated, depth_of, numbers_of

if TYPE_CHECKING:
    from gan_core.generator import Generator, Samples

_PREVIEW_ROWS = 6
MOST_SHOWN = 10
"""Labels in a picture of translations."""
NUMBERS_SHOWN = 8
"""Numbers in such a picture, where labels are these."""


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
        labels: Mapping[str, Sequence[float]],  # index into classes of each, or without these its number, in the same order
        classes: tuple[str, ...] | None,
        groups: Mapping[str, Sequence[int]] | None = None,  # a number for each, the same in a group; -1: of none
    ) -> Self:
        """Write images and labels into `folder` as a packed data set; dataset.json is written last."""
        depth, shape, found = depth_of(samples), sample_shape(samples), numbers_of(labels, classes)
        counts = pack(folder, samples, samples["train"].dtype, labels, label_type=np.int64 if found is None else np.float32)
        for split, numbers in (groups or {}).items():
            np.save(folder / f"{split}_groups.npy", np.asarray(numbers, dtype=np.int64), allow_pickle=False)
        return write_spec(folder, cls(shape, counts, classes, shape, numbers=found, grouped=groups is not None, depth=depth))

    def arrays(self, split: str) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        found = {ending: array for ending, array in super().arrays(split).items() if ending != "_inputs"}
        return {**found, **({"_groups": ((self.counts[split],), np.int64)} if self.grouped else {})}

    @property
    def labels_shown(self) -> Labels:
        """Those of the columns of a picture of translations."""
        shown: Labels = self.labels_drawn(min(self.n_classes or NUMBERS_SHOWN, MOST_SHOWN), 0).numpy()
        return shown

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        """Translations to each label in turn."""
        inputs = np.array(dataset.samples["train"][:PROBE_INPUTS])
        return replace(generator.translate(inputs, labels=self.labels_drawn(len(inputs), 0).numpy()), labels=None)

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return translations_picture(generator, np.array(dataset.samples["holdout"][:_PREVIEW_ROWS]))


def translations_picture(generator: Generator, inputs: NDArray[Any]) -> NDArray[np.uint8]:
    """A row for each of images (N, C, H, W): the image, and what it becomes with each label, of at most ten, or with numbers from the least
    to the greatest. uint8 (H, W, 3)."""
    data, n = Attributed.of(generator.config.data), len(inputs)
    made = (generator.translate(inputs, labels=np.full(n, label)).samples for label in data.labels_shown)
    return pictures.rows(*map(data.pictured, (inputs, *made)))
