"""What the studio shows beside plain samples: neighbours in the training data, and directions that were found without labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.directions import directions
from gan_core.generator import Generator, Samples
from gan_core.metrics.neighbours import TwoNearest
from tasks.scoring.copies import CLOSER, shrunk
from tasks.scoring.scoring import chunks

STEPS = 7
"""Pictures of a direction, from one end to the other."""


@dataclass(frozen=True)
class Neighbours:
    """Samples above the training samples that are nearest to them."""

    picture: NDArray[np.uint8]
    """(H, W, 3)."""
    closer: int
    """Samples at most half as far from the nearest as from the second nearest: what the score `copies` counts."""


def neighbours(samples: Samples, train: NDArray[np.uint8]) -> Neighbours:
    """Look for the nearest training images by their pixels, averaged down to at most 16 x 16; reads each once.

    Args:
        samples: images (N, C, H, W), a few.
        train: uint8 (K, C, H, W), K of 1 or more.
    """
    found = TwoNearest(shrunk(samples.samples))
    for chunk in chunks(len(train), train.shape[1:]):
        found.update(shrunk(np.array(train[chunk])))
    columns, rows = min(8, len(samples.samples)), []
    for start in range(0, len(samples.samples), columns):
        here = slice(start, start + columns)
        rows += [samples.samples[here], np.array(train[found.index[here]])]
    return Neighbours(pictures.grid(np.concatenate(rows), columns), int((found.ratio <= CLOSER).sum()))


def along(generator: Generator, count: int, reach: float, seed: int, label: str | None) -> NDArray[np.uint8]:
    """One sample moved along each of the first directions: a row each, uint8 (H, W, 3).

    Args:
        count: of directions.
        reach: how far to both sides, in latents' deviations.
        seed: of the sample in the middle.
        label: its class.

    Raises:
        ConfigError: this network has no such directions, or does not know the label.
    """
    found = directions(generator, count)
    order = generator.order(1, seed, label)
    moved = order.first + torch.linspace(-reach, reach, STEPS)[None, :, None] * found[:, None, :]
    given = None if order.given is None else order.given.expand(count * STEPS)
    (samples,) = generator.draw([replace(order, first=moved.flatten(0, 1), given=given, labels=None)])
    return pictures.grid(samples.samples, STEPS)
