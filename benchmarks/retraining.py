"""What a warm start saves: `python -m benchmarks.retraining [--root $GANTRY_DATA] [--sets ring,rows,digits] [--seeds 3]`. Prints a
Markdown table. With `--in-a-row 30` many retrainings, one from the other (`benchmarks.in_a_row`).

For each case (`benchmarks.retraining_cases`) there are data before and data after. A training from scratch on the data before ends with the
base. Then trainings on the data after, with the same budget and parameters: from scratch, from the base, and where the case says so from
the base with frozen layers or replayed data. All are scored on the same held-out samples after each twentieth of the budget: points and
rows by the energy distance (Szekely and Rizzo, 2013) of standardised values, images by the Frechet distance of a classifier's features.
Printed is the share of the budget after which the warm one first has the distance that scratch ends with, and the smallest that scratch
ever has, of each seed; then the medians over the seeds of what both end with.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Self

import torch

from benchmarks import in_a_row
from benchmarks.retraining_cases import SETS, Case
from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator, read_config
from gan_core.params import TrainParams
from gan_core.start import described_as
from gan_core.training import averaged, train

POINTS = 20
"""Of a curve."""


@dataclass(frozen=True)
class Base:
    """The end of the training on the data before, and these."""

    data: Dataset
    generator: Path
    end: checkpoint.Checkpoint

    @classmethod
    def of(cls, params: TrainParams, before: Dataset, folder: Path) -> Self:
        """Train it."""
        assert train(params, before, folder)
        end, classes = checkpoint.read(folder / "checkpoint"), before.spec.classes
        return cls(before, folder / "generator", replace(end, facts={**end.facts, "classes": None if classes is None else list(classes)}))


def curve(case: Case, params: TrainParams, folder: Path, base: Base | None = None) -> list[float]:
    """The score after each twentieth of the budget."""
    dataset, start, replayed, scores = case.after, None, None, []
    if base is not None:
        dataset, _ = described_as(dataset, read_config(base.generator).schema)
        start, replayed = base.end, base.data if params.replay is not None else None
    for number in range(1, POINTS + 1):
        until, seen = number * params.budget // POINTS, 0

        def on_progress(now: Any) -> None:
            nonlocal seen
            seen = now.images

        done = train(params, dataset, folder, on_progress, should_stop=lambda: seen >= until, start=start, replay=replayed)  # noqa: B023
        generator = Generator.load(folder / "generator") if done else averaged(params, dataset, folder)
        scores.append(case.score(generator))
    return scores


def measured(case: Case, seed: int, folder: Path) -> dict[str, list[float]]:
    """The curves of scratch, and of each start."""
    params, bases = case.params.model_copy(update={"seed": seed + 100}), dict[str, Base]()
    curves = {"scratch": curve(case, params, folder / "scratch")}
    for name, start in case.starts.items():
        before = start.before.spec.digest
        if before not in bases:
            bases[before] = Base.of(case.params.model_copy(update={"seed": seed}), start.before, folder / f"base-{len(bases)}")
        more = {**params.model_dump(), "start": "champion", **start.more}
        curves[name] = curve(case, type(params).model_validate(more), folder / name, bases[before])
    print(f"{case.name}, seed {seed}: {'; '.join(f'{name} {shown(scores)}' for name, scores in curves.items())}", flush=True)
    return curves


def reached(warm: Sequence[float], distance: float) -> str:
    """The share of the budget after which a curve first has a distance."""
    return next((f"{number / POINTS:.2f}" for number, score in enumerate(warm, 1) if score <= distance), "never")


def shown(scores: Sequence[float]) -> str:
    """Scores to four digits."""
    return " ".join(f"{score:.4g}" for score in scores)


def lines_of(case: Case, found: Sequence[dict[str, list[float]]]) -> list[str]:
    """A line of the table for each start."""
    lines = []
    for name in case.starts:
        at = [", ".join(reached(one[name], of(one["scratch"])) for one in found) for of in (lambda curve: curve[-1], min)]
        ends = [f"{median(one[side][-1] for one in found):.4g}" for side in ("scratch", name)]
        lines.append("| " + " | ".join([case.name, name, f"{case.params.budget:,}", *at, *ends]) + " |")
    return lines


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="a folder with sign-digits, clothing and MNIST, for the sets of these")
    parser.add_argument("--sets", default="ring,rows,digits")
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
        "| case | start | budget | is where scratch ends at | where scratch is best at | scratch at the end | with the start at the end |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in asked.sets.split(","):
        with tempfile.TemporaryDirectory(prefix="gantry-retraining-") as temporary:
            for index, case in enumerate(SETS[name](Path(temporary), asked.root)):
                folders = [Path(temporary) / f"{index}-{seed}" for seed in range(asked.seeds)]
                lines += lines_of(case, [measured(case, seed, folder) for seed, folder in enumerate(folders)])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
