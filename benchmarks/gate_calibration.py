"""How often the gate is right: `python benchmarks/gate_calibration.py --root $GANTRY_DATA [--trials 400]`, and `--equals` without data.

`--equals`: every deciding score between two generators of the same expected score that reach it in different ways, planted in features,
so that nothing is trained. Such a pair ought to be promoted in 2.5 % and called worse in 2.5 % of the trials, or less.

Without it: real images, MNIST's training split, by the features that the evaluate stage would fit. A "generator" draws from a pool of
other real images that are spoiled to a known degree, so that its true Frechet distance to the real pool is known exactly: both pools are
finite, and all draws are with replacement. Each trial draws new held-out images, a champion's and a challenger's samples, compares the two
as the register stage does, and lets the gate decide. Prints Markdown tables; `docs/gate.md` holds a run.

Redrawn in each trial are the held-out images and the samples. Not redrawn are the features, which are frozen in production too, and
the generators: the chance that lies in a training is not what the gate judges.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import table_ladder
from gan_core.data.dataset import Dataset, write_spec
from gan_core.kinds.images import Images
from gan_core.metrics.features import ClassifierExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from tasks.params import RegisterParams
from tasks.promotion.comparison import Comparison, compare
from tasks.promotion.gate import Measured, Record, decide
from tasks.scoring.captions import CaptionEvidence
from tasks.scoring.clips import ClipEvidence
from tasks.scoring.images import ImageEvidence
from tasks.scoring.pairs import PairEvidence
from tasks.scoring.scoring import Evidence
from tasks.sources.idx import read_idx

FITTED_ON, POOL = 5_000, 27_500
Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]


def noisy(images: Pixels, deviation: float) -> Pixels:
    """Gaussian noise of `deviation` grey levels."""
    noise = np.random.default_rng(1).normal(0, deviation, images.shape)
    return (images + noise).clip(0, 255).round().astype(np.uint8)


def blurred(images: Pixels, sigma: float) -> Pixels:
    """A Gaussian blur of `sigma` pixels."""
    smooth: Pixels = ndimage.gaussian_filter(images.astype(np.float32), (0, 0, sigma, sigma)).clip(0, 255).round().astype(np.uint8)
    return smooth


class Generator:
    """Draws from a pool of spoiled images, or with probability `clean` from the unspoiled ones."""

    def __init__(self, spoiled: Features, unspoiled: Features, clean: float) -> None:
        self.spoiled, self.unspoiled, self.clean = spoiled, unspoiled, clean

    def distance(self, real: Features) -> float:
        """The true Frechet distance of the whole distribution to the whole real pool."""
        mixed = _Mixed([(FeatureStatistics.of(self.spoiled), 1 - self.clean), (FeatureStatistics.of(self.unspoiled), self.clean)])
        return frechet_distance(FeatureStatistics.of(real), mixed)

    def draw(self, count: int, random: np.random.Generator) -> Features:
        chosen = random.integers(len(self.spoiled), size=count)
        from_clean = random.random(count) < self.clean
        return np.where(from_clean[:, None], self.unspoiled[chosen], self.spoiled[chosen])


class _Mixed(FeatureStatistics):
    """The moments of a mixture of distributions."""

    def __init__(self, parts: list[tuple[FeatureStatistics, float]]) -> None:
        super().__init__(len(parts[0][0].mean))
        self.mean = sum((share * part.mean for part, share in parts), np.zeros(len(self.mean)))
        second = sum(share * (part.covariance + np.outer(part.mean, part.mean)) for part, share in parts)
        self.count, self._scatter = 2, second - np.outer(self.mean, self.mean)


def of_distance(wanted: float, spoiled: Features, unspoiled: Features, real: Features) -> Generator:
    """The mixture of spoiled and unspoiled images with a wanted true distance, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if Generator(spoiled, unspoiled, middle).distance(real) > wanted:
            low = middle
        else:
            high = middle
    return Generator(spoiled, unspoiled, (low + high) / 2)


