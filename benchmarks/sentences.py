"""A generator of sentences beside a language model of as much processor time: is it nearer to held-out sentences at equal variety?

`python -m benchmarks.sentences --root $GANTRY_DATA [--images 240000] [--until 0.8] [--batch 64] [--seeds 1] [--samples 1000] [--out DIR]`

The entry `coco-captions` is trained with so many images, and then the same generator by likelihood alone, for the processor time that the
first one took. Both draw as they are and, of each word, from the likeliest ones alone (`truncation`), so that quality is seen at several
amounts of variety. Prints a Markdown table of the scores that the evaluate stage gives, and some sentences of each.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.sentences import Sentences
from gan_core.metrics.ngrams import Common
from gan_core.params import GanParams
from gan_core.params.gan import LikelihoodParams
from gan_core.training import Progress, train
from tasks import params, scaffold
from tasks.fetch import fetch
from tasks.params import Entry
from tasks.scoring.scoring import rounded
from tasks.scoring.sentences import SentenceEvidence
from tasks.validate import validate
from tasks.workspace import Workspace

NAME = "coco-captions"
SCORES = ("ngram_distance", "detection", "bleu", "self_bleu")
MASSES = (1.0, 0.95, 0.9, 0.8)
"""Of the words that may come next, those that have so much of the probability."""
_EXAMPLES = 10


@dataclasses.dataclass(frozen=True)
class Trained:
    """A generator, and the processor seconds of its phases."""

    generator: Generator
    by_likelihood: float
    in_all: float


def trained(given: GanParams, dataset: Dataset, folder: Path) -> Trained:
    """Train, and take the time of this process's processors, which other work on the machine does not lengthen."""
    begun, switched = time.process_time(), list[float]()
    assert given.likelihood is not None
    until = given.likelihood.until * given.budget

    def look(progress: Progress) -> None:
        if progress.images >= until and not switched:
            switched.append(time.process_time() - begun)

    train(given, dataset, folder, on_progress=look)
    taken = time.process_time() - begun
    return Trained(Generator.load(folder / "generator"), switched[0] if switched else taken, taken)


def row(what: str, found: SentenceEvidence) -> str:
    """A line of the table."""
    values = [rounded(found.score(metric)) for metric in SCORES]
    return f"| {what} | " + " | ".join(f"{value:.4f}" for value in values) + " |"


def rows(what: str, generator: Generator, dataset: Dataset, samples: int) -> list[str]:
    """A line for each amount of variety."""
    spec, held_out, learnt = Sentences.of(dataset.spec), np.array(dataset.samples["holdout"]), np.array(dataset.samples["train"])
    common = Common.of(learnt, len(spec.words))
    chosen = np.random.default_rng(0).permutation(len(learnt))[:samples]
    lines = []
    for mass in MASSES:
        bound = None if mass == 1 else math.sqrt(2) * float(torch.erfinv(torch.tensor(mass, dtype=torch.float64)))
        drawn = generator.sample(samples, seed=0, truncation=bound).samples
        lines.append(row(f"{what}, {mass:g}", SentenceEvidence(common, held_out, drawn, learnt[chosen])))
    return lines


def main() -> None:
    """Both trainings of each seed, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--images", type=int)
    parser.add_argument("--until", type=float)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        text = scaffold.template(f"examples/{NAME}.yaml").read_text(encoding="utf-8").replace("$GANTRY_DATA", str(asked.root.resolve()))
        entry: Entry = params.parse_text(text)[NAME]
        workspace = Workspace(folder)
        for stage in (fetch, validate):
            stage(workspace, NAME, entry)
        dataset = Dataset.open(workspace.ready(NAME))
        assert isinstance(entry.train, GanParams)
        changes = {"images": asked.images, "batch": asked.batch}
        given = entry.train.model_copy(update={key: value for key, value in changes.items() if value is not None})
        if asked.until is not None:
            given = given.model_copy(update={"likelihood": LikelihoodParams(until=asked.until)})
        spec, lines = Sentences.of(dataset.spec), list[str]()
        for seed in range(asked.seeds):
            game = trained(given.model_copy(update={"seed": seed}), dataset, folder / f"game-{seed}")
            pace = given.likelihood.until * given.budget / game.by_likelihood if given.likelihood else 1.0
            count = int(pace * game.in_all) // given.batch * given.batch
            alone = {"seed": seed, "images": count, "likelihood": LikelihoodParams(until=1.0)}
            model = trained(given.model_copy(update=alone), dataset, folder / f"model-{seed}")
            for what, one, images in (("game", game, given.budget), ("model", model, count)):
                print(f"{what} {seed}: {images:,} sentences, {one.in_all:.0f} s of the processor", flush=True)
                lines += rows(f"{what} {seed}", one.generator, dataset, asked.samples)
                for written in spec.texts(one.generator.sample(_EXAMPLES, seed=1).samples):
                    print(f"    {written}", flush=True)
        learnt, held_out = np.array(dataset.samples["train"]), np.array(dataset.samples["holdout"])
        first, second = np.array_split(np.random.default_rng(1).permutation(len(learnt))[: 2 * asked.samples], 2)
        real = SentenceEvidence(Common.of(learnt, len(spec.words)), held_out, learnt[first], learnt[second])
        print("\n".join([f"| what, mass | {' | '.join(SCORES)} |", "|---|" + "---|" * len(SCORES), *lines, row("real", real)]))


if __name__ == "__main__":
    main()
