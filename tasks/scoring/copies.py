"""Whether a generator repeats its training samples.

A generated sample is a near-copy where its nearest training sample is at most half as far away as the second nearest (the ratio of
Lowe, 2004): one that is new lies about as far from both. Held-out samples are put to the same test, for their share of near-copies is
what chance, and kinship within the data, give: twins of training samples, or a table of so few columns that rows come close. Only what
is beyond that share counts, and only as far as it cannot be chance (`Copies.interval`).

Images are looked at twice, in the features that the scores are made of, and in the pixels, averaged down to at most 16 x 16, where faint
noise is lost that features may see; rows of a table by their columns in units of deviations. Two training samples that are alike hide a
copy of either from this test; validation can remove equal ones. Rows that are equal are another matter: in a table of few different rows
everybody repeats them, but the split holds none out that training has. So there the share of training rows that are not alone counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
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
CONFIDENCE = 0.95
"""Of the interval of the score."""
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
    compared: int
    """Generated samples that were looked at."""
    held_out: int
    """Held-out samples that were looked at."""
    pairs: tuple[tuple[int, int], ...]
    """Index of a generated and of its nearest training sample, the closest pairs first."""
    repeated: tuple[int, int] = (0, 1)
    """Training samples that are equal to another one, and how many there are of all."""

    @property
    def share(self) -> float:
        """Near-copies beyond what real samples are: the score `copies`, 0 to 1."""
        return max(0.0, self.generated_share - self._of_real[0])

    @property
    def interval(self) -> tuple[float, float]:
        """Where the score may lie by chance, with `CONFIDENCE`: that of a difference of two shares (Newcombe, 1998, his method 10)."""
        real, count = self._of_real
        low, high = _wilson(self.generated_share, self.compared)
        real_low, real_high = _wilson(real, count)
        difference = self.generated_share - real
        below = math.hypot(self.generated_share - low, real_high - real)
        above = math.hypot(high - self.generated_share, real - real_low)
        return max(0.0, difference - below), max(0.0, min(1.0, difference + above))

    @property
    def _of_real(self) -> tuple[float, int]:
        """The share of near-copies among real samples, and of how many it is."""
        repeated, count = self.repeated
        return max((self.held_out_share, self.held_out), (repeated / count, count))

    def as_record(self) -> dict[str, Any]:
        """What evaluation.json holds of it."""
        return {
            "compared": self.compared,
            "closer_than": CLOSER,
            "generated": rounded(self.generated_share),
            "held_out": rounded(self.held_out_share),
            "repeated_in_training": rounded(self.repeated[0] / self.repeated[1]),
            "interval": [rounded(bound) for bound in self.interval],
        }


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The interval of a share of `count` (Wilson, 1927)."""
    square = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2 / count
    middle, half = share + square / 2, math.sqrt(square * (share * (1 - share) + square / 4))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


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
    order = np.argsort(ratios.min(axis=0), kind="stable")[:PAIRS]
    return Copies(
        generated_share=float((ratios.min(axis=0) <= CLOSER).mean()),
        held_out_share=float((held_out_ratios <= CLOSER).mean()),
        compared=len(generated),
        held_out=len(held_out),
        pairs=tuple((int(index), int(nearest[clearer[index], index])) for index in order),
    )


def picture(
    found: Copies,
    generated: NDArray[Any],
    train: NDArray[Any],
    pictured: Callable[[NDArray[Any]], NDArray[np.uint8]],  # what is shown of samples
) -> NDArray[np.uint8]:
    """The closest pairs, the likeliest copy first: a row of generated samples, below it their nearest training samples, and so on."""
    rows = []
    for start in range(0, len(found.pairs), _COLUMNS):
        pairs = found.pairs[start : start + _COLUMNS]
        rows += [generated[index] for index, _ in pairs] + [np.array(train[index]) for _, index in pairs]
    return pictures.grid(pictured(np.stack(rows)), min(_COLUMNS, len(found.pairs)))


def of_images(extractor: FeatureExtractor) -> tuple[Embedding, Embedding]:
    """What images are compared by: features, and small pictures."""
    return extractor.features, shrunk


def shrunk(images: NDArray[Any]) -> NDArray[np.float32]:
    """Pixels (N, D) of images (N, C, H, W), or voxels of volumes (N, C, X, Y, Z), averaged down to at most 16 along each side."""
    sides = tuple(min(_SIDE, side) for side in images.shape[2:])
    average = F.adaptive_avg_pool2d if len(sides) == 2 else F.adaptive_avg_pool3d
    pixels: NDArray[np.float32] = average(torch.from_numpy(images).float(), sides).flatten(1).numpy()
    return pixels
