"""Does the gate order generators rightly that were really trained? `python -m benchmarks.trained_ladder --root $GANTRY_DATA [--seeds 3]`.

MNIST at 16 pixels without its labels; each training leaves a snapshot at every fifth of its budget, so that all are of one kind and differ
by how far they have come. Where they truly stand is told by 10,000 samples of each beside 45,000 digits that nothing has seen, by the
features of a classifier that knew the labels. Then each two are compared as the stages compare them, over 500 newly drawn held-out digits
and 2,500 samples, by random features: whitened_kid, which decides where there are no labels, and fid. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.best_snapshot import DRAWN, HELD_OUT, Experiment
from benchmarks.gate_calibration import Features, outcome
from gan_core.generator import Generator
from gan_core.metrics.features import RandomConvExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.whitening import Whitening
from gan_core.training import train
from tasks.promotion.comparison import compare
from tasks.scoring.images import ImageEvidence

METRICS = ("whitened_kid", "fid")
SNAPSHOTS, KNOWN, REAL = 5, 10_000, 20_000
BETTER_BY = (1.0, 1.1, 1.3, 2.0, np.inf)
"""Ratios of true distances, between which pairs are told apart."""


@dataclass(frozen=True)
class Rung:
    """A snapshot: its random features, and its true distance."""

    features: Features
    distance: float


def snapshots(experiment: Experiment, seed: int) -> list[Generator]:
    """The averaged generator at each part of a training's budget."""
    kept: list[Generator] = []

    def keep(generator: Generator) -> None:
        kept.append(copy.deepcopy(generator))

    params = experiment.params.model_copy(update={"seed": seed, "select_every": experiment.params.budget // SNAPSHOTS})
    assert train(params, experiment.dataset, experiment.folder / str(seed), scorer=keep)
    return kept


def rung(generator: Generator, experiment: Experiment, extractor: RandomConvExtractor) -> Rung:
    """What there is to know of it."""
    samples = generator.sample(KNOWN, seed=1).samples
    judged = FeatureStatistics.of(experiment.extractor.features(samples))
    return Rung(extractor.features(samples), frechet_distance(experiment.statistics, judged))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="a filled torchvision folder, which holds MNIST/raw")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--training", type=int, default=2_000, help="digits that are trained on; at most 14,000")
    parser.add_argument("--images", type=int, default=60_000, help="the budget")
    parser.add_argument("--trials", type=int, default=1, help="how often held-out digits are drawn for each two")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rungs: list[Rung] = []
    with tempfile.TemporaryDirectory(prefix="gantry-trained-") as scratch:
        experiment = Experiment(asked.root, Path(scratch), asked.training, asked.images)
        extractor = RandomConvExtractor.fit(experiment.dataset, seed=0)
        whitening = Whitening.of(extractor.features(np.array(experiment.dataset.samples["train"][:2_000])))
        real = extractor.features(experiment.unseen[:REAL])
        for seed in range(asked.seeds):
            found = [rung(generator, experiment, extractor) for generator in snapshots(experiment, seed)]
            print(f"seed {seed}: {', '.join(f'{one.distance:.2f}' for one in found)}", flush=True)
            rungs += found
    rungs.sort(key=lambda one: one.distance)
    said: dict[str, list[tuple[float, str, bool]]] = {metric: [] for metric in METRICS}
    for number, (better, worse) in enumerate(itertools.combinations(rungs, 2)):
        for trial in range(asked.trials):
            random = np.random.default_rng((number, trial))
            held_out = real[random.integers(len(real), size=HELD_OUT)]
            new, old = (
                ImageEvidence(held_out, one.features[random.integers(KNOWN, size=DRAWN)], None, None, whitening=whitening)
                for one in (better, worse)
            )
            for metric in METRICS:
                comparison = compare(new, old, metric, 200, 0.95, number)
                said[metric].append((worse.distance / better.distance, outcome(comparison, 0.95), comparison.gain > 0))
    print("\n| decides | truly better by | pairs | in order | promoted | called worse |\n|---|---|---|---|---|---|")
    for metric, (least, most) in itertools.product(METRICS, itertools.pairwise(BETTER_BY)):
        told = [(outcome, right) for ratio, outcome, right in said[metric] if least <= ratio < most]
        if told:
            shares = [np.mean([outcome == key for outcome, _ in told]) for key in ("promoted", "kept: worse")]
            within = f"{least:g} to {most:g} times" if np.isfinite(most) else f"{least:g} times or more"
            cells = " | ".join(f"{share:.1%}" for share in (np.mean([right for _, right in told]), *shares))
            print(f"| {metric} | {within} | {len(told)} | {cells} |")


if __name__ == "__main__":
    main()
