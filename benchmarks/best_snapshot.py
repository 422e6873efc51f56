"""Is the best snapshot better than the last one, and does the gate then promote what is not? Prints two Markdown tables.

`python -m benchmarks.best_snapshot --root $GANTRY_DATA [--seeds 12] [--training 2000] [--images 60000]`: MNIST at 16 pixels, of which
so many digits are trained on and 500 are kept for selection. Each seed is one training with `select: best`, whose last snapshot is kept,
too. Where the two truly stand is told by 45,000 digits that neither the training, the selection nor the features have seen: the Frechet
distance of 20,000 samples to them. Then each generator challenges each other in turn, best ones among themselves and last ones among
themselves, over 500 newly drawn held-out digits and 2,500 samples, judged as the stages judge. False is a promotion of a challenger that
is truly no better.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gate_calibration import Features, Pixels, outcome
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.metrics.features import ClassifierExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.params import GanParams
from gan_core.selection import Score
from gan_core.training import train
from tasks.promotion.comparison import compare
from tasks.scoring.images import ImageEvidence
from tasks.selecting import scorer
from tasks.sources.idx import read_idx

SELECTION, HELD_OUT, DRAWN, KNOWN = 500, 500, 2_500, 20_000
UNSEEN = 15_000
"""The digits before this one are what training, selection and features may use."""
SIDES = ("last", "best")


@dataclass(frozen=True)
class Snapshot:
    """One generator: features of many samples of it, and their distance to digits that nothing has seen."""

    features: Features
    distance: float


@dataclass(frozen=True)
class Trained:
    """Both snapshots of a training, at which share of the budget the best one was, and what scoring cost of the processor's time."""

    last: Snapshot
    best: Snapshot
    at: float
    scoring: float


def small(pixels: Pixels) -> Pixels:
    """Digits of 28 pixels at 16: two more around them, and the mean of two by two."""
    wide = np.pad(pixels.astype(np.float32), ((0, 0), (2, 2), (2, 2))).reshape(-1, 16, 2, 16, 2)
    shrunken: Pixels = wide.mean((2, 4)).round().astype(np.uint8)[:, None]
    return shrunken


class Experiment:
    """The data, packed, and the features that judge."""

    def __init__(self, root: Path, folder: Path, training: int, images: int) -> None:
        raw = root / "MNIST" / "raw"
        pixels = small(read_idx((raw / "train-images-idx3-ubyte.gz").read_bytes(), 3, "images"))
        labels = read_idx((raw / "train-labels-idx1-ubyte.gz").read_bytes(), 1, "labels").astype(np.int64)
        ends = np.cumsum([0, training, SELECTION, HELD_OUT])
        parts = {split: slice(*ends[at : at + 2]) for at, split in enumerate(("train", "selection", "holdout"))}
        (folder / "data").mkdir()
        classes = tuple("0123456789")
        Images.pack(
            folder / "data",
            {key: pixels[of] for key, of in parts.items()},
            {key: labels[of].tolist() for key, of in parts.items()},
            classes,
        )
        self.folder = folder
        self.dataset = Dataset.open(folder / "data")
        self.extractor = ClassifierExtractor.fit(self.dataset, seed=0)
        self.unseen = pixels[UNSEEN:]
        self.real = self.extractor.features(self.unseen)
        self.statistics = FeatureStatistics.of(self.real)
        network = {"network": "dcgan", "width": 16}
        self.params = GanParams.model_validate(
            {"images": images, "batch": 64, "select": "best", "generator": network, "discriminator": network,
             "optimizer": {"learning_rate": 0.001}, "preview_every": 10**9, "checkpoint_every": 10**9}
        )  # fmt: skip

    def snapshot(self, generator: Generator) -> Snapshot:
        features = self.extractor.features(generator.sample(KNOWN, seed=1).samples)
        return Snapshot(features, frechet_distance(self.statistics, FeatureStatistics.of(features)))

    def trained(self, seed: int) -> Trained:
        folder, spent = self.folder / str(seed), 0.0
        folder.mkdir()
        params = self.params.model_copy(update={"seed": seed})
        score = scorer("mnist", self.dataset, folder / "features", params.budget)
        scored: list[tuple[float, Generator]] = []

        def watched(generator: Generator) -> Score | None:
            nonlocal spent
            start = time.process_time()
            found = score(generator)
            spent += time.process_time() - start
            scored.append((np.inf if found is None else found.value, copy.deepcopy(generator)))
            return found

        start = time.process_time()
        assert train(params, self.dataset, folder / "training", scorer=watched)
        took = time.process_time() - start
        at = (1 + int(np.argmin([value for value, _ in scored]))) / len(scored)
        best = Generator.load(folder / "training" / "generator")
        return Trained(self.snapshot(scored[-1][1]), self.snapshot(best), at, spent / (took - spent))

    def promoted(self, challenger: Snapshot, champion: Snapshot, seed: int) -> bool:
        random = np.random.default_rng(seed)
        held_out = self.real[random.integers(len(self.real), size=HELD_OUT)]
        new, old = (ImageEvidence(held_out, one.features[random.integers(KNOWN, size=DRAWN)], None, None) for one in (challenger, champion))
        return outcome(compare(new, old, "fid", 200, 0.95, seed), 0.95) == "promoted"


def rates(experiment: Experiment, snapshots: list[Snapshot], title: str) -> str:
    """How often a better and a worse challenger is promoted, over all pairs."""
    said: dict[bool, list[bool]] = {True: [], False: []}
    for number, (challenger, champion) in enumerate(itertools.permutations(snapshots, 2)):
        said[challenger.distance < champion.distance].append(experiment.promoted(challenger, champion, number))
    better, worse = (f"{sum(said[side])} of {len(said[side])}" for side in (True, False))
    return f"| {title} | {better} | {worse}, {np.mean(said[False]):.1%} |"


def cells(values: NDArray[np.float64] | list[float], form: str) -> str:
    """Numbers, one after the other."""
    return ", ".join(format(value, form) for value in values)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="a filled torchvision folder, which holds MNIST/raw")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--training", type=int, default=2_000, help="digits that are trained on; at most 14,000")
    parser.add_argument("--images", type=int, default=60_000, help="the budget")
    asked = parser.parse_args()
    if not 0 < asked.training <= UNSEEN - SELECTION - HELD_OUT:
        parser.error("--training is from 1 to 14,000")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="gantry-best-") as scratch:
        experiment = Experiment(asked.root, Path(scratch), asked.training, asked.images)
        found = []
        for seed in range(asked.seeds):
            found.append(one := experiment.trained(seed))
            print(f"seed {seed}: last {one.last.distance:.3f}, best {one.best.distance:.3f}, at {one.at:.0%} of the budget", flush=True)
        last, best = ([getattr(one, side) for one in found] for side in SIDES)
        ratios = [one.best.distance / one.last.distance for one in found]
        print("\n| true distance, median: last | best | best / last, median | least and most | best at, median | scoring of training |")
        print("|---|---|---|---|---|---|")
        medians = cells([median(one.distance for one in side) for side in (last, best)], ".3f").replace(", ", " | ")
        print(
            f"| {medians} | {median(ratios):.3f} | {cells([min(ratios), max(ratios)], '.3f')} "
            f"| {median(one.at for one in found):.0%} | {median(one.scoring for one in found):.1%} |"
        )
        print("\n| shipped | a better challenger promoted | one that is no better |\n|---|---|---|")
        for side, snapshots in zip(SIDES, (last, best), strict=True):
            print(rates(experiment, snapshots, side), flush=True)


if __name__ == "__main__":
    main()
