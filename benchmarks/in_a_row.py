"""Many retrainings in a row: `python -m benchmarks.retraining --in-a-row 30 [--sets ring,digits] [--seeds 3] [--record FILE]`. Prints a
Markdown table; with `--record FILE` each row of trainings is kept as soon as it is there.

At each step the data have grown and drifted, and one of their classes is away for a while: what a schedule meets over a month. Side by
side, at the same budget a step: from scratch, from the step before (warm), and warm with a discriminator that begins anew at every fifth
step; and, with the first seed alone, from scratch at ten times the budget. Each is scored on held-out samples of its own step: by the
energy distance (Szekely and Rizzo, 2013; smaller is better), by recall (Kynkaanniemi et al., 2019), and by near-copies of training samples
beyond those that held-out samples have of them, as it is and as far as it is no chance. Classes that come back are the test of forgetting,
later steps that of plasticity. The table has the means over each third of the steps after the first, in the median of the seeds, and each
seed at the last step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.distances import energy
from gan_core import checkpoint
from gan_core.checkpoint import Checkpoint
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.metrics.manifold import membership
from gan_core.params import GanParams, TrainParams
from gan_core.training import train
from tasks.scoring.copies import find_copies

DRAWN = 500
"""Generated samples that are scored."""
ANEW = 5
"""Steps after which the discriminator begins anew, where it does."""
LONGER = 10
"""Times the budget."""

Step = Callable[[Path, int], tuple[Dataset, float]]
"""Writes a step's data into a folder; also the scale that samples are divided by."""
Method = Callable[[Checkpoint, int], Checkpoint | None]
"""What a step starts from, given the end of the one before and its number."""


