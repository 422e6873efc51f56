"""Which family of networks is the best default: `python -m benchmarks.families FOLDER [--seconds 150] [--seeds 0 1 2] [--data ...]`.

Entries of examples/ with both players of one family after another, all else the same: game, rates, batch, augmentation. Each training
takes the same processor seconds on one thread: how many images a family sees in them is measured first, in turns, so that what a network
costs counts as much as what it gives. What only one family can be told (`hidden`, `batch_distance`) is left out. Prints a table in
Markdown; `docs/recipes.md` holds a run of it. FOLDER keeps the trainings, with pictures below `samples`, and a line each in
`results.jsonl`; the same command goes on where it was ended. Needs the environment variable GANTRY_DATA.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import example
from benchmarks.equal_seconds import images_in, prepared
from gan_core.data.dataset import Dataset
from gan_core.errors import LostRunError
from gan_core.generator import Generator
from gan_core.metrics.features import FeatureExtractor
from gan_core.training import train
from tasks.judging import score
from tasks.params import Entry

Row = dict[str, Any]

FAMILIES: Mapping[str, Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    "clothing-64": {
        "dcgan": ({"width": 32}, {"width": 40}),
        "residual": ({"width": 16}, {"width": 16}),
        "modern": ({"width": 8, "depth": 1}, {"width": 8, "depth": 1}),
    },
    "sign-digits": {
        "dcgan": ({"width": 32}, {"width": 64}),
        "residual": ({"width": 32}, {"width": 32}),
        "modern": ({"width": 8, "depth": 1}, {"width": 8, "depth": 1}),
    },
    "mnist": {
        "dcgan": ({"width": 32}, {"width": 64}),
        "residual": ({"width": 32}, {"width": 32}),
        "modern": ({"width": 8, "depth": 1}, {"width": 8, "depth": 1}),
    },
}
"""By entry and family what generator and discriminator are told. dcgan is as the entry has it."""
_ROUNDS = 2
"""Of measuring speeds, in turns."""
_SHOWN = ("fid", "precision", "recall", "label_accuracy")


def entry_of(data: str, family: str, images: int, seed: int) -> Entry:
    """The entry with both players of a family."""
    generator, discriminator = ({"network": family, **told} for told in FAMILIES[data][family])
    return example(data, train={"images": images, "seed": seed, "threads": 1, "generator": generator, "discriminator": discriminator})


def budgets(data: str, families: Sequence[str], seconds: float, dataset: Dataset) -> dict[str, int]:
    """How many images each family sees in some processor seconds: the median of measurements in turns."""
    found: dict[str, list[int]] = {family: [] for family in families}
    for _ in range(_ROUNDS):
        for family, counts in found.items():
            counts.append(images_in(seconds, entry_of(data, family, 1, 0).train, dataset))
    return {family: statistics.median_low(counts) for family, counts in found.items()}


def trained(entry: Entry, dataset: Dataset, extractor: FeatureExtractor | None, folder: Path) -> Row:
    """The scores of a training, or why it was lost; one that was ended before goes on."""
    try:
        train(entry.train, dataset, folder)
    except LostRunError as lost:
        return {"lost": str(lost)}
    return {"scores": score(Generator.load(folder / "generator"), dataset, extractor, entry.evaluation)}


def measure(data: str, families: Sequence[str], seconds: float, seeds: Sequence[int], folder: Path) -> list[Row]:
    """A row each training of a data set; what `results.jsonl` has is not done again."""
    record = folder / "results.jsonl"
    rows = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    rows = [row for row in rows if row["data"] == data and row["asked"] == seconds]

    def keep(row: Row) -> None:
        rows.append(row)
        with record.open("a") as file:
            file.write(json.dumps(row) + "\n")

    dataset, extractor = prepared(folder / "workspace", data, entry_of(data, families[0], 1, 0))
    missing = [family for family in families if all(row["family"] != family for row in rows)]
    for family, images in budgets(data, missing, seconds, dataset).items():
        keep({"data": data, "family": family, "asked": seconds, "images": images})
    images_of = {row["family"]: row["images"] for row in rows}
    print(f"{data}: {images_of}", file=sys.stderr, flush=True)
    for seed in seeds:
        for family in families:
            if any((row["family"], row.get("seed")) == (family, seed) for row in rows):
                continue
            entry = entry_of(data, family, images_of[family], seed)
            folder_of = folder / f"{data}-{family}-{seed}-{seconds:g}"
            row = {"data": data, "family": family, "seed": seed, "asked": seconds, "images": images_of[family]}
            keep(row | trained(entry, dataset, extractor, folder_of))
    return [row for row in rows if row["family"] in families and row.get("seed") in seeds]


def table(rows: Sequence[Row]) -> str:
    """In Markdown, a line each data set and family; scores are those of its seeds, in order."""
    lines = [f"| data | family | images | images a second | {' | '.join(_SHOWN)} | lost |", "|---" * (5 + len(_SHOWN)) + "|"]
    for data, family in dict.fromkeys((row["data"], row["family"]) for row in rows):
        those = sorted((row for row in rows if (row["data"], row["family"]) == (data, family)), key=lambda row: row["seed"])
        kept = [row for row in those if "scores" in row]
        pace = f"{those[0]['images'] / those[0]['asked']:.0f}"
        scores = [", ".join(f"{row['scores'][metric]:.3g}" for row in kept if metric in row["scores"]) for metric in _SHOWN]
        lines.append(f"| {data} | {family} | {those[0]['images']:,} | {pace} | {' | '.join(scores)} | {len(those) - len(kept)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--families", nargs="+", choices=["dcgan", "residual", "modern"], default=["dcgan", "residual", "modern"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    print(table([row for data in given.data for row in measure(data, given.families, given.seconds, given.seeds, given.folder)]))


if __name__ == "__main__":
    main()
