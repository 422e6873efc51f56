"""What a warm start saves: `python -m benchmarks.retraining [--sets ring,rows,digits] [--seeds 3]`. Prints a Markdown table.
With `--in-a-row 30` many retrainings, one from the other (`benchmarks.in_a_row`).

For each case there are data before and data after. A training from scratch on the data before ends with the base. Then two trainings on the
data after, with the same budget and parameters: from scratch, and from the base. Both are scored on the same held-out samples of the data
after each twentieth of the budget: points and rows by the energy distance (Szekely and Rizzo, 2013) of standardised values, images by
the Frechet distance of the features of a classifier fitted on the data after. Printed is the share of the budget after which the warm
one first has the distance that scratch ends with, and the smallest that scratch ever has, of each seed; then the medians over the seeds of
what both end with.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import in_a_row
from benchmarks.distances import energy
from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator, read_config
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.metrics.features import ClassifierExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.params import GanParams, TabularParams, TrainParams
from gan_core.start import described_as
from gan_core.training import averaged, train

POINTS = 20
"""Of a curve."""
Score = Callable[[Generator], float]


@dataclass(frozen=True)
class Case:
    """Data before and after, how they are trained on, and how a generator is scored on the latter."""

    name: str
    before: Dataset
    after: Dataset
    params: TrainParams
    score: Score


def ring(folder: Path) -> list[Case]:
    """Eight Gaussians on a ring of radius 2; one is missing before, or a fifth of the points."""
    draw = np.random.default_rng(0)
    angle = 2 * np.pi * (np.arange(5_000) % 8) / 8
    points = (np.stack([2 * np.cos(angle), 2 * np.sin(angle)], 1) + draw.normal(0, 0.05, (5_000, 2))).astype(np.float32)
    mode, split = np.arange(5_000) % 8, np.arange(5_000) < 4_000
    held = points[~split]
    network = {"network": "mlp", "widths": [64, 64]}
    params = GanParams.model_validate(
        {"images": 200_000, "batch": 256, "latent": 8, "penalty": {"r1": 0.005, "r2": 0.005, "every": 4}, "generator": network,
         "discriminator": network, "optimizer": {"learning_rate": 0.001, "decay": 0.9}}
    )  # fmt: skip

    def packed(name: str, keep: NDArray[np.bool_]) -> Dataset:
        (folder / name).mkdir()
        Points.pack(folder / name, {"train": points[split & keep], "holdout": held}, {"shape": "ring"})
        return Dataset.open(folder / name)

    def score(generator: Generator) -> float:
        return energy(held, generator.sample(len(held), seed=1).samples)

    after = packed("all", mode >= 0)
    return [
        Case("ring, a fifth more points", packed("fewer", np.arange(5_000) % 6 > 0), after, params, score),
        Case("ring, an eighth mode", packed("seven", mode < 7), after, params, score),
    ]


def rows(folder: Path) -> list[Case]:
    """Breast-cancer, by diagnosis; a fifth of the rows is missing before."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(found.data))
    values, labels = found.data[order], found.target[order]
    held, kept = slice(0, 170), slice(170, None)
    columns = tuple(Column(str(name), "number", "float64") for name in found.feature_names)
    mean, std = values[kept].mean(0), values[kept].std(0)

    def packed(name: str, part: slice) -> Dataset:
        (folder / name).mkdir()
        Table.pack(
            folder / name,
            {"train": values[part], "holdout": values[held]},
            Schema(columns, "target", "int64"),
            {"train": labels[part].tolist(), "holdout": labels[held].tolist()},
            ("0", "1"),
            modes=1,
        )
        return Dataset.open(folder / name)

    def score(generator: Generator) -> float:
        made = generator.sample(1_000, seed=1, labels=np.resize(labels[held], 1_000)).samples
        return energy((values[held] - mean) / std, (np.asarray(made, dtype=np.float64) - mean) / std)

    params = TabularParams.model_validate({"recipe": "tabular", "images": 30_000})
    return [Case("breast-cancer, a quarter more rows", packed("fewer", slice(250, None)), packed("all", kept), params, score)]


