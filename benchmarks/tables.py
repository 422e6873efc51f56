"""What a table's generator is worth for a given time: `python -m benchmarks.tables --root $GANTRY_DATA [--seconds 150] [--seeds 3]`.

The census table, adult, by the entry that `gantry init --from` writes for it, with three rows of ten held out. A training gets a budget of
rows that lasts as many processor seconds, by what a short one took, on one thread; what it really took is printed. Prints a Markdown table,
a row a seed:

- utility: trees fitted on generated rows, their area under the ROC curve on held-out ones, as a share of what those have that were fitted
  on real rows; detection: trees' area at telling generated rows from held-out ones. Both as `tasks.scoring.table` has them.
- shapes, trends, report: sdmetrics' measures (SDV), against training rows: means over columns, over pairs of columns, and over those pairs
  that its report of quality counts, as that has them; 1 where they are alike.
- zeros: how far the share of rows without capital-gain is from the real one, in points; pairs: rows in a hundred whose education and its
  number no training row has together.
- copies, membership: near-copies of training rows beyond those among held-out ones, and the advantage of an attack that tells training rows
  from held-out ones by the generated rows, on a thousand of each (docs/gate.md).
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.schema import Column
from gan_core.kinds.table import Table
from gan_core.metrics.rows import shares_distance
from gan_core.params import TabularParams
from gan_core.training import Progress, train
from tasks.entry_from_data import draft
from tasks.fetch import fetch
from tasks.params import EvaluateParams, parse_text
from tasks.scaffold import init_workspace
from tasks.scoring.table import TableScoring
from tasks.validate import validate

Rows = NDArray[np.float64]

_CORRELATED, _ASSOCIATED = 0.4, 0.3  # absolute correlation, and Cramer's V, of the pairs that sdmetrics' report counts
_TRIED = 6.0  # processor seconds of the training that says how fast it is
_ENDLESS, _ALL = 10**9, 10**6
_DIGITS = {"utility": 3, "detection": 3, "shapes": 3, "trends": 3, "report": 3, "zeros": 1, "pairs": 1, "copies": 3, "membership": 3}
"""Behind the point, of each figure of the table."""


def adult(folder: Path, root: Path) -> tuple[Dataset, TabularParams]:
    """The census table, by income, packed in a workspace at `folder`, and how it is trained; all but the share held out as is found."""
    workspace = init_workspace(folder)
    found = draft(workspace, root / "adult" / "adult.csv", labels=["income"])
    entry = parse_text(found.text)[found.name]
    entry = entry.model_copy(update={"data": entry.data.model_copy(update={"holdout": 0.3})})
    fetch(workspace, found.name, entry)
    validate(workspace, found.name, entry)
    assert isinstance(entry.train, TabularParams)
    return Dataset.open(workspace.ready(found.name)), entry.train


def shape(real: Rows, generated: Rows, column: Column) -> float:
    """How alike a column's values (N,) and (M,) are, 0 to 1: 1 less the Kolmogorov-Smirnov statistic, or less the total variation
    distance of a category (sdmetrics' KSComplement and TVComplement).
    """
    if column.categories is not None:
        return 1 - shares_distance(real.astype(np.int64), generated.astype(np.int64), len(column.categories))
    from scipy.stats import ks_2samp

    return 1 - float(ks_2samp(real[~np.isnan(real)], generated[~np.isnan(generated)]).statistic)


def trend(real: Rows, generated: Rows, columns: Sequence[Column], is_own: bool = False) -> float:
    """How alike two columns' values (N, 2) and (M, 2) go together, 0 to 1 (sdmetrics' CorrelationSimilarity and ContingencySimilarity).

    Beside a category numbers are told by the part of their range that they lie in. With `is_own`, as in sdmetrics' report, each side has
    parts of its own: where a generator never draws the smallest of sixteen whole numbers, all others lie in other parts.
    """
    if all(column.categories is None for column in columns):
        return 1 - abs(_correlation(real) - _correlation(generated)) / 2
    if is_own:
        cells = [_parts(side, [_edges(side[:, k]) for k in range(2)], columns) for side in (real, generated)]
    else:
        edges = [np.array([-np.inf, *_edges(real[:, k])[1:-1], np.inf]) for k in range(2)]
        cells = [_parts(side, edges, columns) for side in (real, generated)]
    sizes = np.maximum(*(side.max(axis=1) for side in cells)) + 1
    return 1 - shares_distance(*(np.ravel_multi_index(tuple(side), sizes) for side in cells), count=int(sizes.prod()))


def go_together(real: Rows, columns: Sequence[Column]) -> bool:
    """Whether two columns' values (N, 2) do, as sdmetrics' report has it: by their correlation, or by Cramer's V."""
    if all(column.categories is None for column in columns):
        return abs(_correlation(real)) > _CORRELATED
    from scipy.stats.contingency import association, crosstab

    return float(association(crosstab(*_parts(real, [_edges(real[:, k]) for k in range(2)], columns)).count)) > _ASSOCIATED


def _correlation(rows: Rows) -> float:
    return float(np.corrcoef(rows[~np.isnan(rows).any(axis=1)].T)[0, 1])