def trial(real: Features, champion: Generator, challenger: Generator, counts: tuple[int, int], replicates: int, seed: int) -> Comparison:
    """One comparison on newly drawn held-out images and samples."""
    random = np.random.default_rng(seed)
    held_out = real[random.integers(len(real), size=counts[0])]
    old, new = (ImageEvidence(held_out, generator.draw(counts[1], random), None, None) for generator in (champion, challenger))
    return compare(new, old, "fid", replicates, 0.95, seed)


def outcome(comparison: Comparison, confidence: float) -> str:
    """What the gate says of it."""
    one, other = (Measured({comparison.metric: value}, {}) for value in (comparison.challenger, comparison.champion))
    return decide(Record(one, other, comparison), RegisterParams(confidence=confidence, improve=comparison.metric), "images").outcome


def pools(root: Path) -> dict[str, Features]:
    """Features of real images and of those that generators draw from."""
    raw = root / "MNIST" / "raw"
    pixels = read_idx((raw / "train-images-idx3-ubyte.gz").read_bytes(), 3, "images")[:, None]
    labels = read_idx((raw / "train-labels-idx1-ubyte.gz").read_bytes(), 1, "labels").astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "train.npy", pixels[:FITTED_ON])
        np.save(Path(folder) / "train_labels.npy", labels[:FITTED_ON])
        np.save(Path(folder) / "holdout.npy", pixels[-100:])
        np.save(Path(folder) / "holdout_labels.npy", labels[-100:])
        counts = {"train": FITTED_ON, "holdout": 100}
        write_spec(Path(folder), Images((1, 28, 28), counts, tuple("0123456789")))
        extractor = ClassifierExtractor.fit(Dataset.open(Path(folder)))
    real, other = pixels[FITTED_ON : FITTED_ON + POOL], pixels[FITTED_ON + POOL :]
    spoil: dict[str, Callable[[Pixels], Pixels]] = {
        "clean": lambda images: images,
        "noise": lambda images: noisy(images, 40),
        "blur": lambda images: blurred(images, 1.0),
    }
    return {"real": extractor.features(real), **{key: extractor.features(change(other)) for key, change in spoil.items()}}


def row(comparisons: list[Comparison], *cells: str) -> str:
    """A line of the table."""
    said = [outcome(comparison, 0.95) for comparison in comparisons]
    rates = [f"{said.count(key) / len(said):.1%}" for key in ("promoted", "kept: worse")]
    looser = np.mean([comparison.gain > 0 and comparison.probability_better >= 0.95 for comparison in comparisons])
    return f"| {' | '.join([*cells, str(len(said)), *rates, f'{looser:.1%}'])} |"


Pair = tuple[Evidence, Evidence]
"""Challenger and champion."""
COLUMNS, TILT = 24, 0.6
KEYS = ("l1", "psnr", "ssim")


def _normal(random: np.random.Generator, count: int, scale: float = 1.0, shift: float = 0.0) -> Features:
    spread = np.exp(-np.linspace(0, 2, COLUMNS))  # as features vary: much in a few directions
    return (spread * random.normal(shift, scale, size=(count, COLUMNS))).astype(np.float32)