def digits(folder: Path) -> list[Case]:
    """Scikit-learn's digits at 16 pixels, by label; a fifth of the images, or a class, is missing before."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.images))
    images = np.kron(found.images[order], np.ones((2, 2)))[:, None] * 15.9375
    images, labels = images.astype(np.uint8), found.target[order]
    held, kept = np.arange(len(labels)) < 450, np.arange(len(labels)) >= 450

    def packed(name: str, keep: NDArray[np.bool_], classes: int = 10) -> Dataset:
        (folder / name).mkdir()
        parts = {"train": kept & keep, "holdout": held & (labels < classes)}
        Images.pack(
            folder / name,
            {split: images[part] for split, part in parts.items()},
            {split: labels[part].tolist() for split, part in parts.items()},
            tuple(str(one) for one in range(classes)),
        )
        return Dataset.open(folder / name)

    after = packed("all", labels >= 0)
    extractor = ClassifierExtractor.fit(after, seed=0)
    real = FeatureStatistics.of(extractor.features(images[held]))

    def score(generator: Generator) -> float:
        made = generator.sample(1_000, seed=1, labels=np.resize(labels[held], 1_000)).samples
        return frechet_distance(real, FeatureStatistics.of(extractor.features(made)))

    network = {"network": "dcgan", "width": 16}
    params = GanParams.model_validate(
        {"images": 20_000, "batch": 64, "condition": "label", "loss": "hinge", "generator": network, "discriminator": network,
         "optimizer": {"learning_rate": 0.001, "decay": 0.5}}
    )  # fmt: skip
    return [
        Case("digits, a quarter more images", packed("fewer", np.arange(len(labels)) >= 720), after, params, score),
        Case("digits, a tenth class", packed("nine", labels < 9, 9), after, params, score),
    ]


SETS: dict[str, Callable[[Path], list[Case]]] = {"ring": ring, "rows": rows, "digits": digits}


def curve(case: Case, dataset: Dataset, seed: int, folder: Path, start: checkpoint.Checkpoint | None = None) -> list[float]:
    """The score after each twentieth of the budget."""
    params, scores = case.params.model_copy(update={"seed": seed}), []
    for number in range(1, POINTS + 1):
        until, seen = number * params.budget // POINTS, 0

        def on_progress(now: Any) -> None:
            nonlocal seen
            seen = now.images

        done = train(params, dataset, folder, on_progress, should_stop=lambda: seen >= until, start=start)  # noqa: B023
        generator = Generator.load(folder / "generator") if done else averaged(params, dataset, folder)
        scores.append(case.score(generator))
    return scores


def measured(case: Case, seed: int, folder: Path) -> tuple[list[float], list[float]]:
    """The curves of scratch and of warm."""
    assert train(case.params.model_copy(update={"seed": seed}), case.before, folder / "base")
    base = checkpoint.read(folder / "base" / "checkpoint")
    scratch = curve(case, case.after, seed + 100, folder / "scratch")
    described, _ = described_as(case.after, read_config(folder / "base" / "generator").schema)
    warm = curve(case, described, seed + 100, folder / "warm", base)
    print(f"{case.name}, seed {seed}: scratch {shown(scratch)}; warm {shown(warm)}", flush=True)
    return scratch, warm


def reached(warm: Sequence[float], distance: float) -> str:
    """The share of the budget after which a curve first has a distance."""
    return next((f"{number / POINTS:.2f}" for number, score in enumerate(warm, 1) if score <= distance), "never")


def shown(scores: Sequence[float]) -> str:
    """Scores to four digits."""
    return " ".join(f"{score:.4g}" for score in scores)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--in-a-row", type=int, metavar="STEPS", help="measure many retrainings in a row instead")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.in_a_row:
        lines = [*in_a_row.HEADER]
        for name in asked.sets.split(",") if asked.sets != parser.get_default("sets") else in_a_row.SETS:
            with tempfile.TemporaryDirectory(prefix="gantry-retraining-") as temporary:
                lines += in_a_row.table(name, in_a_row.in_a_row(name, asked.in_a_row, 0, Path(temporary)))
        print("\n".join(lines))
        return
    lines = [
        "| case | budget | warm is where scratch ends at | where scratch is best at | scratch at the end | warm at the end |",
        "|---|---|---|---|---|---|",
    ]
    for name in asked.sets.split(","):
        with tempfile.TemporaryDirectory(prefix="gantry-retraining-") as temporary:
            for index, case in enumerate(SETS[name](Path(temporary))):
                found = [measured(case, seed, Path(temporary) / f"{index}-{seed}") for seed in range(asked.seeds)]
                at = [", ".join(reached(warm, of(scratch)) for scratch, warm in found) for of in (lambda curve: curve[-1], min)]
                ends = [f"{median(one[place][-1] for one in found):.4g}" for place in (0, 1)]
                lines.append("| " + " | ".join([case.name, f"{case.params.budget:,}", *at, *ends]) + " |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