def _edges(values: Rows) -> Rows:
    """Of ten equal parts of the range of a column's values (N,)."""
    return np.asarray(np.histogram_bin_edges(values[~np.isnan(values)]))


def _parts(rows: Rows, edges: Sequence[Rows], columns: Sequence[Column]) -> NDArray[np.int64]:
    """Of each column (N, D) the index of a category's value, or of the part that a number lies in; 0 where it is missing: (D, N)."""

    def of(k: int, column: Column) -> NDArray[np.int64]:
        values = rows[:, k]
        if column.categories is not None:
            return values.astype(np.int64)
        return np.where(np.isnan(values), 0, np.digitize(values, edges[k])).astype(np.int64)

    return np.stack([of(k, column) for k, column in enumerate(columns)])


def quality(real: Rows, generated: Rows, columns: Sequence[Column]) -> Mapping[str, float]:
    """How alike rows (N, D) and (M, D) are, 0 to 1: means over columns, over pairs, and over the pairs that sdmetrics' report counts."""
    shapes = [shape(real[:, k], generated[:, k], column) for k, column in enumerate(columns)]
    pairs = [([i, j], [columns[i], columns[j]]) for i, j in itertools.combinations(range(len(columns)), 2)]
    trends = [trend(real[:, pair], generated[:, pair], both) for pair, both in pairs]
    report = [trend(real[:, pair], generated[:, pair], both, True) for pair, both in pairs if go_together(real[:, pair], both)]
    return {name: float(np.mean(each)) for name, each in (("shapes", shapes), ("trends", trends), ("report", report))}


def trained(params: TabularParams, dataset: Dataset, folder: Path, seconds: float) -> tuple[Generator, int, float]:
    """The generator of a training that takes so many processor seconds, nearly; its rows, and what it took."""
    if params.images is None:
        rows = _rows_for(seconds, params, dataset, folder / "tried")
        params = params.model_copy(update={"images": max(params.batch, rows)})
    begun = time.process_time()
    assert train(params, dataset, folder / "trained")
    return Generator.load(folder / "trained" / "generator"), params.budget, time.process_time() - begun


def _rows_for(seconds: float, params: TabularParams, dataset: Dataset, folder: Path) -> int:
    """How many rows a training is shown in so many processor seconds, by a short one."""
    marks: list[tuple[int, float]] = []
    begun = time.process_time()

    def on_progress(now: Progress) -> None:
        marks.append((now.images, time.process_time()))

    tried = params.model_copy(update={"images": _ENDLESS})
    train(tried, dataset, folder, on_progress, should_stop=lambda: bool(marks) and marks[-1][1] - marks[0][1] > _TRIED)
    (first, start), (last, end) = marks[0], marks[-1]
    return round((last - first) / (end - start) * (seconds - (start - begun)))


def measured(generator: Generator, dataset: Dataset) -> Mapping[str, float]:
    """The figures of a generator, by the name of their column."""
    schema = Table.of(dataset.spec).schema
    scoring, some = TableScoring(), EvaluateParams()
    evidence = scoring.gather(generator, dataset, None, EvaluateParams(samples=_ALL))
    copies, _ = scoring.copies(generator, dataset, None, some)
    privacy = scoring.privacy(evidence, dataset, some)
    assert privacy is not None
    assert evidence.generated_labels is not None
    columns = (*schema.columns, *schema.label_columns(dataset.spec.classes))
    real = np.column_stack([dataset.samples["train"], dataset.labels["train"]])
    generated = np.column_stack([evidence.generated, evidence.generated_labels])
    names = [column.name for column in columns]
    pair, gain = [names.index("education"), names.index("education-num")], names.index("capital-gain")
    known = set(map(tuple, real[:, pair].tolist()))
    return {
        **{metric: evidence.score(metric) for metric in ("utility", "detection")},
        **quality(real, generated, columns),
        "zeros": 100 * abs(float((real[:, gain] == 0).mean()) - float((generated[:, gain] == 0).mean())),
        "pairs": 100 * float(np.mean([tuple(one) not in known for one in generated[:, pair].tolist()])),
        "copies": copies.share,
        "membership": privacy.membership.value,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder with adult/adult.csv")
    parser.add_argument("--seconds", type=float, default=150, help="processor seconds of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--train", type=json.loads, default={}, help="settings of the training, as JSON; with images, the seconds do not count"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="gantry-tables-") as temporary:
        dataset, found_in_it = adult(Path(temporary) / "workspace", asked.root.resolve())
        as_found = found_in_it.model_dump(exclude_unset=True, exclude={"images"})
        names = ["seed", "rows", "processor s", *_DIGITS]
        print("| " + " | ".join(names) + " |", "|---" * len(names) + "|", sep="\n", flush=True)
        for seed in range(asked.seeds):
            params = TabularParams.model_validate({**as_found, "threads": 1, "seed": seed, **asked.train})
            generator, rows, seconds = trained(params, dataset, Path(temporary) / str(seed), asked.seconds)
            found = measured(generator, dataset)
            shown = [f"{found[name]:.{digits}f}" for name, digits in _DIGITS.items()]
            print("| " + " | ".join([str(seed), f"{rows:,}", f"{seconds:.0f}", *shown]) + " |", flush=True)


if __name__ == "__main__":
    main()
