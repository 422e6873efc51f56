"""Rows of a table against held-out ones.

detection: how well gradient boosted trees tell generated rows, with their labels, from real ones: the area under the ROC curve, 0.5 where
they cannot. They are fitted on training rows and half of the generated ones, and tested on held-out rows and the other half.

utility (with a label): what such trees, fitted on generated rows to tell the label, are worth on held-out real rows, as a share of what
trees that were fitted on the real training rows are worth: the area under the ROC curve of each class against all others, the mean over
the classes; of three, each on as many generated rows as there are real ones to learn from.

column_distance, correlation_distance: means over columns and pairs of columns. evaluation.json has each column's.

Also there, under real_against_real, is what a perfect generator would get: training rows in the place of generated ones; for detection
one half of them in the place of the training rows, and the other in that of generated ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.kinds.schema import Column
from gan_core.kinds.table import Table
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.rows import Forest, area, class_areas, column_distances, correlation_influences, expanded, spread
from gan_core.randomness import mix
from tasks.params import EvaluateParams
from tasks.scoring.copies import COMPARED, Copies, Embedding, find_copies
from tasks.scoring.privacy import Privacy, find_privacy
from tasks.scoring.scoring import Evidence, Scoring, chosen, rounded

TABLES = 3
"""Tables of generated rows, each as long as the real one, of whose utilities the median counts."""


class TableEvidence(Evidence):
    """Generated and held-out rows with their labels, and what trees make of them."""

    def __init__(
        self,
        columns: tuple[Column, ...],
        real: NDArray[np.float64],  # (N, D)
        generated: NDArray[np.float64],  # (M, D)
        real_labels: NDArray[np.int64] | None,  # (N,)
        generated_labels: NDArray[np.int64] | None,  # (M,)
        train: NDArray[np.float64],  # (T, D), of which a classifier learns
        train_labels: NDArray[np.int64] | None,  # (T,)
    ) -> None:
        self.columns = columns
        self.real, self.generated, self.train = real, generated, train
        self.real_labels, self.generated_labels, self.train_labels = real_labels, generated_labels, train_labels
        self.n_real, self.n_generated = len(real), len(generated)
        known = [int(labels.max(initial=-1)) + 1 for labels in (real_labels, generated_labels, train_labels) if labels is not None]
        self.classes = max(known) if len(known) == 3 else None

    def scores(self) -> dict[str, float]:
        metrics = ["detection", *(["utility"] if self.classes is not None else []), "column_distance", "correlation_distance"]
        everything = np.arange(self.n_real), np.arange(self.n_generated)
        return {metric: self.resampled(metric, *everything) for metric in metrics}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric == "utility":
            return self._worth[0] / self._worth_of_real[0]
        if metric == "detection":
            return self._detected[0]
        if metric == "correlation_distance":
            return self._correlated[0]
        return float(np.mean(list(self._column_distances(real, generated).values())))

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        """Of what trees say, what they are tested on is drawn anew, and the trees stay as they are.

        What their fit adds to `utility` is told by how far the trees of its few tables differ: Student's t, since they are few.
        """
        if metric in ("detection", "correlation_distance"):
            found, of_real, of_generated = self._detected if metric == "detection" else self._correlated
            return found + real.shifts(of_real) + generated.shifts(of_generated)
        if metric == "utility":
            (worth, weights), (most, weights_of_most) = self._worth, self._worth_of_real
            # A function of the generator, so that one is equal to itself in each replicate, and two have chances of their own.
            random = np.random.default_rng(mix(*(int(2**40 * one) for one in self._areas)))
            tables = len(self._areas)
            fit = np.std(self._areas, ddof=1) / math.sqrt(tables) / most if tables > 1 else 0.0
            return (
                fit * random.standard_t(max(1, tables - 1), len(generated))
                + worth / most
                + real.shifts(weights / most - worth / most**2 * weights_of_most)
            )
        return super().replicates(metric, real, generated)

    def details(self) -> dict[str, Any]:
        distances = self._column_distances(np.arange(self.n_real), np.arange(self.n_generated))
        found: dict[str, Any] = {"column_distances": {name: rounded(value) for name, value in distances.items()}}
        if self.classes is not None:
            worth = {"trained_on_real": self._worth_of_real[0], "trained_on_generated": self._worth[0]}
            found["classifier_area"] = {name: rounded(value) for name, value in worth.items()}
        return found

    def _column_distances(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> Mapping[str, float]:
        return column_distances(self.real[real], self.generated[generated], self.columns)

    @cached_property
    def _correlated(self) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The distance, and what each held-out (N,) and each generated row (M,) moves it by; of mean 0."""
        real, drawn = (self._with_label(*side) for side in ((self.real, self.real_labels), (self.generated, self.generated_labels)))
        return correlation_influences(real, drawn, self._columns)

    @cached_property
    def _columns(self) -> tuple[Column, ...]:
        """With the label's, where there is one."""
        if self.classes is None:
            return self.columns
        return (*self.columns, Column("", "category", "string", tuple(map(str, range(self.classes)))))

    def _with_label(self, rows: NDArray[np.float64], labels: NDArray[np.int64] | None) -> NDArray[np.float64]:
        return rows if self.classes is None or labels is None else np.column_stack([rows, labels])

    @cached_property
    def _detected(self) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The area, and what each held-out (N,) and each generated row (M,) weighs in it; of mean 0."""
        real, drawn, train = (
            self._with_label(*side)
            for side in ((self.real, self.real_labels), (self.generated, self.generated_labels), (self.train, self.train_labels))
        )
        learnt = min(len(train), self.n_generated // 2)
        told = np.repeat([0, 1], [len(train), learnt])
        trees = Forest(np.concatenate([train, drawn[:learnt]]), told, self._columns)
        found, of_generated, of_real = area(*(trees.probabilities(rows, 2)[:, 1] for rows in (drawn[learnt:], real)))
        weights = np.zeros(self.n_generated)
        weights[learnt:] = of_generated * self.n_generated / (self.n_generated - learnt)
        return found, of_real, weights

    @cached_property
    def _worth(self) -> tuple[float, NDArray[np.float64]]:
        """Of trees that were fitted on generated rows, the mean of three areas on held-out ones, and what each row weighs in it."""
        return float(np.mean(self._areas)), np.mean([weights for _, weights in self._told_by_each], axis=0)

    @property
    def _areas(self) -> list[float]:
        """The area by the trees of each table of generated rows."""
        return [one for one, _ in self._told_by_each]

    @cached_property
    def _told_by_each(self) -> list[tuple[float, NDArray[np.float64]]]:
        assert self.generated_labels is not None  # noqa: S101
        parts = np.array_split(np.arange(self.n_generated), min(TABLES, self.n_generated))
        return [self._told(self.generated[part], self.generated_labels[part]) for part in parts]

    @cached_property
    def _worth_of_real(self) -> tuple[float, NDArray[np.float64]]:
        """The same of trees that were fitted on training rows."""
        assert self.train_labels is not None  # noqa: S101
        return self._told(self.train, self.train_labels)

    def _told(self, rows: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
        assert self.real_labels is not None  # noqa: S101
        assert self.classes is not None  # noqa: S101
        probabilities = Forest(rows, labels, self.columns).probabilities(self.real, self.classes)
        found, weights = class_areas(probabilities, self.real_labels)
        return max(found, 1e-12), weights  # what gets nothing right would leave nothing to divide by


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
        scores = {metric: evidence.score(metric) for metric in ("column_distance", "correlation_distance")}
        halves = self._evidence(
            dataset, dataset.samples["train"][train[1::2]], None if labels is None else labels[train[1::2]], params, train[::2]
        )
        return {"n_train": len(train), **scores, "detection": halves.score("detection")}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        columns = Table.of(dataset.spec).schema.columns
        train = np.array(dataset.samples["train"])
        held_out = np.array(dataset.samples["holdout"][chosen(dataset, "holdout", min(COMPARED, params.samples), params.seed)])
        generated = generator.sample(min(COMPARED, params.samples), seed=params.seed, unique=False).samples
        found = find_copies(generated, held_out, train, (deviations(train, columns),))
        found = replace(found, repeated=(repeated_rows(train), len(train)))
        pairs = np.array(found.pairs)
        return found, pictures.profiles(generated[pairs[:, 0]], train[pairs[:, 1]], columns)

    def privacy(self, evidence: TableEvidence, dataset: Dataset, params: EvaluateParams) -> Privacy | None:
        """Labels are told apart as the values of a category are."""
        columns, classes = Table.of(dataset.spec).schema.columns, dataset.spec.classes or ()
        train, held_out, drawn, labels = np.array(dataset.samples["train"]), np.array(dataset.samples["holdout"]), evidence.generated, {}
        if classes and evidence.generated_labels is not None:
            labels = {split: np.array(dataset.labels[split]) for split in ("train", "holdout")}
            columns = (*columns, Column("", "category", "string", classes))
            train, held_out = np.column_stack([train, labels["train"]]), np.column_stack([held_out, labels["holdout"]])
            drawn = np.column_stack([drawn, evidence.generated_labels])
        embed = deviations(train, columns)
        known = labels.get("train"), labels.get("holdout")
        return find_privacy(embed(drawn), embed(train), embed(held_out), classes, *known, seed=params.seed)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Histograms: generated rows over held-out ones, and for comparison training rows over the same."""
        columns = Table.of(dataset.spec).schema.columns
        held_out, train = np.array(dataset.samples["holdout"]), np.array(dataset.samples["train"])
        generated = generator.sample(max(len(train), 1_000), seed=seed, unique=False).samples
        return {"generated": pictures.histograms(held_out, generated, columns), "real": pictures.histograms(held_out, train, columns)}

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

        return TableEvidence(
            Table.of(dataset.spec).schema.columns,
            np.array(dataset.samples["holdout"][held_out]),
            np.array(generated),
            labels_of("holdout", held_out),
            labels,
            np.array(dataset.samples["train"][train]),
            labels_of("train", train),
        )


def deviations(train: NDArray[np.float64], columns: tuple[Column, ...]) -> Embedding:
    """What expresses rows (N, D) in deviations of the training rows, each value of a category as a column of its own: (N, E)."""
    scale = spread(expanded(train, columns))
    scale = np.where(scale > 0, scale, 1.0)
    return lambda rows: expanded(rows, columns) / scale


def repeated_rows(rows: NDArray[np.float64]) -> int:
    """How many rows (N, D) are equal to another one."""
    import pandas as pd  # slow to import

    return int(pd.DataFrame(rows).duplicated(keep=False).sum())
