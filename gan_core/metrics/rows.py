"""Generated rows of a table against real ones: column by column, pair by pair, and by what a classifier learns from them.

Rows are float64 (N, D), numbers as they are, NaN where one is missing, and categories as their index, as `gan_core.kinds.schema`
describes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.schema import Column

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
    return correlation_influences(real, generated, columns)[0]


def relation_distance(real: tuple[Rows, Rows], generated: tuple[Rows, Rows], columns: Sequence[Column], others: Sequence[Column]) -> float:
    """The mean absolute difference, 0 to 2, between the correlations of a column of one table with a column of another, over all pairs.

    Args:
        real: rows (N, D) of the one table, and beside each the row (N, E) of the other that belongs to it.
        generated: the same of generated ones; where there are none, nothing correlates.
        columns: D of them.
        others: E of them; categories and what never changes count as in `correlation_distance`.
    """

    def correlations(rows: Rows, beside: Rows) -> Rows:
        first, second = _standardised(expanded(rows, columns)), _standardised(expanded(beside, others))
        return np.asarray(first.T @ second / len(rows))

    found = [correlations(*side) if len(side[0]) else np.zeros(1) for side in (real, generated)]
    return float(np.abs(found[1] - found[0]).mean())


def correlation_influences(real: Rows, generated: Rows, columns: Sequence[Column]) -> tuple[float, Rows, Rows]:
    """`correlation_distance`, and what each real (N,) and each generated row (M,) moves it by, to first order; of mean 0.

    A row of standardised values z moves the correlation of two columns by z_i z_j - r_ij (z_i^2 + z_j^2) / 2 (Devlin et al., 1975).
    """
    owners = np.repeat(np.arange(len(columns)), [_width(column) for column in columns])
    apart = owners[:, None] != owners[None, :]
    if not apart.any():
        return 0.0, np.zeros(len(real)), np.zeros(len(generated))
    sides = [_standardised(expanded(rows, columns)) for rows in (real, generated)]
    found = [rows.T @ rows / len(rows) for rows in sides]
    difference = np.where(apart, found[1] - found[0], 0.0)
    towards = np.sign(difference) / apart.sum()

    def moved(rows: Rows, correlations: Rows, sign: float) -> Rows:
        return np.asarray(sign * (((rows @ towards) * rows).sum(axis=1) - rows**2 @ (towards * correlations).sum(axis=1)))

    return float(np.abs(difference).sum() / apart.sum()), moved(sides[0], found[0], -1.0), moved(sides[1], found[1], 1.0)


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


def _standardised(rows: Rows) -> Rows:
    """Each column less its mean, in its deviations; 0 where it never changes."""
    std = spread(rows)
    return np.asarray((rows - rows.mean(axis=0)) / np.where(std > 0, std, np.inf))


class Forest:
    """Gradient boosted trees that were fitted on rows: the strong classifier of tables. Deterministic.

    Rows are (N, D) as everywhere here; gaps and categories are taken as such.
    """

    def __init__(self, rows: Rows, labels: Labels, columns: Sequence[Column]) -> None:
        """Fit on rows (N, D) and their labels (N,), 0 upwards, which are to be told."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

        self.present = np.unique(labels)
        trees = max(_FEWEST_TREES, _TREES * 2 // max(2, len(self.present)))
        self._model = HistGradientBoostingClassifier(max_iter=trees, **_tree_settings(rows, columns))
        if len(self.present) > 1:
            self._model.fit(_learnable(rows), labels)

    def probabilities(self, rows: Rows, classes: int) -> Rows:
        """Of each of `classes` (M, classes): 0 for one that it has not seen."""
        found = np.zeros((len(rows), classes))
        found[:, self.present] = self._model.predict_proba(rows) if len(self.present) > 1 else 1.0
        return found


def forest_numbers(rows: Rows, numbers: Rows, columns: Sequence[Column], asked: Rows) -> Rows:
    """What such trees, fitted on rows (N, D) and a number of each (N,), by squared error, say of others (M, D): (M,). Deterministic."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # slow to import

    model = HistGradientBoostingRegressor(max_iter=_TREES, **_tree_settings(rows, columns))
    return np.asarray(model.fit(_learnable(rows), numbers).predict(asked))


def _learnable(rows: Rows) -> Rows:
    """Rows with 0 in each column that holds nothing but gaps, of which scikit-learn makes no bins; no tree asks for it then."""
    return np.where(np.isnan(rows).all(axis=0), 0.0, rows)


def _tree_settings(rows: Rows, columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "min_samples_leaf": min(20, max(2, len(rows) // 20)),
        # More values than a byte has are told by their order.
        "categorical_features": [0 < len(column.categories or ()) <= _MOST_CATEGORIES for column in columns],
        "early_stopping": False,
        "random_state": 0,
    }


_TREES, _FEWEST_TREES = 100, 20
_MOST_CATEGORIES = 255


def area(above: Rows, below: Rows) -> tuple[float, Rows, Rows]:
    """The area under the ROC curve of scores (N,) and (M,), and what each weighs in it: (N,) and (M,), of mean 0.

    The area is the share of pairs in which the one of `above` has the larger score, ties counting half; a sample's weight is the share
    of pairs that it wins, less the area (DeLong et al., 1988).
    """
    from scipy.stats import rankdata

    n, m = len(above), len(below)
    ranks = rankdata(np.concatenate([above, below]))
    won = (ranks[:n] - rankdata(above)) / m
    lost = 1 - (ranks[n:] - rankdata(below)) / n
    mean = float(won.mean())
    return mean, won - mean, lost - lost.mean()


def class_areas(probabilities: Rows, labels: Labels) -> tuple[float, Rows]:
    """The mean over the classes of the area under the ROC curve of one against all others, and each row's weight in it: (N,), of mean 0.

    Args:
        probabilities: (N, K).
        labels: (N,) of each row. Classes that none or all of them have are left out; where that leaves none, the area is 0.5.
    """
    n, areas, weights = len(labels), [], np.zeros(len(labels))
    for label in np.unique(labels):
        own = labels == label
        if own.all():
            continue
        found, of_own, of_others = area(probabilities[own, label], probabilities[~own, label])
        areas.append(found)
        weights[own] += of_own * n / own.sum()
        weights[~own] += of_others * n / (~own).sum()
    return (float(np.mean(areas)), weights / len(areas)) if areas else (0.5, weights)


def explained(told: Rows, numbers: Rows) -> tuple[float, Rows]:
    """R2, the share of the variance of numbers (N,) that what was told of them (N,) explains, and each one's weight in it: (N,), of mean 0.

    1 where all are told exactly, 0 where no better than by their mean, below it where worse. The numbers are not all equal.
    """
    errors, apart = (told - numbers) ** 2, (numbers - numbers.mean()) ** 2
    share = float(errors.mean() / apart.mean())
    return 1 - share, np.asarray((share * (apart - apart.mean()) - (errors - errors.mean())) / apart.mean())
