"""Which game is the best default: `python -m benchmarks.ablation [--seconds 60] [--seeds 5] [--data ring8 clothing ...]`.

Five games on one data set after another, each for the same processor seconds of training on one thread: how many images a game sees in
that time is measured first, so that what a method costs counts as much as what it gives. Prints a table in Markdown of medians over seeds;
`docs/recipes.md` holds a run of it. Images need the environment variable GANTRY_DATA.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.equal_seconds import images_in, prepared
from gan_core.errors import LostRunError
from gan_core.generator import Generator
from gan_core.params import GanParams
from gan_core.training import train
from tasks.judging import score
from tasks.params import Entry, parse
from tasks.promotion.gate import deciding_metric

GAMES: Mapping[str, Mapping[str, Any]] = {
    "non-saturating, batch norm": {
        "loss": "non-saturating",
        "discriminator": {"normalization": "batch"},
        "optimizer": {"learning_rate": 2e-4, "betas": [0.5, 0.99]},
    },
    "non-saturating, R1": {"loss": "non-saturating", "penalty": "r1"},
    "relativistic, R1 and R2": {"loss": "relativistic"},
    "hinge, spectral norm": {"loss": "hinge", "discriminator": {"normalization": "spectral"}},
    "Wasserstein, gradient penalty": {
        "loss": "wasserstein",
        "penalty": {"gradient": 10.0},
        "discriminator_steps": 3,
        "optimizer": {"learning_rate": 2e-4, "betas": [0.0, 0.9]},
    },
}
DATA: Mapping[str, Mapping[str, Any]] = {
    "ring8": {"source": "points://ring", "count": 10_000},
    "grid25": {"source": "points://grid", "count": 10_000},
    "stacked-mnist": {"source": "torchvision://MNIST", "root": "$GANTRY_DATA", "size": 28, "stack": True},
    "clothing": {"source": "folder://$GANTRY_DATA/clothing/train", "size": 32},
}


def entry_of(data: str, game: str, images: int, seed: int) -> Entry:
    """A small entry for a game on a data set. On images each game learns at the rate that is usual for it, on points all at one."""
    settings = dict(GAMES[game])
    points = "points" in DATA[data]["source"]
    generator: dict[str, Any] = {"network": "mlp", "widths": [64, 64], "components": 100} if points else {"network": "dcgan", "width": 32}
    discriminator: dict[str, Any] = {"network": "mlp", "widths": [128, 128]} if points else {"network": "dcgan", "width": 32}
    discriminator |= settings.pop("discriminator", {})
    default = GanParams(images=1, loss="relativistic").settled_penalty((2,) if points else (3, DATA[data]["size"], DATA[data]["size"]))
    if settings.get("penalty") == "r1":
        settings["penalty"] = {"r1": default.r1, "every": default.every}
    training = {
        "recipe": "gan", "images": images, "seed": seed, "threads": 1, "batch": 256 if points else 64, "latent": 8 if points else 64,
        "generator": generator, "discriminator": discriminator, **settings,
        "optimizer": {"decay": 0.5, "learning_rate": 5e-4, **settings.get("optimizer", {})} | ({"learning_rate": 1e-3} if points else {}),
    }  # fmt: skip
    rest = {"validate": {}, "evaluate": {"samples": 2_500}, "register": {"improve": "reverse_kl"} if data == "stacked-mnist" else {}}
    return parse({"generators": {data: {"data": dict(DATA[data]), "train": training, **rest}}})[data]


def measured(
    data: str, games: list[str], seconds: float, seeds: int, say: Callable[[str], None]
) -> dict[str, tuple[int, list[dict[str, float]]]]:
    """Images seen, and the scores of each seed, by game; a lost run has none."""
    found: dict[str, tuple[int, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as root:
        first = entry_of(data, games[0], 1, 0)
        dataset, extractor = prepared(Path(root) / "workspace", data, first)
        for game in games:
            images = images_in(seconds, entry_of(data, game, 1, 0).train, dataset)
            scores = []
            for seed in range(seeds):
                folder = Path(root) / f"{games.index(game)}-{seed}"
                try:
                    train(entry_of(data, game, images, seed).train, dataset, folder)
                except LostRunError as lost:
                    say(f"{data}, {game}, seed {seed}: {lost}")
                    continue
                scores.append(score(Generator.load(folder / "generator"), dataset, extractor, first.evaluation))
                say(f"{data}, {game}, seed {seed}, {images:,} images: {scores[-1]}")
            found[game] = images, scores
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--games", nargs="+", choices=list(GAMES), default=list(GAMES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| data | game | images seen | score, median | least | most | lost |\n|---|---|---|---|---|---|---|")
    for data in given.data:
        results = measured(data, given.games, given.seconds, given.seeds, _say)
        for game, (images, scores) in results.items():
            shown = "| | |"
            if scores:
                entry = entry_of(data, game, images, 0)
                metric = deciding_metric(scores[0], entry.registration, entry.data.kind)
                values = [one[metric] for one in scores]
                shown = f"{metric} {statistics.median(values):.4g} | {min(values):.4g} | {max(values):.4g} |"
            print(f"| {data} | {game} | {images:,} | {shown} {given.seeds - len(scores)} |", flush=True)


if __name__ == "__main__":
    main()