def ring(folder: Path, step: int) -> tuple[Dataset, float]:
    """Seven of eight Gaussians on a ring that turns by two degrees a step; the one that is away changes every fourth."""
    draw, count = np.random.default_rng(step), 500 + 100 * step
    present = np.array([mode for mode in range(8) if mode != step // 4 % 8])
    angle = np.pi / 4 * present[np.arange(count + DRAWN) % 7] + np.pi / 90 * step
    points = (np.stack([2 * np.cos(angle), 2 * np.sin(angle)], 1) + draw.normal(0, 0.05, (count + DRAWN, 2))).astype(np.float32)
    Points.pack(folder, {"train": points[DRAWN:], "holdout": points[:DRAWN]}, {"shape": "ring"})
    return Dataset.open(folder), 1.0


def digits(folder: Path, step: int) -> tuple[Dataset, float]:
    """Scikit-learn's digits at 8 pixels, by label; the class that is away changes every third step, and the pictures grow brighter."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.images))
    away, count = step // 3 % 10, 500 + 25 * step
    images = np.clip(found.images[order][:, None] * (12 + step / 10), 0, 255).astype(np.uint8)
    labels, held = found.target[order], np.arange(len(order)) < 500
    names = [number for number in range(10) if number != away]
    index = {number: place for place, number in enumerate(names)}
    parts = {"train": np.flatnonzero(~held & (labels != away))[:count], "holdout": np.flatnonzero(held & (labels != away))}
    of = {split: [index[int(label)] for label in labels[rows]] for split, rows in parts.items()}
    Images.pack(folder, {split: images[rows] for split, rows in parts.items()}, of, tuple(map(str, names)))
    return Dataset.open(folder), 64.0


def _mlp(width: int, **options: Any) -> TrainParams:
    network = {"network": "mlp", "widths": [width, width]}
    return GanParams.model_validate({"generator": network, "discriminator": network, "watch": "off", **options})


SETS: Mapping[str, tuple[Step, TrainParams]] = {
    "ring": (ring, _mlp(64, images=20_000, batch=256, latent=8, penalty={"r1": 0.005, "r2": 0.005, "every": 4},
                        optimizer={"learning_rate": 0.001, "decay": 0.9})),
    "digits": (digits, _mlp(128, images=10_000, batch=64, condition="label", optimizer={"learning_rate": 0.0005, "decay": 0.5})),
}  # fmt: skip


def _without_discriminator(end: Checkpoint) -> Checkpoint:
    kept = {name: tensor for name, tensor in end.tensors.items() if not name.startswith(("players/discriminator", "optimizers"))}
    return replace(end, tensors=kept)


METHODS: Mapping[str, tuple[Method, int]] = {
    "scratch": (lambda end, step: None, 1),
    f"scratch, {LONGER} times the budget": (lambda end, step: None, LONGER),
    "warm": (lambda end, step: end, 1),
    f"warm, discriminator anew each {ANEW}th": (lambda end, step: end if step % ANEW else _without_discriminator(end), 1),
}
"""And how many times the budget a step each has."""


def seeds_of(method: str, seeds: int) -> range:
    """Those that a method is measured with: what takes ten times as long with the first one alone."""
    return range(seeds if METHODS[method][1] == 1 else 1)


PARTS = ("", ", recall", ", near-copies beyond held-out ones", ", of these beyond chance")
"""What a generator is scored by, as it follows the name of the data; the first is the energy distance."""


def scored(generator: Generator, dataset: Dataset, scale: float) -> tuple[float, float, float, float]:
    """By `PARTS`."""
    held, trained = (_rows(dataset.samples[split], scale) for split in ("holdout", "train"))
    labels = None
    if generator.config.classes is not None:
        labels = np.resize(np.array(dataset.labels["holdout"]), DRAWN)
    made = _rows(generator.sample(DRAWN, seed=1, labels=labels).samples, scale)
    copies = find_copies(made, held, trained, (lambda rows: rows,))
    beyond = copies.generated_share - copies.held_out_share
    return energy(held, made), membership(held, made).scores().recall, beyond, copies.interval[0]


def _rows(samples: NDArray[Any], scale: float) -> NDArray[np.float64]:
    return np.asarray(samples, dtype=np.float64).reshape(len(samples), -1) / scale


def in_a_row(name: str, method: str, steps: int, seed: int, folder: Path) -> dict[str, list[float]]:
    """Scores after each step, by `PARTS`."""
    (make, params), (start_of, times) = SETS[name], METHODS[method]
    found: list[tuple[float, ...]] = []
    before: Checkpoint | None = None
    for step in range(steps):
        data, place = folder / f"data-{step}", folder / f"training-{step}"
        data.mkdir(parents=True)
        dataset, scale = make(data, step)
        start = None if before is None else start_of(before, step)  # the first step is from scratch for all
        here = params.model_copy(update={"seed": seed * 1_000 + step, "images": times * params.budget})
        assert train(here, dataset, place, start=start)
        end, classes = checkpoint.read(place / "checkpoint"), dataset.spec.classes
        before = replace(end, facts={**end.facts, "classes": None if classes is None else list(classes)})
        found.append(scored(Generator.load(place / "generator"), dataset, scale))
    return {part: list(scores) for part, scores in zip(PARTS, zip(*found, strict=True), strict=True)}


def lines_of(name: str, method: str, seeds: Sequence[Sequence[Sequence[float]]]) -> str:
    """A line of the table, of the scores of each seed, for each of `PARTS`, after each step."""
    scores = np.array(seeds)  # (seeds, parts, steps)
    thirds = [part.mean(axis=2) for part in np.array_split(scores[:, :, 1:], 3, axis=2)]
    means = [" → ".join(f"{np.median(third[:, part]):.3f}" for third in thirds) for part in range(3)]
    last = ["; ".join(f"{score:.3f}" for score in scores[:, part, -1]) for part in range(3)]
    cells = [f"{mean}; {end}" for mean, end in zip(means, last, strict=True)]
    return f"| {name} | {method} | {' | '.join(cells)} | {(scores[:, 3] > 0).sum(axis=1).max()} |"


HEADER = (
    "| data | each step | energy distance; at the last step, by seed | recall | near-copies beyond held-out ones | of them no chance |",
    "|---|---|---|---|---|---|",
)
