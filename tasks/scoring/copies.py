"""Whether a generator repeats its training samples.

A generated sample is a near-copy where its nearest training sample is at most half as far away as the second nearest (the ratio of
Lowe, 2004): one that is new lies about as far from both. Held-out samples are put to the same test, for their share of near-copies is
what chance, and kinship within the data, give; only what is beyond it counts. Where more than 5 % of them lie that close, as they do in
a table of few columns, half as far is too much, and it takes what 5 % of them come under.

Images are looked at twice, in the features that the scores are made of, and in the pixels, averaged down to at most 16 x 16, where faint
noise is lost that features may see; rows of a table by their columns in units of deviations. Two training samples that are alike hide a
copy of either from this test; validation can remove equal ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from tasks.scoring.scoring import chunks, rounded

CLOSER = 0.5
"""A near-copy's distance to its training sample, over that to the next, at most."""
BY_CHANCE = 0.05
"""Most held-out samples that may be as close as a near-copy."""
COMPARED = 1_000
"""Most generated samples that are looked at, and as many held-out ones."""
PAIRS = 16
"""Shown in the picture."""

_COLUMNS = 8  # of the picture
_SIDE = 16
_MOST_BYTES = 2**27  # of generated images


Embedding = Callable[[NDArray[Any]], NDArray[Any]]
"""From samples (N, ...) to points (N, D) whose distances count."""


@dataclass(frozen=True)
class Copies:
    """What was found among a generator's samples."""

    generated_share: float
    """Of near-copies of training samples among the generated ones, 0 to 1."""
    held_out_share: float
    """The same among held-out samples."""
    closer_than: float
    """A near-copy's distance to its training sample, over that to the next, at most."""
    compared: int
    """Generated samples that were looked at."""
    pairs: tuple[tuple[int, int], ...]
    """Index of a generated and of its nearest training sample, the closest pairs first."""

    @property
    def share(self) -> float:
        """Near-copies beyond what chance and kinship give: the score `copies`, 0 to 1."""
        return max(0.0, self.generated_share - self.held_out_share)

    def as_record(self) -> dict[str, Any]:
        """What evaluation.json holds of it."""
        return {
            "compared": self.compared,
            "closer_than": rounded(self.closer_than),
            "generated": rounded(self.generated_share),
            "held_out": rounded(self.held_out_share),
        }


def most_compared(shape: tuple[int, ...]) -> int:
    """How many images of a shape are looked at."""
    return min(COMPARED, max(PAIRS, _MOST_BYTES // math.prod(shape)))


def find_copies(generated: NDArray[Any], held_out: NDArray[Any], train: NDArray[Any], embeddings: Sequence[Embedding]) -> Copies:
    """Look for near-copies of training samples, which are read once, in blocks.

    Args:
        generated: (N, ...), a few.
        held_out: (M, ...), a few, at least one.
        train: (K, ...), any number; may be memory-mapped.
        embeddings: in each of which a copy is looked for.

    Raises:
        DataError: there are fewer than two training samples.
    """
    searches = [(embed, TwoNearest(embed(generated)), TwoNearest(embed(held_out))) for embed in embeddings]
    for chunk in chunks(len(train), train.shape[1:]):
        block = np.array(train[chunk])
        for embed, drawn, real in searches:
            embedded = embed(block)
            drawn.update(embedded)
            real.update(embedded)
    if len(train) < 2:
        raise DataError(f"{len(train)} training samples are too few to look for copies of; at least 2 are needed")
    ratios = np.stack([drawn.ratio for _, drawn, _ in searches])  # (embeddings, N)
    held_out_ratios = np.stack([real.ratio for _, _, real in searches]).min(axis=0)
    nearest = np.stack([drawn.index for _, drawn, _ in searches])
    clearer = ratios.argmin(axis=0)  # by which embedding each sample shows most clearly
    closer = min(CLOSER, float(np.quantile(held_out_ratios, BY_CHANCE, method="lower")))
    order = np.argsort(ratios.min(axis=0), kind="stable")[:PAIRS]
    return Copies(
        generated_share=float((ratios.min(axis=0) <= closer).mean()),
        held_out_share=float((held_out_ratios <= closer).mean()),
        closer_than=closer,
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


def of_images(extractor: FeatureExtractor) -> tuple[Embedding, Embedding]:
    """What images are compared by: features, and small pictures."""
    return extractor.features, _shrunk


def _shrunk(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels (N, D) of uint8 images (N, C, H, W), averaged down to at most 16 x 16."""
    height, width = (min(_SIDE, side) for side in images.shape[2:])
    shrunk: NDArray[np.float32] = F.adaptive_avg_pool2d(torch.from_numpy(images).float(), (height, width)).flatten(1).numpy()
    return shrunk
