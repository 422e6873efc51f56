"""What a warm start saves: `python -m benchmarks.retraining [--root $GANTRY_DATA] [--sets ring,rows,digits] [--seeds 3]`. Prints a
Markdown table. With `--record FILE` each curve is kept as soon as it is there, and the same command goes on where it was ended;
`--record FILE --curves PNG` draws them. With `--in-a-row 30` many retrainings, one from the other (`benchmarks.in_a_row`).

For each case (`benchmarks.retraining_cases`) there are data before and data after. A training from scratch on the data before ends with the
base. Then trainings on the data after, with the same budget and parameters: from scratch, from the base, and where the case says so from
the base with frozen layers or replayed data, or from its generator alone with shrunk weights. All are scored on the same held-out samples
after each twentieth of the budget: points and rows by the energy distance (Szekely and Rizzo, 2013) of standardised values, images by the
Frechet distance of a classifier's features, pairs by the PSNR with its sign turned.
Printed is the share of the budget after which the warm one first has the distance that scratch ends with, and the smallest that scratch
ever has, of each seed; then the medians over the seeds of what both end with.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Self

import numpy as np
import torch

from benchmarks import in_a_row
from benchmarks.retraining_cases import SETS, Case, Start
from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.files import write_whole
from gan_core.generator import Generator, read_config
from gan_core.params import TrainParams
from gan_core.start import are_reversed, described_as
from gan_core.training import averaged, train

POINTS = 20
"""Of a curve."""
SCRATCH = "scratch"
_ACROSS = 3
"""Panels in a row of a picture."""


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


def curve(case: Case, params: TrainParams, folder: Path, base: Base | None = None) -> dict[str, list[float]]:
    """The scores after each twentieth of the budget."""
    dataset, start, replayed = case.after, None, None
    scores: dict[str, list[float]] = {part: [] for part in case.scores}
    if base is not None:
        dataset, _ = described_as(dataset, read_config(base.generator).schema)
        start = replace(base.end, facts={**base.end.facts, "reversed": are_reversed(dataset.spec, base.data.spec)})
        replayed = base.data if params.replay is not None else None
    for number in range(1, POINTS + 1):
        until, seen = number * params.budget // POINTS, 0

        def on_progress(now: Any) -> None:
            nonlocal seen
            seen = now.images

        done = train(params, dataset, folder, on_progress, should_stop=lambda: seen >= until, start=start, replay=replayed)  # noqa: B023
        generator = Generator.load(folder / "generator") if done else averaged(params, dataset, folder)
        for part, score in case.scores.items():
            scores[part].append(score(generator))
    return scores


class Record:
    """Curves by case, seed and start; where there is a file they are kept in it, and are not measured again."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.curves: dict[str, dict[str, list[float]]] = json.loads(path.read_text()) if path is not None and path.exists() else {}

    def of(self, case: str, part: str, seed: int) -> dict[str, list[float]]:
        """Those of one of a case's scores, by what the trainings began with."""
        return self.curves.setdefault(f"{case}{part}, seed {seed}", {})

    def fill(self, case: str, parts: Iterable[str], seed: int, name: str, measure: Callable[[], dict[str, list[float]]]) -> None:
        """Measure the curves of one training unless they are there; print and keep them at once, since the next one takes minutes."""
        if all(name in self.of(case, part, seed) for part in parts):
            return
        for part, scores in measure().items():
            self.of(case, part, seed)[name] = scores
            print(f"{case}{part}, seed {seed}: {name} {' '.join(f'{score:.4g}' for score in scores)}", flush=True)
        if self.path is not None:
            write_whole(self.path, json.dumps(self.curves, indent=1))

    def draw(self, path: Path) -> None:
        """A picture with a panel for each case: the scores of each seed over the share of the budget, thin, and their median."""
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        cases: dict[str, list[dict[str, list[float]]]] = {}
        for title, of in self.curves.items():
            cases.setdefault(title.rpartition(", seed ")[0], []).append(of)
        rows = -(-len(cases) // _ACROSS)
        figure = Figure(figsize=(4.6 * _ACROSS, 3.2 * rows), layout="constrained")
        panels = figure.subplots(rows, _ACROSS, squeeze=False).flat
        for (case, seeds), panel in zip(cases.items(), panels, strict=False):  # cases first: what they leave of the panels stays empty
            for number, name in enumerate(seeds[0]):
                found = np.array([of[name] for of in seeds if name in of])
                shares = np.arange(1, found.shape[1] + 1) / POINTS
                panel.plot(shares, found.T, color=f"C{number}", linewidth=0.7, alpha=0.4)
                panel.plot(shares, np.median(found, axis=0), color=f"C{number}", linewidth=2, label=name)
            panel.set_title(f"{case} ({len(seeds)} seeds)" if len(seeds) > 1 else f"{case} (one seed)", fontsize="small")
            panel.set_xlim(0, 1)
            if min(min(scores) for of in seeds for scores in of.values()) > 0:
                panel.set_yscale("log")
            panel.grid(alpha=0.25)
            panel.legend(fontsize="small")
        for panel in panels:
            panel.set_axis_off()
        figure.supxlabel("share of the budget")
        figure.supylabel("distance: smaller is better")
        with rc_context({"axes.formatter.min_exponent": 3}):  # 0.6 instead of 6e-1
            figure.savefig(path, dpi=80)


def measure(case: Case, seed: int, folder: Path, record: Record) -> None:
    """Fill in the curves of scratch, and of each start."""
    params, bases = case.params.model_copy(update={"seed": seed + 100}), dict[str, Base]()

    def warm(name: str, start: Start) -> dict[str, list[float]]:
        before = start.before.spec.digest
        if before not in bases:
            bases[before] = Base.of(case.params.model_copy(update={"seed": seed}), start.before, folder / f"base-{len(bases)}")
        more = {**params.model_dump(), "start": "champion", **start.more}
        return curve(case, type(params).model_validate(more), folder / name, bases[before])

    fill = partial(record.fill, case.name, case.scores, seed)
    fill(SCRATCH, lambda: curve(case, params, folder / SCRATCH))
    for name, start in case.starts.items():
        fill(name, partial(warm, name, start))


def reached(warm: Sequence[float], distance: float) -> str:
    """The share of the budget after which a curve first has a distance."""
    return next((f"{number / POINTS:.2f}" for number, score in enumerate(warm, 1) if score <= distance), "never")


def lines_of(case: Case, part: str, found: Sequence[dict[str, list[float]]]) -> list[str]:
    """A line of the table for each start."""
    lines = []
    for name in case.starts:
        at = [", ".join(reached(one[name], of(one[SCRATCH])) for one in found) for of in (lambda curve: curve[-1], min)]
        ends = [f"{median(one[side][-1] for one in found):.4g}" for side in (SCRATCH, name)]
        lines.append("| " + " | ".join([case.name + part, name, f"{case.params.budget:,}", *at, *ends]) + " |")
    return lines


def rows_in_a_row(names: Sequence[str], steps: int, seeds: int, record: Record) -> list[str]:
    """Lines of the table of `benchmarks.in_a_row`."""
    lines = [*in_a_row.HEADER]
    for name in names:
        case = f"{name}, {steps} in a row"
        for seed, method in product(range(seeds), in_a_row.METHODS):
            if seed not in in_a_row.seeds_of(method, seeds):
                continue
            with tempfile.TemporaryDirectory(prefix="gantry-retraining-") as temporary:
                measured = partial(in_a_row.in_a_row, name, method, steps, seed, Path(temporary))
                record.fill(case, in_a_row.PARTS, seed, method, measured)
        for method in in_a_row.METHODS:
            found = [[record.of(case, part, seed)[method] for part in in_a_row.PARTS] for seed in in_a_row.seeds_of(method, seeds)]
            lines.append(in_a_row.lines_of(name, method, found))
    return lines


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="a folder with sign-digits, clothing and MNIST, for the sets of these")
    parser.add_argument("--sets", help="by default ring,rows,digits; with --in-a-row ring,digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the curves in this file, and measure what it lacks")
    parser.add_argument("--curves", type=Path, metavar="PNG", help="draw the curves that --record holds, and measure nothing")
    parser.add_argument("--in-a-row", type=int, metavar="STEPS", help="measure many retrainings in a row instead")
    asked = parser.parse_args()
    if asked.curves is not None:
        if asked.record is None or not asked.record.exists():
            parser.error("--curves draws what --record FILE holds, and there is no such file")
        Record(asked.record).draw(asked.curves)
        return
    torch.set_num_threads(1)
    record = Record(asked.record)
    if asked.in_a_row:
        print("\n".join(["", *rows_in_a_row((asked.sets or "ring,digits").split(","), asked.in_a_row, asked.seeds, record)]))
        return
    lines = [
        "| case | start | budget | is where scratch ends at | where scratch is best at | scratch at the end | with the start at the end |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (asked.sets or "ring,rows,digits").split(","):
        with tempfile.TemporaryDirectory(prefix="gantry-retraining-") as temporary:
            for index, case in enumerate(SETS[name](Path(temporary), asked.root)):
                for seed in range(asked.seeds):
                    measure(case, seed, Path(temporary) / f"{index}-{seed}", record)
                for part in case.scores:
                    lines += lines_of(case, part, [record.of(case.name, part, seed) for seed in range(asked.seeds)])
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
