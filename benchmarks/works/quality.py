"""How long until a generator is as good as the tutorials' one at the end of its schedule, by the same frozen features."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.environment import Context, example
from benchmarks.race import environment
from benchmarks.results import Goal, Result, number
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.metrics.features import ClassifierExtractor, FeatureExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.training import train

_EPOCHS, _EPOCH = 10, 60_000
_SAMPLES = 10_000
_TRIED = (15_000, 30_000, 60_000, 120_000)
"""Budgets in images, each a schedule of its own: rates and averaging follow the budget."""
_ENTRIES = {
    "the dense example (`mnist-mlp`)": "mnist-mlp",
    "the DCGAN example (`mnist-dcgan`)": "mnist-dcgan",
    "the default networks, by label (`mnist`)": "mnist",
}
_SHARE = 0.1


def run(context: Context) -> Result:
    """Keras's MLP GAN for ten epochs of MNIST, then Gantry with growing budgets until it is as good."""
    ready = context.digits
    dataset = Dataset.open(ready)
    extractor = ClassifierExtractor.fit(dataset)
    real = FeatureStatistics.of(extractor.features(dataset.samples["holdout"]))
    images = 6_000 if context.quick else _EPOCHS * _EPOCH
    baseline, seconds = _keras(context, ready, images)
    wanted = _distance(baseline, extractor, real)
    context.say(f"  Keras: {wanted:.4g} after {seconds:.0f} s")
    rows: list[Sequence[str]] = [("Keras, train_on_batch, the MLP GAN", f"{images:,}", number(seconds), number(wanted), "")]
    tried = [1_280] if context.quick else list(_TRIED)
    least: float | None = None
    raw = {"keras": [images, seconds, wanted]}
    for title, entry in _ENTRIES.items():
        for budget in tried:
            took, distance = _trained(entry, dataset, budget, extractor, real)
            raw[f"{entry} {budget}"] = [budget, took, distance]
            context.say(f"  {entry}, {budget:,} images: {distance:.4g} after {took:.1f} s")
            if distance <= wanted or budget == tried[-1]:
                break
        reached = distance <= wanted
        rows.append(
            (f"Gantry, {title}", f"{budget:,}", number(took), number(distance), f"{took / seconds:.3f}" if reached else "not as good")
        )
        least = min(took, least or took) if reached else least
    share = None if least is None else least / seconds
    reached_words = "not reached" if share is None else f"{number(share)} of its time"
    return Result(
        "Time to the tutorial's quality",
        f"Keras's MLP GAN on MNIST for its {images:,} images, then Gantry with one budget after another until the Frechet distance of "
        f"{_SAMPLES:,} samples to the held-out images, by the features that `evaluate` fits, is as low. Seconds are those of training "
        "alone, the budgets tried before not counted; one seed.",
        ("program", "images", "seconds", "Frechet distance", "share of the baseline's time"),
        rows,
        [Goal("Time to the baseline's final quality", "one tenth of its time", reached_words, share is not None and share <= _SHARE)],
        raw,
    )


def _keras(context: Context, ready: Path, images: int) -> tuple[np.ndarray, float]:
    out = context.folder / "baseline"
    out.mkdir()
    side = context.peer("Keras", "keras_gan", "mlp", "--data", str(ready / "train.npy"), "--style", "train_on_batch")
    command = [*side.command, "--images", str(images), "--out", str(out)]
    subprocess.run(command, env=environment({}), cwd=out, check=True, capture_output=True)
    return np.load(out / "samples.npy"), json.loads((out / "seconds.json").read_text())["seconds"]


def _trained(entry: str, dataset: Dataset, budget: int, extractor: FeatureExtractor, real: FeatureStatistics) -> tuple[float, float]:
    """Seconds of a whole training, and the distance that it ends at."""
    params = example(entry).train.model_copy(update={"images": budget, "threads": torch.get_num_threads()})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(params, dataset, Path(folder))
        seconds = time.perf_counter() - start
        samples = Generator.load(Path(folder) / "generator").sample(_SAMPLES, seed=0).samples
    return seconds, _distance(samples, extractor, real)


def _distance(samples: np.ndarray, extractor: FeatureExtractor, real: FeatureStatistics) -> float:
    return frechet_distance(real, FeatureStatistics.of(extractor.features(samples)))
