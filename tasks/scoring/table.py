"""Rows of a table against held-out ones.

detection: how well gradient boosted trees tell generated rows, with their labels, from real ones: the area under the ROC curve, 0.5 where
they cannot; the mean of three, each fitted on training rows and a third of the generated ones, and tested on held-out rows and the others.

utility (with a label): what such trees, fitted on generated rows to tell the label, are worth on held-out real rows, as a share of what
trees that were fitted on the real training rows are worth: the area under the ROC curve of each class against all others, the mean over
the classes; of three, each on as many generated rows as there are real ones to learn from. Where the label is a number, (1 + R2) / 2
stands for the area, which is (1 + G) / 2 of Gini's coefficient: 0.5 as well where nothing is told, and 1 where all is. Of several labels,
each is told by the columns that are none, and the mean of their shares counts.

column_distance, correlation_distance: means over columns and pairs of columns. evaluation.json has each column's.

Rows with children, the rows of a second table that belong to them, are judged as one: trees see a row with all its children, and held out
are rows with all their children. Two more scores look at what relates the tables: children_distance at how many children rows have,
relation_distance at the correlations of each column of the first with each of the second, of children beside the row they belong to.

Also there, under real_against_real, is what a perfect generator would get: training rows in the place of generated ones; for detection
one half of them in the place of the training rows, and the other in that of generated ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.rows import (
    Forest,
    area,
    class_areas,
    column_distances,
    correlation_influences,
    expanded,
    explained,
    forest_numbers,
    relation_distance,
    shares_distance,
    spread,
)
from gan_core.randomness import mix
from tasks.params import EvaluateParams
from tasks.scoring.copies import COMPARED, Copies, Embedding, find_copies
from tasks.scoring.privacy import Privacy, find_privacy
from tasks.scoring.scoring import Evidence, Scoring, chosen, rounded

TABLES = 3
"""Tables of generated rows, each as long as the real one: trees are fitted on each, and the mean of what they say counts."""


class TableEvidence(Evidence):
    """Generated and held-out rows with their labels, and what trees make of them."""

    def __init__(
        self,
        schema: Schema,
        real: NDArray[np.float64],  # (N, D)
        generated: NDArray[np.float64],  # (M, D)
        real_labels: NDArray[np.int64] | None,  # (N,)
        generated_labels: NDArray[np.int64] | None,  # (M,)
        train: NDArray[np.float64],  # (T, D), of which a classifier learns
        train_labels: NDArray[np.int64] | None,  # (T,)
    ) -> None:
        known = [labels for labels in (real_labels, generated_labels, train_labels) if labels is not None]
        classes = max(int(labels.max(initial=-1)) + 1 for labels in known) if len(known) == 3 else None
        self.schema, self.n_real, self.n_generated = schema, len(real), len(generated)
        self.real, self.generated = real, generated
        self.real_labels, self.generated_labels = real_labels, generated_labels
        labels = () if classes is None else schema.label_columns([str(k) for k in range(classes)])
        self._columns = (*schema.columns, *labels)
        """Those of rows, and those of labels behind them."""

        def with_labels(rows: NDArray[np.float64], of_rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
            return rows if not labels or of_rows is None else np.column_stack([rows, schema.label_cells(of_rows)])

        self._real, self._generated = with_labels(real, real_labels), with_labels(generated, generated_labels)
        self._train = with_labels(train, train_labels)
        asked = [k for k, column in enumerate(schema.columns) if column.name in schema.targets]
        asked += range(len(schema.columns), len(self._columns))
        rest = [k for k in range(len(self._columns)) if k not in asked]
        self._labels = {self._columns[k].name: _Told(self._columns, k, rest, self._real, self._generated, self._train) for k in asked}
        """What is told by the columns that are no labels, by name."""

    def scores(self) -> dict[str, float]:
        metrics = ["detection", *(["utility"] if self._labels else []), *_distances(self.schema)]
        everything = np.arange(self.n_real), np.arange(self.n_generated)
        return {metric: self.resampled(metric, *everything) for metric in metrics}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric == "utility":
            return float(np.mean([told.share for told in self._labels.values()]))
        if metric == "detection":
            return self._detected.mean
        if metric == "correlation_distance":
            return self._correlated[0]
        if (children := self.schema.children) is not None and metric == "children_distance":
            at, most = children.count_at(self.real.shape[1]), children.most
            counts = [rows[:, at].clip(max=most).astype(np.int64) for rows in (self.real[real], self.generated[generated])]
            return shares_distance(counts[0], counts[1], most + 1)
        if children is not None and metric == "relation_distance":
            return relation_distance(
                self._related(self.real[real]), self._related(self.generated[generated]), self.schema.own, children.columns
            )
        return float(np.mean(list(self._column_distances(real, generated).values())))

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        if metric == "detection":
            return self._detected.replicates(real, generated)
        if metric == "correlation_distance":
            found, of_real, of_generated = self._correlated
            return found + real.shifts(of_real) + generated.shifts(of_generated)
        if metric == "utility":
            return np.asarray(np.mean([told.replicates(real, generated) for told in self._labels.values()], axis=0))
        return super().replicates(metric, real, generated)

    def details(self) -> dict[str, Any]:
        distances = self._column_distances(np.arange(self.n_real), np.arange(self.n_generated))
        found: dict[str, Any] = {"column_distances": {name: rounded(value) for name, value in distances.items()}}
        if self._labels:
            found["told"] = {name: told.details() for name, told in self._labels.items()}
        return found

    def _column_distances(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> Mapping[str, float]:
        """Of children, each of their columns over all of them, wherever they stand."""
        first, second, children = self.real[real], self.generated[generated], self.schema.children
        if children is None:
            return column_distances(first, second, self.schema.columns)
        own = len(self.schema.own) + 1
        found = column_distances(first[:, :own], second[:, :own], self.schema.columns[:own])
        return found | column_distances(children.pooled(first)[0], children.pooled(second)[0], children.named)

    def _related(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of rows with children, for each child the row that it belongs to, by that table's columns; and the child."""
        assert self.schema.children is not None, "only rows with children"  # noqa: S101
        children, owners = self.schema.children.pooled(rows)
        return rows[owners, : len(self.schema.own)], children

    @cached_property
    def _correlated(self) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The distance, and what each held-out (N,) and each generated row (M,) moves it by; of mean 0."""
        return correlation_influences(self._real, self._generated, self._columns)

    @cached_property
    def _detected(self) -> Said:
        """The areas."""
        tables = np.array_split(np.arange(self.n_generated), min(TABLES, self.n_generated))
        areas, of_real, of_generated = [], np.zeros((len(tables), self.n_real)), np.zeros((len(tables), self.n_generated))
        for number, table in enumerate(tables):
            learnt = np.concatenate([self._train, self._generated[table[: len(self._train)]]])
            trees = Forest(learnt, (np.arange(len(learnt)) >= len(self._train)).astype(np.int64), self._columns)
            test = np.setdiff1d(np.arange(self.n_generated), table)
            found, weights, of_real[number] = area(*(trees.probabilities(rows, 2)[:, 1] for rows in (self._generated[test], self._real)))
            areas.append(found)
            of_generated[number, test] = weights * self.n_generated / len(test)
        return Said(np.array(areas), of_real, of_generated)


@dataclass(frozen=True)
class Said:
    """What trees say that were fitted on each of a few tables."""

    each: NDArray[np.float64]
    """(F,), of which the mean counts."""
    of_real: NDArray[np.float64]
    """(F, N) what each held-out row that they are tested on weighs in it; of mean 0."""
    of_generated: NDArray[np.float64]
    """(F, M) the same of generated rows."""

    @property
    def mean(self) -> float:
        return float(self.each.mean())

    @property
    def weights_of_real(self) -> NDArray[np.float64]:
        """(N,) in the mean."""
        return np.asarray(self.of_real.mean(axis=0))

    @property
    def deviation_of_fit(self) -> float:
        """What the fit adds to the chance in the mean: how far trees of several tables differ, less what they differ by since each rests on
        test rows in a way of its own."""
        many = len(self.each)
        if many < 2:
            return 0.0
        sides = (self.of_real, self.of_generated)
        tested = sum(np.square(side - side.mean(axis=0)).sum() / max(1, side.shape[1]) ** 2 for side in sides) / (many - 1)
        return math.sqrt(max(0.0, float(self.each.var(ddof=1) - tested)) / many)

    def fits(self, count: int) -> NDArray[np.float64]:
        """By how much other fits might have moved the mean: (count,). The tables are few, so of two generators it is Student's t.

        A function of the generator, so that one is equal to itself in each replicate, and two have chances of their own; what is not known
        of the deviation itself is the same in both, as where both are estimated together.
        """
        own = np.random.default_rng(mix(*(int(2**40 * one) for one in self.each)))
        degrees = max(1, 2 * (len(self.each) - 1))
        unsure = np.sqrt(degrees / np.random.default_rng(0).chisquare(degrees, count))
        return np.asarray(self.deviation_of_fit * unsure * own.normal(size=count))

    def replicates(self, real: Draws, generated: Draws) -> NDArray[np.float64]:
        """The mean, with what trees are tested on drawn anew, and with other fits: (B,)."""
        moved = real.shifts(self.weights_of_real) + generated.shifts(self.of_generated.mean(axis=0))
        return self.mean + moved + self.fits(len(generated))


class _Told:
    """What trees that learned a label from generated rows are worth on held-out ones, beside others that learned it from training rows.

    A worth is an area; of a label of numbers (1 + R2) / 2, at least 0, and for training rows at least what telling nothing is worth.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        label: int,  # which of the columns is told
        by: Sequence[int],  # those that tell it
        real: NDArray[np.float64],  # (N, D), on which trees are tested
        generated: NDArray[np.float64],  # (M, D)
        train: NDArray[np.float64],  # (T, D)
    ) -> None:
        self._columns, self._categories = [columns[k] for k in by], columns[label].categories
        self._label, self._by = label, by
        self._real, self._generated, self._train = real, generated, train

    @property
    def share(self) -> float:
        """The one divided by the other."""
        return self._worth.mean / self._worth_of_real[0]

    def replicates(self, real: Draws, generated: Draws) -> NDArray[np.float64]:
        """The share with the held-out rows drawn anew, and with other fits on generated rows: (B,)."""
        worth, (most, weights_of_most) = self._worth, self._worth_of_real
        moved = real.shifts(worth.weights_of_real / most - worth.mean / most**2 * weights_of_most)
        return worth.mean / most + moved + worth.fits(len(generated)) / most

    def details(self) -> dict[str, Any]:
        """Both, as `area` or `r2`."""
        name = "area" if self._categories is not None else "r2"
        both = {"trained_on_real": self._worth_of_real[0], "trained_on_generated": self._worth.mean}
        return {name: {side: rounded(one if name == "area" else 2 * one - 1) for side, one in both.items()}, "share": rounded(self.share)}

    @cached_property
    def _worth(self) -> Said:
        """Of trees that were fitted on generated rows."""
        found = [self._told(part, 1e-12) for part in np.array_split(self._generated, min(TABLES, len(self._generated)))]
        worths, weights = zip(*found, strict=True)
        return Said(np.array(worths), np.array(weights), np.zeros((len(found), 0)))

    @cached_property
    def _worth_of_real(self) -> tuple[float, NDArray[np.float64]]:
        """The same of trees that were fitted on training rows."""
        return self._told(self._train, 1e-12 if self._categories is not None else 0.5)

    def _told(self, rows: NDArray[np.float64], least: float) -> tuple[float, NDArray[np.float64]]:
        """By trees that were fitted on these; at least so much, since what gets nothing right would leave nothing to divide by."""
        known, asked = rows[:, self._by], self._real[:, self._by]
        if self._categories is not None:
            of_rows, of_real = (side[:, self._label].astype(np.int64) for side in (rows, self._real))
            found, weights = class_areas(Forest(known, of_rows, self._columns).probabilities(asked, len(self._categories)), of_real)
            return max(found, least), weights
        told = forest_numbers(known, rows[:, self._label], self._columns, asked)
        found, weights = explained(told, self._real[:, self._label])
        return (worth, weights / 2) if (worth := (1 + found) / 2) > least else (least, np.zeros(len(weights)))