def less_and_more(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by fid, KID-infinity and stage1_fid: one varies less than the real ones by as much as the other varies more."""
    real = _normal(random, n)
    one, other = (_normal(random, m, scale) for scale in (0.85, 1.15))
    found = np.zeros(m, dtype=bool)
    drafts = [_normal(random, m, scale) for scale in (0.7, 1.3)]
    return CaptionEvidence(real, one, found, drafts[0]), CaptionEvidence(real, other, found, drafts[1])


def both_ways(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by kid, precision, recall, density and coverage: off the real ones by as much, one way and the other."""
    real = _normal(random, n)
    return ImageEvidence(real, _normal(random, m, 0.85, 0.15), None, None), ImageEvidence(real, _normal(random, m, 0.85, -0.15), None, None)


def soft_and_sharp(random: np.random.Generator, n: int, m: int) -> Pair:
    """Pairs, equal by fid and fid_ratio: one follows its input and varies less, the other draws freely and varies more."""
    real = _normal(random, n)
    columns = dict.fromkeys(KEYS, np.zeros(n))
    plain = 0.5 * real + _normal(random, n, 0.3)
    one, other = 0.85 * real, _normal(random, n, 1.15)
    return PairEvidence(real, one, columns, plain, columns), PairEvidence(real, other, columns, plain, columns)


def tilted(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by reverse_kl, label_accuracy and modes: one tilts all ten classes, the other nearly loses one."""
    real, uniform = _normal(random, n), np.full(10, 0.1)
    slope = np.exp(TILT * np.linspace(-1, 1, 10))
    many = slope / slope.sum()
    wanted = float(np.sum(many * np.log(many / uniform)))
    low, high = 1e-6, 0.1
    for _ in range(50):
        share = (low + high) / 2
        rest = (1 - share) / 9
        low, high = (share, high) if share * np.log(10 * share) + 9 * rest * np.log(10 * rest) > wanted else (low, share)
    one_lost = np.array([share, *[rest] * 9])
    drawn = [random.choice(10, m, p=shares) for shares in (many, one_lost)]
    asked = [np.where(random.random(m) < 0.8, classes, (classes + 1) % 10) for classes in drawn]
    generated = _normal(random, m)
    one, other = (ImageEvidence(real, generated, *sides, mode_shares=uniform) for sides in zip(drawn, asked, strict=True))
    return one, other


def of_captions(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by caption_recall: half of the captions are easy to each, and it misses the others in all four draws but one in ten."""
    real, clusters = _normal(random, n), np.tile(np.arange(m // 4), 4)
    ease = [np.where(random.random(m // 4) < 0.5, 0.9, 0.1) for _ in range(2)]
    found = [random.random(len(clusters)) < easy[clusters] for easy in ease]
    generated = _normal(random, len(clusters))
    one, other = (CaptionEvidence(real, generated, right, None, clusters=clusters) for right in found)
    return one, other


def of_numbers(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by label_error: one is a little beside each number that it was asked for, the other far beside one in eight."""
    real = _normal(random, n)
    one, other = np.abs(random.normal(0, 0.05, m)), np.where(random.random(m) < 0.125, np.abs(random.normal(0, 0.4, m)), 0.0)
    few, many = (ImageEvidence(real, _normal(random, m), None, None, label_errors=errors) for errors in (one, other))
    return few, many


def nearly_all(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by label_accuracy: each misses one label in a hundred, so that few samples tell them apart."""
    real, asked = _normal(random, n), np.zeros(m, dtype=np.int64)
    one, other = (ImageEvidence(real, _normal(random, m), (random.random(m) < 0.01).astype(np.int64), asked) for _ in range(2))
    return one, other


def of_motion(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by motion_distance: all clips of the one move a little too much, and every eighth of the other far too much."""
    by_features = ImageEvidence(_normal(random, n), _normal(random, m), None, None)
    real, one, other = random.gamma(2.0, size=(3, n))
    more, far = one + 0.1, other + np.where(random.random(n) < 0.125, 0.8, 0.0)
    return ClipEvidence(by_features, real, more), ClipEvidence(by_features, real, far)


def of_rows(random: np.random.Generator, n: int, m: int) -> Pair:
    """Equal by all: two draws of one generator of rows, with the ladder's first six faults, which trees detect with ease."""
    source, seed, faults = table_ladder.mixed(), int(random.integers(2**31)), list(table_ladder.FAULTS.values())[:6]
    one, other = (table_ladder.evidence_of(source, faults, seed, draw, n) for draw in (0, 100))
    return one, other


EQUALS: tuple[tuple[Callable[[np.random.Generator, int, int], Pair], tuple[str, ...], int | None], ...] = (
    (less_and_more, ("fid", "stage1_fid"), None),
    (both_ways, ("kid", "precision", "recall", "density", "coverage"), None),
    (soft_and_sharp, ("fid", "fid_ratio"), 1),
    (tilted, ("reverse_kl", "label_accuracy"), None),
    (of_captions, ("caption_recall",), None),
    (of_numbers, ("label_error",), None),
    (nearly_all, ("label_accuracy",), None),
    (of_motion, ("motion_distance",), None),
    (of_rows, ("detection", "utility", "correlation_distance"), 3),
)
"""What makes a pair of equals, by which scores they are equal, and how many are generated for each real one where that is not free."""


def equals(trials: int, replicates: int, sizes: list[tuple[int, int]], scores: list[str] | None = None) -> None:
    """Print the table of equals, of these scores alone where any are named."""
    print("| score | equals | real x generated | trials | promoted | worse |\n|---|---|---|---|---|---|")
    for make, metrics, times in EQUALS:
        asked = [metric for metric in metrics if scores is None or metric in scores]
        for n, m in sizes:
            if not asked or times not in (None, m / n):
                continue
            pairs = [make(np.random.default_rng((n, m, seed)), n, m) for seed in range(trials)]
            for metric in asked:
                refused = sum(one.undecided(metric) is not None for one, _ in pairs)
                said = [outcome(compare(one, other, metric, replicates, 0.95, seed), 0.95) for seed, (one, other) in enumerate(pairs)]
                rates = [f"{said.count(key) / trials:.1%}" for key in ("promoted", "kept: worse")]
                instead = "" if not refused else f" (left to kid in {refused / trials:.0%})"
                print(f"| {metric} | {make.__name__.replace('_', ' ')} | {n}x{m} | {trials} | {' | '.join(rates)}{instead} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--equals", action="store_true", help="the table of every deciding score, from planted features")
    parser.add_argument("--scores", nargs="*", help="of the table of equals, these scores alone")
    parser.add_argument("--root", type=Path, help="a filled torchvision folder, which holds MNIST/raw; needed without --equals")
    parser.add_argument("--trials", type=int, default=400, help="of equal generators; half as many of unequal ones")
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("--counts", nargs="*", default=["180x180", "180x1800", "1000x10000"], help="real x generated samples")
    parser.add_argument("--distance", type=float, default=0.3, help="the champion's, as a share of that of wholly spoiled images")
    parser.add_argument(
        "--gaps", nargs="*", type=float, default=[0.1, 0.2, 0.3, 0.6], help="by which share a better one's distance is lower"
    )
    arguments = parser.parse_args()
    sizes = [(int(n), int(m)) for n, m in (counts.split("x") for counts in arguments.counts)]
    if arguments.equals:
        equals(arguments.trials, arguments.replicates, sizes, arguments.scores)
        return
    if arguments.root is None:
        parser.error("--root is needed without --equals")
    start = time.monotonic()
    found = pools(arguments.root)
    real, clean = found["real"], found["clean"]
    whole = {fault: Generator(found[fault], clean, 0.0).distance(real) for fault in ("clean", "noise", "blur")}
    print(f"pools in {time.monotonic() - start:.0f} s; distances: {', '.join(f'{key} {value:.4g}' for key, value in whole.items())}\n")
    print("| real x generated | challenger | true FID, champion and challenger | s | trials | promoted | worse | in >= 95 % of resamples |")
    print("|---|---|---|---|---|---|---|---|")
    distance = arguments.distance * min(whole["noise"], whole["blur"])
    champion = of_distance(distance, found["noise"], clean, real)
    rivals = [("the same", champion), ("as good, other fault", of_distance(distance, found["blur"], clean, real))]
    for gap in arguments.gaps:
        rivals.append((f"{gap:.0%} better, same fault", of_distance(distance * (1 - gap), found["noise"], clean, real)))
        rivals.append((f"{gap:.0%} better, other fault", of_distance(distance * (1 - gap), found["blur"], clean, real)))
    for counts in sizes:
        for title, challenger in rivals:
            trials = arguments.trials // 2 if "better" in title else arguments.trials
            started = time.monotonic()
            comparisons = [trial(real, champion, challenger, counts, arguments.replicates, seed) for seed in range(trials)]
            took = f"{(time.monotonic() - started) / trials:.2f}"
            true = f"{champion.distance(real):.3f}, {challenger.distance(real):.3f}"
            print(row(comparisons, f"{counts[0]}x{counts[1]}", title, true, took), flush=True)


if __name__ == "__main__":
    main()
