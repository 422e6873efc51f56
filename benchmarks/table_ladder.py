"""Tables for a ladder of generators of known order (`python -m benchmarks.ladders table-numbers table-mixed table-adult`).

Twelve generators on each table: the first draws real rows, and each of the others has every fault of the one before it and one more.
Nothing is trained. A trial draws training, held-out and generated rows anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.kinds.encoding import restored
from gan_core.kinds.schema import Column, Schema
from tasks.metrics import BETTER, LOWER
from tasks.params import RegisterParams
from tasks.promotion.comparison import compare
from tasks.promotion.gate import Measured, Record, confidence_of_each, decide
from tasks.scoring.table import TableEvidence

ROWS = 500
"""Training and held-out rows, each; three times as many are generated."""
FEW = 20
_MISPLACED = 0.02
Rows = NDArray[np.float64]
Labels = NDArray[np.int64]
Table = tuple[Rows, Labels]
Random = np.random.Generator
Source = tuple[tuple[Column, ...], Callable[[int, Random], Table]]
Fault = Callable[[Rows, Labels, tuple[Column, ...], Random], Table]


def _number(name: str) -> Column:
    return Column(name, "number", "float64")


def numbers() -> Source:
    """Eight columns in three clusters, correlated within each; a label of two classes, and a third in one row of a hundred."""
    columns = tuple(_number(f"x{index}") for index in range(8))
    shape = np.random.default_rng(0)
    centres, mixes = 2 * shape.normal(size=(3, 8)), shape.normal(size=(3, 8, 8)) / 3

    def draw(count: int, random: Random) -> Table:
        labels = random.choice(3, count, p=[0.59, 0.4, 0.01])
        return centres[labels] + np.einsum("ni,nij->nj", random.normal(size=(count, 8)), mixes[labels]), labels

    return columns, draw


def mixed() -> Source:
    """Numbers and categories that depend on each other and on the label, of which one class has a row in a hundred."""
    texts = {"colour": ("blue", "green", "red"), "place": tuple("abcdef"), "kind": ("old", "new")}
    columns = (
        _number("height"),
        _number("age"),
        _number("money"),
        *(Column(name, "category", "string", values) for name, values in texts.items()),
    )

    def draw(count: int, random: Random) -> Table:
        labels = random.choice(3, count, p=[0.59, 0.4, 0.01])
        place = (labels + random.choice(6, count, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05])) % 6
        height = random.normal(place * 0.7 + labels, 1)
        age = random.gamma(2 + labels, 10) + 3 * height
        money = np.where(random.random(count) < 0.5, 0.0, np.exp(random.normal(age / 30, 0.5)))
        colour = np.where(money > 0, random.choice(3, count, p=[0.7, 0.2, 0.1]), random.choice(3, count, p=[0.1, 0.3, 0.6]))
        kind = (random.random(count) < 1 / (1 + np.exp(height - 2))).astype(np.float64)
        return np.stack([height, age, money, place, colour, kind], axis=1)[:, [0, 1, 2, 4, 3, 5]], labels

    return columns, draw


def adult(folder: Path) -> Source:
    """The census table, its rows drawn without end from those that there are."""
    import pandas as pd

    files = [folder] if folder.is_file() else sorted((*folder.glob("*.csv"), *folder.glob("*.parquet")))
    frame = (pd.read_parquet if files[0].suffix == ".parquet" else pd.read_csv)(files[0]).dropna()
    *names, label = frame.columns
    labels, _ = pd.factorize(frame[label])
    columns, values = [], []
    for name in names:
        if pd.api.types.is_numeric_dtype(frame[name]):
            columns.append(_number(name))
            values.append(frame[name].to_numpy(np.float64))
        else:
            codes, texts = pd.factorize(frame[name])
            columns.append(Column(name, "category", "string", tuple(map(str, texts))))
            values.append(codes.astype(np.float64))
    rows = np.stack(values, axis=1)

    def draw(count: int, random: Random) -> Table:
        chosen = random.choice(len(rows), count, replace=False)
        return rows[chosen], labels[chosen].astype(np.int64)

    return tuple(columns), draw


def _numeric(columns: tuple[Column, ...]) -> list[int]:
    return [index for index, column in enumerate(columns) if column.categories is None]


def noise(share: float, deviations: float) -> Fault:
    """Normal noise on the numbers of a share of the rows, as a generator could make it.

    A generator draws frequent values as choices of their own, so noise is beside them, and writes numbers with the decimals and within the
    range that the column has.
    """

    def spoil(rows: Rows, labels: Labels, columns: tuple[Column, ...], random: Random) -> Table:
        spoiled, some = torch.from_numpy(rows.copy()), random.random(len(rows)) < share
        fitted = Schema(columns).fitted(rows, None, 0, modes=1).columns
        for at in _numeric(columns):
            apart = some & ~np.isin(rows[:, at], fitted[at].spikes)
            noisy = rows[apart, at] + random.normal(size=apart.sum()) * deviations * rows[:, at].std()
            spoiled[apart, at] = restored(torch.from_numpy(noisy).clamp(*(fitted[at].between or fitted[at].extent)), fitted[at])
        return spoiled.numpy(), labels

    return spoil


def flipped(share: float) -> Fault:
    """Labels of a share of the rows are those of others."""

    def spoil(rows: Rows, labels: Labels, columns: tuple[Column, ...], random: Random) -> Table:
        return rows, np.where(random.random(len(rows)) < share, random.permutation(labels), labels)

    return spoil


def shuffled(share: float, within: bool = True, only: int | None = None) -> Fault:
    """Each column by itself (or one alone) goes round among a share of the rows, within each class or among all."""

    def spoil(rows: Rows, labels: Labels, columns: tuple[Column, ...], random: Random) -> Table:
        rows, some = rows.copy(), random.random(len(rows)) < share
        for label in np.unique(labels) if within else (None,):
            own = np.flatnonzero(some & (labels == label)) if label is not None else np.flatnonzero(some)
            for column in range(rows.shape[1]) if only is None else (only,):
                rows[own, column] = rows[random.permutation(own), column]
        return rows, labels

    return spoil


def rare_in_the_wrong_place(rows: Rows, labels: Labels, columns: tuple[Column, ...], random: Random) -> Table:
    """Rows of the rarest class look like those of the most frequent one: at most two in a hundred of all, for tables of two classes."""
    shares = np.bincount(labels)
    rare, common = (np.flatnonzero(labels == label) for label in (np.argmin(np.where(shares > 0, shares, len(rows))), np.argmax(shares)))
    rows, rare = rows.copy(), rare[: max(int(_MISPLACED * len(rows)), 1)]
    rows[rare] = rows[random.choice(common, len(rare))]
    return rows, labels


@dataclass(frozen=True)
class Collapsed:
    """A share of the rows repeats the first few."""

    share: float

    def __call__(self, rows: Rows, labels: Labels, columns: tuple[Column, ...], random: Random) -> Table:
        rows, labels, some = rows.copy(), labels.copy(), np.flatnonzero(random.random(len(rows)) < self.share)
        few = random.integers(FEW, size=len(some))
        rows[some], labels[some] = rows[few], labels[few]
        return rows, labels


FAULTS: Mapping[str, Fault] = {
    "noise of 0.3 deviations in 10 % of the rows": noise(0.1, 0.3),
    "5 % of the labels are others'": flipped(0.05),
    "10 % of the rows shuffled within their class": shuffled(0.1),
    "the rarest class in the wrong place": rare_in_the_wrong_place,
    "noise of 0.1 deviations in all rows": noise(1.0, 0.1),
    "the first column depends on the class alone": shuffled(1.0, only=0),
    "20 % of the rows shuffled within their class": shuffled(0.2),
    "30 % of the rows repeat 20 rows": Collapsed(0.3),
    "all rows shuffled within their class": shuffled(1.0),
    "20 % of the labels are others'": flipped(0.2),
    "all columns independent of each other and the class": shuffled(1.0, within=False),
}
"""In the order in which the ladder adds them."""


def evidence_of(source: Source, faults: list[Fault], seed: int, rung: int, count: int = ROWS) -> TableEvidence:
    """A generator with these faults; training and held-out rows, `count` of each, are those of the trial `seed`.

    Draws that are 100 apart are of one generator: what it repeats again and again is the same in both.
    """
    columns, draw = source
    shared, own = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1, rung))
    rows, labels = draw(2 * count, shared)
    drawn, drawn_labels = _spoiled(source, faults, 3 * count, own, np.random.default_rng((seed, 2, rung % 100)))
    return TableEvidence(Schema(columns, "class"), rows[count:], drawn, labels[count:], drawn_labels, rows[:count], labels[:count])


def _spoiled(source: Source, faults: list[Fault], count: int, random: Random, memory: Random) -> Table:
    """What a generator with these faults draws; what it repeats, and has spoiled before, is a function of `memory` alone."""
    columns, draw = source
    rows, labels = draw(count, random)
    for place, fault in enumerate(faults):
        if isinstance(fault, Collapsed):
            few, few_labels = _spoiled(source, faults[:place], count, memory, memory)
            rows[:FEW], labels[:FEW] = few[:FEW], few_labels[:FEW]
        rows, labels = fault(rows, labels, columns, random)
    return rows, labels


def outcome(challenger: TableEvidence, champion: TableEvidence, metrics: tuple[str, ...], replicates: int) -> str:
    """The gate's, where these metrics decide together."""
    rule = RegisterParams(improve=metrics[0])
    confidence = confidence_of_each(rule, len(metrics))
    comparison, *beside = (compare(challenger, champion, metric, replicates, confidence, 0) for metric in metrics)
    one, other = ({metric: side.score(metric) for metric in metrics} for side in (challenger, champion))
    return decide(Record(Measured(one, {}), Measured(other, {}), comparison, tuple(beside)), rule, "table").outcome


def right_order(better: float, worse: float, metric: str) -> float:
    """1 where two scores are in the right order, 0.5 where they are equal."""
    gain = (worse - better) if BETTER[metric] == LOWER else (better - worse)
    return 0.5 if gain == 0 else float(gain > 0)
