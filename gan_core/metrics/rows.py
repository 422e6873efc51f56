"""Generated rows of a table against real ones: column by column, pair by pair, and by what a classifier learns from them.

Rows are float64 (N, D), numbers as they are, NaN where one is missing, and categories as their index, as `gan_core.data.schema`
describes them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gan_core.data.schema import Column

_ROUNDING = 1e-12  # of the largest value: as much of a deviation is none

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def column_distances(real: Rows, generated: Rows, columns: Sequence[Column]) -> dict[str, float]:
    """How far each column's values are from the real ones, by its name; 0 where they are alike.

    Numbers: the Wasserstein-1 distance in units of the real ones' standard deviation (of 1, where they are all equal), and the difference
    in the shares of gaps. Categories: the total variation distance, 0 to 1.
    """
    return {column.name: _column_distance(real[:, i], generated[:, i], column) for i, column in enumerate(columns)}


def _column_distance(real: Rows, generated: Rows, column: Column) -> float:
    if column.categories is not None:
        return shares_distance(real.astype(np.int64), generated.astype(np.int64), len(column.categories))
    from scipy.stats import wasserstein_distance  # half a second, which no other kind of data need wait for

    gaps = [np.isnan(values) for values in (real, generated)]
    apart = abs(float(gaps[0].mean()) - float(gaps[1].mean()))
    real, generated = real[~gaps[0]], generated[~gaps[1]]
    if not len(real) or not len(generated):
        return apart
    return apart + float(wasserstein_distance(real, generated)) / (float(spread(real)) or 1.0)


def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation over the first axis; 0 where what differs is less than rounding leaves of equal values (`np.full(9, 0.1)`)."""
    std = values.std(axis=0)
    return np.asarray(np.where(std > _ROUNDING * np.abs(values).max(axis=0), std, 0.0))


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
    """Rows with a column of 0 and 1 for each value of each category, and one for the gaps of a number that has any: (N, E).

    The gap itself counts as a value in the column's midst.
    """
    return np.concatenate([_expanded(rows[:, [i]], column) for i, column in enumerate(columns)], axis=1)


def _expanded(values: Rows, column: Column) -> Rows:
    if column.categories is not None:
        return np.asarray(values == np.arange(len(column.categories)), dtype=np.float64)
    if not column.missing:
        return values
    gaps = np.isnan(values)
    return np.concatenate([np.where(gaps, column.centre, values), gaps.astype(np.float64)], axis=1, dtype=np.float64)


def _width(column: Column) -> int:
    return 1 + (column.missing > 0) if column.categories is None else len(column.categories)


def _correlations(rows: Rows) -> Rows:
    mean, std = _moments(rows)
    scaled = (rows - mean) / (std * math.sqrt(len(rows)))
    scaled[:, spread(rows) == 0] = 0.0
    return np.asarray(scaled.T @ scaled)


def classifier_predictions(rows: Rows, labels: Labels, test_rows: Rows) -> Labels:
    """The classes (M,) that a logistic regression, fitted on expanded and standardised rows, gives to test rows.

    Deterministic; a few milliseconds for a few hundred rows, as bootstraps need.

    Args:
        rows: expanded, (N, E).
        labels: (N,) class of each; where they are all of one class, so is every prediction.
        test_rows: expanded, (M, E).
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        return np.full(len(test_rows), labels[0])
    mean, std = _moments(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, or separable: the classifier at hand is judged, whatever became of it
        fitted = LogisticRegression(solver="newton-cholesky", max_iter=50).fit((rows - mean) / std, labels)
        return np.asarray(fitted.predict((test_rows - mean) / std))


def balanced_accuracy(predicted: Labels, labels: Labels) -> float:
    """The mean over the classes of the share of their rows that is predicted right: always naming one class is worth 1 / classes."""
    right = predicted == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def detection(real: Rows, generated: Rows, real_indices: Labels, generated_indices: Labels) -> float:
    """How well a classifier tells real rows from generated ones that it has not seen: the area under its ROC curve.

    0.5 where it cannot; 1 where it always can. Least squares with a ridge on the standardised columns, their squares and their
    products, both sides counting alike, in two folds. Which fold a row is in depends on its index, so that copies of one row in a
    resample are never on both sides.

    Args:
        real: expanded, (N, E).
        generated: expanded, (M, E).
        real_indices: (N,) of what sample each is.
        generated_indices: (M,).
    """
    rows = _with_products(np.concatenate([real, generated]))
    is_real = np.repeat([True, False], [len(real), len(generated)])
    fold = np.concatenate([real_indices, generated_indices]) % 2
    areas = []
    for tested in (0, 1):
        learnt, judged = fold != tested, fold == tested
        if not (is_real[learnt].any() and is_real[judged].any() and (~is_real[learnt]).any() and (~is_real[judged]).any()):
            continue
        mean, std = _moments(rows[learnt])
        scaled = (rows - mean) / std
        scores = scaled[judged] @ _discriminant(scaled[learnt], is_real[learnt])
        areas.append(_area(scores[is_real[judged]], scores[~is_real[judged]]))
    return float(np.mean(areas)) if areas else 0.5


_MOST_PRODUCTS = 20  # columns whose products are looked at
_RIDGE = 0.05


def _with_products(rows: Rows) -> Rows:
    mean, std = _moments(rows)
    scaled = (rows - mean) / std
    first, second = np.triu_indices(min(rows.shape[1], _MOST_PRODUCTS))
    return np.concatenate([scaled, scaled[:, first] * scaled[:, second], scaled[:, _MOST_PRODUCTS:] ** 2], axis=1)


def _discriminant(rows: Rows, is_real: NDArray[np.bool_]) -> Rows:
    """The direction (E,) along which real and generated rows, each half of the weight, differ most for their spread."""
    weights = np.where(is_real, 0.5 / is_real.sum(), 0.5 / (~is_real).sum())
    weighted = rows * weights[:, None]
    target = np.where(is_real, 1.0, -1.0)
    return np.linalg.solve(weighted.T @ rows + _RIDGE * np.eye(rows.shape[1]), weighted.T @ target)


def _area(above: Rows, below: Rows) -> float:
    """The share of pairs in which the one of `above` has the larger score, ties counting half: the area under the ROC curve."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([above, below]))[: len(above)].sum()
    return float((ranks - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def _moments(rows: Rows) -> tuple[Rows, Rows]:
    """Mean and deviation of each column, the deviation of what never changes as 1."""
    std = spread(rows)
    return rows.mean(axis=0), np.where(std > 0, std, 1.0)
