"""What the studio shows beside plain samples: neighbours in the training data, directions that were found without labels, what lies
between two latents, and between two labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core import latents, pictures
from gan_core.data.labels import Classes
from gan_core.directions import directions
from gan_core.errors import ConfigError
from gan_core.generator import Generator, Samples
from gan_core.kinds.pixels import Pixels
from gan_core.metrics.neighbours import TwoNearest
from gan_core.networks.common import LabelEmbedding
from tasks.scoring.copies import CLOSER, shrunk
from tasks.scoring.scoring import chunks

STEPS = 7
"""Pictures of a direction, from one end to the other."""
MIXED = 5
"""Samples of each of two seeds that are mixed."""
BLENDED = 6
"""Samples that go from one label to another."""


@dataclass(frozen=True)
class Neighbours:
    """Samples above the training samples that are nearest to them."""

    picture: NDArray[np.uint8]
    """(H, W, 3)."""
    closer: int
    """Samples at most half as far from the nearest as from the second nearest: what the score `copies` counts."""


def neighbours(samples: Samples, train: NDArray[Any]) -> Neighbours:
    """Look for the nearest training images by their pixels, averaged down to at most 16 x 16; reads each once.

    Args:
        samples: images (N, C, H, W) of a generator, a few.
        train: (K, C, H, W), K of 1 or more.
    """
    found = TwoNearest(shrunk(samples.samples))
    for chunk in chunks(len(train), train.shape[1:]):
        found.update(shrunk(np.array(train[chunk])))
    columns, rows = min(8, len(samples.samples)), []
    for start in range(0, len(samples.samples), columns):
        here = slice(start, start + columns)
        rows += [samples.samples[here], np.array(train[found.index[here]])]
    shown = Pixels.of(samples.data).pictured(np.concatenate(rows)) if samples.data is not None else np.concatenate(rows)
    return Neighbours(pictures.grid(shown, columns), int((found.ratio <= CLOSER).sum()))


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
    return pictures.grid(Pixels.of(generator.config.data).pictured(samples.samples), STEPS)


def mixed(generator: Generator, seeds: tuple[int, int], share: float, asked: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Samples of one seed down the left and of another along the top, and in each cell what lies between its row's and its column's
    latent: uint8 (H, W, 3). The corner is blank.

    Args:
        seeds: of the left and of the top.
        share: of the way from the left to the top, 0 to 1.
        asked: label or prompt, and truncation, of all, as `tasks.serving.asked` has them; where none is named, the first label or
            prompt that the generator knows, or the number in the middle.

    Raises:
        ConfigError: its samples are no pictures, or it does not know what is asked.
    """
    if len(generator.config.shape) != 3:
        raise ConfigError(f"mix: this generator's samples are no pictures: they are of shape {generator.config.shape}")
    condition, known = generator.config.condition, generator.config.prompts
    label = asked["label"] or (None if condition is None or known is not None else condition.named(condition.usual))
    prompt = asked["prompt"] or next(iter(known or ()), None)
    prompts, truncation = (None if prompt is None else [prompt]), asked["truncation"] or None
    left, top = (generator.order(MIXED, seed, label, prompts=prompts, truncation=truncation) for seed in seeds)
    rows, columns = left.first.repeat_interleave(MIXED, 0), top.first.repeat(MIXED, 1)
    cells = latents.between(rows, columns, torch.full((len(rows), 1), share))
    given = None if left.given is None else left.given[:1].repeat_interleave(len(cells), 0)
    drawn = generator.draw([left, top, replace(left, first=cells, given=given, labels=None)])
    left_shown, top_shown, cells_shown = (Pixels.of(generator.config.data).pictured(some.samples) for some in drawn)
    inner = cells_shown.reshape(MIXED, MIXED, *cells_shown.shape[1:])
    shown = [np.full_like(left_shown[:1], 255), top_shown]
    for number in range(MIXED):
        shown += [left_shown[number : number + 1], inner[number]]
    return pictures.grid(np.concatenate(shown), MIXED + 1)


def can_blend(generator: Generator) -> bool:
    """Whether there is something between two of its labels: it draws images of classes, each of which its network has an embedding of."""
    config = generator.config
    has_embedding = any(isinstance(module, LabelEmbedding) for module in generator.network.modules())
    return len(config.shape) == 3 and config.inputs is None and isinstance(config.condition, Classes) and has_embedding


def blended(generator: Generator, labels: tuple[str, str], asked: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Samples from one label to another, a row each: the same latent, and the labels' embeddings mixed in equal steps; uint8 (H, W, 3).

    Args:
        labels: of the left and of the right end; an empty one: the first and the last of all.
        asked: seed and truncation, as `tasks.serving.asked` has them.

    Raises:
        ConfigError: there is nothing between labels, or it does not know one.
    """
    condition = generator.config.condition
    if not can_blend(generator) or not isinstance(condition, Classes):
        raise ConfigError("labels: this generator draws no images of classes, so there is nothing between two of them")
    ends = [condition.read(label or condition.names[place]) for label, place in zip(labels, (0, -1), strict=True)]
    order = generator.order(BLENDED, asked["seed"], condition.names[ends[0]], truncation=asked["truncation"] or None)
    shares = torch.zeros(STEPS, len(condition.names))
    for end, of_end in zip(ends, (torch.linspace(1, 0, STEPS), torch.linspace(0, 1, STEPS)), strict=True):
        shares[:, end] += of_end
    mixture = replace(order, first=order.first.repeat_interleave(STEPS, 0), given=shares.repeat(BLENDED, 1), labels=None)
    (samples,) = generator.draw([mixture])
    return pictures.grid(Pixels.of(generator.config.data).pictured(samples.samples), STEPS)
