"""Generated rows of a table against real ones: column by column, pair by pair, and by what a classifier learns from them.

Rows are float64 (N, D), numbers as they are and categories as their index, as `gan_core.data.schema` describes them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from gan_core.data.schema import Column

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def column_distances(real: Rows, generated: Rows, columns: Sequence[Column]) -> dict[str, float]:
    """How far each column's values are from the real ones, by its name; 0 where they are alike.

    Numbers: the Wasserstein-1 distance in units of the real ones' standard deviation (of 1, where they are all equal). Categories:
    the total variation distance, 0 to 1.
    """
    return {column.name: _column_distance(real[:, i], generated[:, i], column) for i, column in enumerate(columns)}


def _column_distance(real: Rows, generated: Rows, column: Column) -> float:
    if column.categories is not None:
        return shares_distance(real.astype(np.int64), generated.astype(np.int64), len(column.categories))
    return float(wasserstein_distance(real, generated)) / (float(real.std()) or 1.0)


def shares_distance(real: Labels, generated: Labels, count: int) -> float:
    """The total variation distance, 0 to 1, between the shares of `count` categories, whose indices are given."""
    shares = [np.bincount(values, minlength=count) / len(values) for values in (real, generated)]
    return 0.5 * float(np.abs(shares[0] - shares[1]).sum())


def correlation_distance(real: Rows, generated: Rows, columns: Sequence[Column]) -> float:
    """The mean absolute difference between the two correlation matrices, 0 to 2, over all pairs of different columns.

    A category stands for itself as one column of 0 and 1 for each of its values, whose correlations with each other are left out. What
    never changes correlates with nothing. 0 where there are no pairs.
    """
    owners = np.repeat(np.arange(len(columns)), [_width(column) for column in columns])
    difference = np.abs(_correlations(expanded(real, columns)) - _correlations(expanded(generated, columns)))
    pairs = owners[:, None] < owners[None, :]
    return float(difference[pairs].mean()) if pairs.any() else 0.0


def expanded(rows: Rows, columns: Sequence[Column]) -> Rows:
    """Rows with a column of 0 and 1 for each value of each category: (N, E)."""
    parts = [
        rows[:, [i]] if column.categories is None else (rows[:, [i]] == np.arange(len(column.categories))).astype(np.float64)
        for i, column in enumerate(columns)
    ]
    return np.concatenate(parts, axis=1)


def _width(column: Column) -> int:
    return 1 if column.categories is None else len(column.categories)


def _correlations(rows: Rows) -> Rows:
    centred = rows - rows.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(norms > 0, norms, 1.0)
    return np.asarray(scaled.T @ scaled)


def classifier_accuracy(rows: Rows, labels: Labels, test_rows: Rows, test_labels: Labels) -> float:
    """Of a logistic regression fitted on expanded, standardised rows: its accuracy on test rows, a class as important as another.

    The mean over the classes of the share of their test rows that it gets right, so that always naming the most frequent class is worth
    1 / classes. Deterministic; a few milliseconds for a few hundred rows, as bootstraps need.

    Args:
        rows: expanded, (N, E).
        labels: (N,) class of each.
        test_rows: expanded, (M, E).
        test_labels: (M,).
    """
    from sklearn.linear_model import LogisticRegression

    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    if len(np.unique(labels)) < 2:
        predicted = np.full(len(test_rows), labels[0])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged, or separable: the classifier at hand is judged, whatever became of it
            fitted = LogisticRegression(solver="newton-cholesky", max_iter=50).fit((rows - mean) / std, labels)
            predicted = fitted.predict((test_rows - mean) / std)
    right = predicted == test_labels
    return float(np.mean([right[test_labels == label].mean() for label in np.unique(test_labels)]))


def detection(real: Rows, generated: Rows, real_indices: Labels, generated_indices: Labels) -> float:
    """How well a classifier tells real rows from generated ones that it has not seen: the area under its ROC curve.

    0.5 where it cannot; 1 where it always can. A logistic regression on the standardised columns, their squares and their products,
    in two folds. Which fold a row is in depends on its index, so that copies of one row in a resample are never on both sides.

    Args:
        real: expanded, (N, E).
        generated: expanded, (M, E).
        real_indices: (N,) of what sample each is.
        generated_indices: (M,).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    rows = _with_products(np.concatenate([real, generated]))
    is_real = np.repeat([1, 0], [len(real), len(generated)])
    fold = np.concatenate([real_indices, generated_indices]) % 2
    areas = []
    for tested in (0, 1):
        learnt, judged = fold != tested, fold == tested
        if len(np.unique(is_real[learnt])) < 2 or len(np.unique(is_real[judged])) < 2:
            continue
        mean, std = rows[learnt].mean(axis=0), rows[learnt].std(axis=0)
        scaled = (rows - mean) / np.where(std > 0, std, 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = LogisticRegression(C=0.1, class_weight="balanced", max_iter=100).fit(scaled[learnt], is_real[learnt])
        areas.append(roc_auc_score(is_real[judged], fitted.decision_function(scaled[judged])))
    return float(np.mean(areas)) if areas else 0.5


_MOST_PRODUCTS = 40  # columns whose products are looked at


def _with_products(rows: Rows) -> Rows:
    std = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0)) / np.where(std > 0, std, 1.0)
    first, second = np.triu_indices(min(rows.shape[1], _MOST_PRODUCTS))
    return np.concatenate([scaled, scaled[:, first] * scaled[:, second]], axis=1)
