"""Whether a generator repeats its training images.

A generated image is a near-copy where its nearest training image is at most half as far away as the second nearest (the ratio of
Lowe, 2004): an image that is new lies about as far from both. It is looked for twice, in the features that the scores are made of, and
in the pixels, averaged down to at most 16 x 16, where faint noise is lost that features may see. Held-out images are put to the same
test: their share of near-copies is what chance, and kinship within the data, give.

Two training images that are alike hide a copy of either from this test; validation can remove equal ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.errors import DataError
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.neighbours import TwoNearest
from tasks.scoring.scoring import chunks

CLOSER = 0.5
"""A near-copy's distance to its training image, over that to the next, at most."""
COMPARED = 1_000
"""Most generated images that are looked at, and as many held-out ones."""
PAIRS = 16
"""Shown in the picture."""

_COLUMNS = 8  # of the picture
_SIDE = 16
_MOST_BYTES = 2**27  # of generated images


@dataclass(frozen=True)
class Copies:
    """What was found among a generator's images."""

    share: float
    """Of near-copies of training images among the generated ones, 0 to 1."""
    held_out_share: float
    """The same among held-out images."""
    compared: int
    """Generated images that were looked at."""
    pairs: tuple[tuple[int, int], ...]
    """Index of a generated and of its nearest training image, the closest pairs first."""

    def as_record(self) -> dict[str, Any]:
        """What evaluation.json holds of it."""
        return {"compared": self.compared, "closer_than": CLOSER, "held_out": self.held_out_share}


def most_compared(shape: tuple[int, ...]) -> int:
    """How many images of a shape are looked at."""
    return min(COMPARED, max(PAIRS, _MOST_BYTES // math.prod(shape)))


def find_copies(generated: NDArray[np.uint8], held_out: NDArray[np.uint8], train: NDArray[np.uint8], extractor: FeatureExtractor) -> Copies:
    """Look for near-copies of training images, which are read once, in blocks.

    Args:
        generated: (N, C, H, W), a few.
        held_out: (M, C, H, W), a few.
        train: (K, C, H, W), any number; may be memory-mapped.
        extractor: of features for them.

    Raises:
        DataError: there are fewer than two training images.
    """
    searches = [(embed, TwoNearest(embed(generated)), TwoNearest(embed(held_out))) for embed in (extractor.features, _shrunk)]
    for chunk in chunks(len(train), train.shape[1:]):
        images = np.array(train[chunk])
        for embed, drawn, real in searches:
            embedded = embed(images)
            drawn.update(embedded)
            real.update(embedded)
    if len(train) < 2:
        raise DataError(f"{len(train)} training images are too few to look for copies of; at least 2 are needed")
    ratios = np.stack([drawn.ratio for _, drawn, _ in searches])  # (2, N)
    held_out_ratios = np.stack([real.ratio for _, _, real in searches])
    nearest = np.stack([drawn.index for _, drawn, _ in searches])
    clearer = ratios.argmin(axis=0)  # by which of the two each image shows more clearly
    order = np.argsort(ratios.min(axis=0), kind="stable")[:PAIRS]
    return Copies(
        share=float((ratios.min(axis=0) <= CLOSER).mean()),
        held_out_share=float((held_out_ratios.min(axis=0) <= CLOSER).mean()),
        compared=len(generated),
        pairs=tuple((int(index), int(nearest[clearer[index], index])) for index in order),
    )


def picture(found: Copies, generated: NDArray[np.uint8], train: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The closest pairs, the likeliest copy first: a row of generated images, below it their nearest training images, and so on."""
    rows = []
    for start in range(0, len(found.pairs), _COLUMNS):
        pairs = found.pairs[start : start + _COLUMNS]
        rows += [generated[index] for index, _ in pairs] + [np.array(train[index]) for _, index in pairs]
    return pictures.grid(np.stack(rows), min(_COLUMNS, len(found.pairs)))


def _shrunk(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels (N, D) of uint8 images (N, C, H, W), averaged down to at most 16 x 16."""
    height, width = (min(_SIDE, side) for side in images.shape[2:])
    shrunk: NDArray[np.float32] = F.adaptive_avg_pool2d(torch.from_numpy(images).float(), (height, width)).flatten(1).numpy()
    return shrunk
