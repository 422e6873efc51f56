"""Rows of a table against held-out ones.

utility (with a label): what a classifier that was trained on generated rows is worth on held-out real rows, as a share of what one that
was trained on the real rows is worth; the median of three, each on as many generated rows as there are real ones to train on. The
classifier is a logistic regression, its worth the accuracy with each class equally important (`balanced_accuracy`).

detection (without a label): how well a classifier tells generated rows from real ones, 0.5 to 1.

column_distance, correlation_distance: means over columns and pairs of columns. evaluation.json has each column's.

Also there, under real_against_real, is what a perfect generator would get: training rows in the place of generated ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.data.encoding import Encoding
from gan_core.data.schema import Column
from gan_core.errors import DataError, TrainingError
from gan_core.generator import Generator
from gan_core.kinds.table import Table
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.rows import (
    balanced_accuracy,
    classifier_predictions,
    column_distances,
    correlation_distance,
    detection,
    expanded,
    spread,
)
from tasks.params import EvaluateParams
from tasks.scoring.copies import COMPARED, Copies, Embedding, find_copies
from tasks.scoring.scoring import Evidence, Scoring, chosen, rounded

TABLES = 3
"""Tables of generated rows, each as long as the real one, of whose utilities the median counts."""


class TableEvidence(Evidence):
    """Generated and held-out rows with their labels, and what the real rows are worth to a classifier."""

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
        self.real, self.generated = real, generated
        self.real_labels, self.generated_labels = real_labels, generated_labels
        self.n_real, self.n_generated = len(real), len(generated)
        self._real, self._generated = expanded(real, columns), expanded(generated, columns)
        # Bootstraps resample what is tested on; what a classifier of real rows says of it stays the same.
        self._predicted_by_real = (
            None if train_labels is None else classifier_predictions(expanded(train, columns), train_labels, self._real)
        )

    def scores(self) -> dict[str, float]:
        metrics = ["detection"] if self.real_labels is None else ["utility"]
        metrics += ["column_distance", "correlation_distance"]
        everything = np.arange(self.n_real), np.arange(self.n_generated)
        return {metric: self.resampled(metric, *everything) for metric in metrics}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric == "utility":
            return self._utility(real, generated)
        if metric == "detection":
            return detection(self._real[real], self._generated[generated], real, generated)
        if metric == "correlation_distance":
            return correlation_distance(self.real[real], self.generated[generated], self.columns)
        return float(np.mean(list(self._column_distances(real, generated).values())))

    def details(self) -> dict[str, Any]:
        everything = np.arange(self.n_real), np.arange(self.n_generated)
        found: dict[str, Any] = {"column_distances": {name: rounded(value) for name, value in self._column_distances(*everything).items()}}
        if self.real_labels is not None:
            worth = {"trained_on_real": self._accuracy_of_real(everything[0]), "trained_on_generated": self._accuracy(*everything)}
            found["classifier_accuracy"] = {name: rounded(value) for name, value in worth.items()}
        return found

    def _column_distances(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> Mapping[str, float]:
        return column_distances(self.real[real], self.generated[generated], self.columns)

    def _utility(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        # A classifier that gets nothing right would leave nothing to divide by.
        return self._accuracy(real, generated) / max(self._accuracy_of_real(real), 1e-12)

    def _accuracy(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        """On held-out rows, of classifiers that were trained on generated ones: the median."""
        assert self.real_labels is not None  # noqa: S101
        assert self.generated_labels is not None  # noqa: S101
        test, test_labels = self._real[real], self.real_labels[real]
        tables = np.array_split(generated, min(TABLES, len(generated)))
        return float(
            np.median(
                [
                    balanced_accuracy(classifier_predictions(self._generated[part], self.generated_labels[part], test), test_labels)
                    for part in tables
                ]
            )
        )

    def _accuracy_of_real(self, real: NDArray[np.int64]) -> float:
        """The same of a classifier that was trained on the real training rows."""
        assert self.real_labels is not None  # noqa: S101
        assert self._predicted_by_real is not None  # noqa: S101
        return balanced_accuracy(self._predicted_by_real[real], self.real_labels[real])


class TableScoring(Scoring):
    """On at most `evaluate.samples` held-out rows, and three tables of generated rows, each as long as the training split."""

    fewest_of_each = 1

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        self._check_counts({"rows": dataset.spec.counts["holdout"]})
        if not Encoding(Table.of(dataset.spec).schema).width:
            raise DataError("no column of the table ever changes, so there is nothing to learn; name another table, or drop less")
        if dataset.spec.classes is not None:
            missing = set(range(len(dataset.spec.classes))) - set(np.unique(dataset.labels["holdout"]).tolist())
            if missing:
                names = ", ".join(dataset.spec.classes[label] for label in sorted(missing))
                raise DataError(
                    f"no held-out row of {names}, so a classifier cannot be tested on it; a larger data.holdout holds out more, "
                    "and where there is one row, or equal ones alone, add others or leave them out at the source"
                )

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> TableEvidence:
        """The labels asked for are those of training rows, in the same shares."""
        train = chosen(dataset, "train", params.samples, params.seed)
        labels = dataset.labels.get("train")
        asked = None if labels is None or generator.config.classes is None else np.tile(np.array(labels[train]), TABLES)
        drawn = generator.sample(TABLES * len(train), seed=params.seed, labels=asked)
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
        scores = {metric: value for metric, value in evidence.scores().items() if metric != "utility"}
        return {"n_train": len(train), **{metric: rounded(value) for metric, value in scores.items()}}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        columns = Table.of(dataset.spec).schema.columns
        train = np.array(dataset.samples["train"])
        held_out = np.array(dataset.samples["holdout"][chosen(dataset, "holdout", min(COMPARED, params.samples), params.seed)])
        generated = generator.sample(min(COMPARED, params.samples), seed=params.seed).samples
        found = find_copies(generated, held_out, train, (deviations(train, columns),))
        found = replace(found, repeated=(repeated_rows(train), len(train)))
        pairs = np.array(found.pairs)
        return found, pictures.profiles(generated[pairs[:, 0]], train[pairs[:, 1]], columns)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Histograms: generated rows over held-out ones, and for comparison training rows over the same."""
        columns = Table.of(dataset.spec).schema.columns
        held_out, train = np.array(dataset.samples["holdout"]), np.array(dataset.samples["train"])
        generated = generator.sample(max(len(train), 1_000), seed=seed).samples
        return {"generated": pictures.histograms(held_out, generated, columns), "real": pictures.histograms(held_out, train, columns)}

    def _evidence(
        self, dataset: Dataset, generated: NDArray[np.float64], labels: NDArray[np.int64] | None, params: EvaluateParams
    ) -> TableEvidence:
        train = chosen(dataset, "train", params.samples, params.seed)
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