class TableScoring(Scoring):
    """On at most `evaluate.samples` held-out rows, and three tables of generated rows, each as long as the training split."""

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> TableEvidence:
        """The labels asked for are those of training rows, in the same shares."""
        train = chosen(dataset, "train", params.samples, params.seed)
        labels = dataset.labels.get("train")
        asked = None if labels is None or generator.config.classes is None else np.tile(np.array(labels[train]), TABLES)
        drawn = generator.sample(TABLES * len(train), seed=params.seed, labels=asked, unique=False)
        samples = expanded(drawn.samples, Table.of(dataset.spec).schema.columns)
        if not np.isfinite(samples).all():
            raise TrainingError("the generator draws rows that are not finite; train it again with other settings")
        if (samples == samples[0]).all():
            raise TrainingError("the generator draws the same row each time: it has collapsed; train it again with other settings")
        return self._evidence(dataset, drawn.samples, drawn.labels, params)

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        train = chosen(dataset, "train", params.samples, params.seed)
        labels = dataset.labels.get("train")
        evidence = self._evidence(dataset, dataset.samples["train"][train], None if labels is None else labels[train], params)
        # Utility is 1 by its definition.
        scores = {metric: evidence.score(metric) for metric in _distances(evidence.schema)}
        halves = self._evidence(
            dataset, dataset.samples["train"][train[1::2]], None if labels is None else labels[train[1::2]], params, train[::2]
        )
        return {"n_train": len(train), **scores, "detection": halves.score("detection")}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        columns = Table.of(dataset.spec).schema.trimmed.columns
        train = np.array(dataset.samples["train"][:, : len(columns)])
        held_out = dataset.samples["holdout"][chosen(dataset, "holdout", min(COMPARED, params.samples), params.seed), : len(columns)]
        generated = generator.sample(min(COMPARED, params.samples), seed=params.seed, unique=False).samples[:, : len(columns)]
        found = find_copies(generated, held_out, train, (deviations(train, columns),))
        found = replace(found, repeated=(repeated_rows(train), len(train)))
        pairs = np.array(found.pairs)
        return found, pictures.profiles(generated[pairs[:, 0]], train[pairs[:, 1]], columns)

    def privacy(self, evidence: TableEvidence, dataset: Dataset, params: EvaluateParams) -> Privacy | None:
        """Labels are told apart as the values of a category are."""
        schema, classes = evidence.schema, dataset.spec.classes or ()
        columns = schema.columns
        train, held_out = (np.array(dataset.samples[split][:, : len(columns)]) for split in ("train", "holdout"))
        drawn, labels = evidence.generated, {}
        if classes and evidence.generated_labels is not None:
            labels = {split: np.array(dataset.labels[split]) for split in ("train", "holdout")}
            columns = (*columns, *schema.label_columns(classes))
            train, held_out, drawn = (
                np.column_stack([rows, schema.label_cells(of_rows)])
                for rows, of_rows in ((train, labels["train"]), (held_out, labels["holdout"]), (drawn, evidence.generated_labels))
            )
        embed = deviations(train, columns)
        known = labels.get("train"), labels.get("holdout")
        return find_privacy(embed(drawn), embed(train), embed(held_out), classes, *known, seed=params.seed)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Histograms: generated rows over held-out ones, and for comparison training rows over the same."""
        spec = Table.of(dataset.spec)
        held_out, train = np.array(dataset.samples["holdout"]), np.array(dataset.samples["train"])
        generated = generator.sample(max(len(train), 1_000), seed=seed, unique=False).samples
        return {"generated": spec.histograms(held_out, generated), "real": spec.histograms(held_out, train)}

    def _evidence(
        self,
        dataset: Dataset,
        generated: NDArray[np.float64],
        labels: NDArray[np.int64] | None,
        params: EvaluateParams,
        train: NDArray[np.int64] | None = None,  # which training rows trees learn from; by default those that are chosen
    ) -> TableEvidence:
        train = chosen(dataset, "train", params.samples, params.seed) if train is None else train
        held_out = chosen(dataset, "holdout", params.samples, params.seed)

        def labels_of(split: str, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
            return None if dataset.spec.classes is None or labels is None else np.array(dataset.labels[split][indices])

        schema = Table.of(dataset.spec).schema.trimmed
        live = len(schema.columns)
        return TableEvidence(
            schema,
            np.array(dataset.samples["holdout"][held_out, :live]),
            np.array(generated[:, :live]),
            labels_of("holdout", held_out),
            labels,
            np.array(dataset.samples["train"][train, :live]),
            labels_of("train", train),
        )


def _distances(schema: Schema) -> tuple[str, ...]:
    """The scores that are distances."""
    of_two = () if schema.children is None else ("children_distance", "relation_distance")
    return "column_distance", "correlation_distance", *of_two


def deviations(train: NDArray[np.float64], columns: tuple[Column, ...]) -> Embedding:
    """What expresses rows (N, D) in deviations of the training rows, each value of a category as a column of its own: (N, E)."""
    scale = spread(expanded(train, columns))
    scale = np.where(scale > 0, scale, 1.0)
    return lambda rows: expanded(rows, columns) / scale


def repeated_rows(rows: NDArray[np.float64]) -> int:
    """How many rows (N, D) are equal to another one."""
    import pandas as pd  # slow to import

    return int(pd.DataFrame(rows).duplicated(keep=False).sum())
