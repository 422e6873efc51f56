"""Which weight of R1 and R2 is the best default: `python -m benchmarks.penalties FOLDER [--seeds 0 1 2] [--weights ...]`.

The relativistic game on photographs of clothing at 32 and at 64 pixels, by label and without, under one weight after another: what
`train.penalty` is by default, those that R3GAN (Huang et al., 2024) and StyleGAN2-ADA (Karras et al., 2020) take at that size, and some
between. Each training sees as many images as one thread does in 40 s at 32 pixels and in a minute at 64, so that a weight costs nothing.
All are scored by features of labels. Prints a table in Markdown; `docs/recipes.md` holds a run of it. FOLDER keeps a line each in
`results.jsonl`; the same command goes on where it was ended. Needs the environment variable GANTRY_DATA.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import example
from benchmarks.equal_seconds import images_in, prepared
from benchmarks.families import Row, trained
from gan_core.params import GanParams
from tasks.params import Entry

_SHOWN = ("fid", "precision", "recall", "label_accuracy")


@dataclass(frozen=True)
class Size:
    """Photographs of so many pixels on a side."""

    entry: str
    seconds: float
    widths: tuple[int, int]
    """Of the generator, of the discriminator."""
    weights: Mapping[float, str]
    """What R1 and R2 are multiplied with, and whose it is."""


SIZES: Mapping[int, Size] = {
    32: Size(
        "clothing", 40, (24, 32), {2.6122: "the default", 0.3: "clothing's own", 0.05: "R3GAN's of CIFAR-10", 0.0032: "StyleGAN2-ADA's"}
    ),
    64: Size("clothing-64", 60, (16, 24), {10.449: "the default", 1.0: "of clothing-64; R3GAN's of ImageNet", 0.0128: "StyleGAN2-ADA's"}),
}


def entry_of(side: int, by_label: bool, weight: float, images: int, seed: int) -> Entry:
    """The entry of examples/ with narrow networks under a weight."""
    size = SIZES[side]
    generator, width = ({"network": "dcgan", "width": width} for width in size.widths)
    training: dict[str, Any] = {"images": images, "seed": seed, "threads": 1, "penalty": {"r1": weight, "r2": weight, "every": 8}}
    labels = {} if by_label else {"condition": "none", "mismatch": 0.0}
    return example(size.entry, train=training | labels | {"generator": generator, "discriminator": width | {"batch_distance": by_label}})


def measure(folder: Path, seeds: list[int], weights: list[float]) -> list[Row]:
    """A row each training; what `results.jsonl` has is not done again."""
    record = folder / "results.jsonl"
    rows: list[Row] = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    settings = [(side, by_label) for side in SIZES for by_label in (True, False)]
    ready = {side: prepared(folder / "workspace", size.entry, entry_of(side, True, 1.0, 1, 0)) for side, size in SIZES.items()}
    images = {(row["side"], row["by_label"]): row["images"] for row in rows}
    for side, by_label in settings:
        first = entry_of(side, by_label, 1.0, 1, 0)
        assert isinstance(first.train, GanParams), "the entries are played by gan"
        images.setdefault((side, by_label), images_in(SIZES[side].seconds, first.train, ready[side][0]))
    asked = [
        (seed, *setting, weight) for seed in seeds for setting in settings for weight in SIZES[setting[0]].weights if weight in weights
    ]
    for seed, side, by_label, weight in asked:
        row: Row = {"side": side, "by_label": by_label, "weight": weight, "seed": seed, "images": images[side, by_label]}
        if any(row.items() <= other.items() for other in rows):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            entry = entry_of(side, by_label, weight, row["images"], seed)
            rows.append(row | trained(entry, *ready[side], Path(scratch)))
        with record.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    return rows


def table(rows: list[Row]) -> str:
    """In Markdown, a line each setting and weight; scores are those of the seeds, in order."""
    lines = [f"| clothing | images | R1 and R2 | | {' | '.join(_SHOWN)} | lost |", "|---" * (5 + len(_SHOWN)) + "|"]
    for setting, group in itertools.groupby(sorted(rows, key=lambda row: (_setting(row), row["seed"])), _setting):
        (side, without, weight), those = setting, list(group)
        kept = [row["scores"] for row in those if "scores" in row]
        scores = [", ".join(f"{one[metric]:.3g}" for one in kept if metric in one) for metric in _SHOWN]
        title = f"{side} pixels, {'without labels' if without else 'by label'}"
        whose = SIZES[side].weights[weight]
        lines.append(f"| {title} | {those[0]['images']:,} | {weight:.3g} | {whose} | {' | '.join(scores)} | {len(those) - len(kept)} |")
    return "\n".join(lines)


def _setting(row: Row) -> tuple[int, bool, float]:
    return row["side"], not row["by_label"], row["weight"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    every = [weight for size in SIZES.values() for weight in size.weights]
    parser.add_argument("--weights", type=float, nargs="+", choices=every, default=every)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    print(table(measure(given.folder, given.seeds, given.weights)))


if __name__ == "__main__":
    main()
