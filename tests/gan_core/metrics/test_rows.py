"""Distances and classifiers on tables whose answers are known, and against scipy and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted_table
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from gan_core.data.schema import Column
from gan_core.metrics.rows import (
    balanced_accuracy,
    classifier_predictions,
    column_distances,
    correlation_distance,
    detection,
    expanded,
    spread,
)

NUMBERS = (Column("a", "number", "float64"), Column("b", "number", "float64"))
COLOUR = Column("colour", "category", "string", ("blue", "green", "red"))


def normal(count: int, correlation: float = 0.0, seed: int = 0) -> np.ndarray:
    covariance = [[1, correlation], [correlation, 1]]
    return np.random.default_rng(seed).multivariate_normal([0, 0], covariance, count)


class TestColumns:
    def test_a_shift_is_its_size_in_deviations(self) -> None:
        real = normal(500)
        found = column_distances(real, real + np.array([3.0, 0.0]), NUMBERS)
        assert found == {"a": pytest.approx(3.0 / real[:, 0].std()), "b": pytest.approx(0, abs=1e-12)}

    def test_numbers_against_scipy(self) -> None:
        real, generated = normal(300), 2 * normal(170, seed=1) ** 3
        expected = stats.wasserstein_distance(real[:, 1], generated[:, 1]) / real[:, 1].std()
        assert column_distances(real, generated, NUMBERS)["b"] == pytest.approx(expected)

    def test_categories_by_hand(self) -> None:
        """Shares 0.5, 0.5, 0 against 0.25, 0.25, 0.5: half of 0.25 + 0.25 + 0.5."""
        real, generated = np.array([[0.0], [1.0]]), np.array([[0.0], [1.0], [2.0], [2.0]])
        assert column_distances(real, generated, (COLOUR,)) == {"colour": 0.5}

    def test_a_constant_column_counts_in_its_own_units(self) -> None:
        real = np.full((10, 1), 7.0)
        assert column_distances(real, real, NUMBERS[:1]) == {"a": 0.0}
        assert column_distances(real, real + 2, NUMBERS[:1]) == {"a": 2.0}

    @pytest.mark.parametrize("count", [9, 60, 1_000])
    def test_what_rounding_leaves_of_a_constant_is_no_unit(self, count: int) -> None:
        real = np.full((count, 1), 0.1)
        assert count == 9 or real.std() > 0
        assert spread(real).tolist() == [0.0]
        generated = np.where(np.arange(600) < 3, 0.3, 0.1)[:, None]
        assert column_distances(real, generated, NUMBERS[:1]) == {"a": pytest.approx(0.001)}
        assert correlation_distance(np.hstack([real, real]), np.hstack([real, real]), NUMBERS) == 0

    def test_gaps_count_by_their_share(self) -> None:
        real = normal(400)[:, :1]
        gapped = np.where(np.arange(400)[:, None] % 4 == 0, np.nan, real)
        column = replace(NUMBERS[0], missing=0.25)
        assert column_distances(gapped, gapped, (column,)) == {"a": 0.0}
        beside = stats.wasserstein_distance(gapped[np.isfinite(gapped)], real[:, 0]) / np.nanstd(gapped)
        assert column_distances(gapped, real, (column,)) == {"a": pytest.approx(0.25 + beside)}
        assert column_distances(gapped, np.full((9, 1), np.nan), (column,)) == {"a": 0.75}


class TestCorrelations:
    def test_a_gap_is_a_column_of_its_own(self) -> None:
        column = Column("a", "number", "float64", low=0.0, high=9.0, spikes=(4.0,), missing=0.5)
        assert expanded(np.array([[1.0], [np.nan]]), (column,)).tolist() == [[1.0, 0.0], [4.0, 1.0]]

    def test_of_two_numbers_against_numpy(self) -> None:
        real, generated = normal(400, 0.9), normal(300, -0.3, seed=1)
        expected = abs(np.corrcoef(real.T)[0, 1] - np.corrcoef(generated.T)[0, 1])
        assert correlation_distance(real, generated, NUMBERS) == pytest.approx(expected)

    def test_categories_stand_as_a_column_a_value(self) -> None:
        values, _ = planted_table.rows(300)
        other, _ = planted_table.rows(300, seed=1)
        wide = expanded(values, planted_table.COLUMNS)
        assert wide.shape == (300, 3 + 3 + 3)
        assert (wide[:, 3:6].sum(axis=1) == 1).all()
        with np.errstate(invalid="ignore"):
            difference = np.abs(np.corrcoef(wide.T) - np.corrcoef(expanded(other, planted_table.COLUMNS).T))
        owners = [0, 1, 2, 3, 3, 3, 4, 4, 4]
        # The constant correlates with nothing, where numpy has 0 / 0.
        pairs = [np.nan_to_num(difference[i, j]) for i in range(9) for j in range(9) if owners[i] < owners[j]]
        assert correlation_distance(values, other, planted_table.COLUMNS) == pytest.approx(np.mean(pairs))

    def test_a_single_column_has_none(self) -> None:
        assert correlation_distance(normal(10)[:, :1], normal(10)[:, :1], NUMBERS[:1]) == 0


class TestClassifier:
    def test_against_scikit_learn(self) -> None:
        values, labels = planted_table.rows(300)
        noisy = expanded(values, planted_table.COLUMNS) + np.random.default_rng(0).normal(0, 8, (300, 9))
        train, test = slice(200), slice(200, None)
        scaler = StandardScaler().fit(noisy[train])
        reference = LogisticRegression(max_iter=1_000).fit(scaler.transform(noisy[train]), labels[train])
        expected = balanced_accuracy_score(labels[test], reference.predict(scaler.transform(noisy[test])))
        assert 0.6 < expected < 0.99
        found = balanced_accuracy(classifier_predictions(noisy[train], labels[train], noisy[test]), labels[test])
        assert found == pytest.approx(expected, abs=0.021)  # a row at the border

    def test_accuracy_against_scikit_learn(self) -> None:
        draw = np.random.default_rng(0)
        predicted, labels = draw.integers(0, 3, 200), draw.choice(3, 200, p=[0.8, 0.15, 0.05])
        assert balanced_accuracy(predicted, labels) == pytest.approx(balanced_accuracy_score(labels, predicted))

    def test_rows_of_one_class_or_without_any_difference_teach_nothing(self) -> None:
        values, labels = np.zeros((90, 2)), np.repeat([0, 1, 2], [80, 5, 5])
        assert balanced_accuracy(classifier_predictions(values, labels, values), labels) == pytest.approx(1 / 3)
        assert (classifier_predictions(values, np.full(90, 2), values) == 2).all()


class TestDetection:
    def test_equal_distributions_cannot_be_told_apart(self) -> None:
        real, generated = normal(600, 0.5), normal(600, 0.5, seed=1)
        assert detection(real, generated, np.arange(600), np.arange(600)) == pytest.approx(0.5, abs=0.05)

    @pytest.mark.parametrize("generated", [normal(400, 0.9, seed=1) + 1, normal(400, seed=1), 2 * normal(400, 0.9, seed=1)])
    def test_a_shift_a_lost_correlation_and_a_wrong_deviation_show(self, generated: np.ndarray) -> None:
        assert detection(normal(400, 0.9), generated, np.arange(400), np.arange(400)) > 0.7

    def test_copies_of_a_row_are_never_on_both_sides(self) -> None:
        """Of 60 rows drawn 600 times, a classifier that met a row's copies would know it; one that did not, cannot."""
        draw = np.random.default_rng(0)
        real, generated = draw.normal(size=(60, 14)), draw.normal(size=(60, 14))
        chosen = draw.integers(0, 60, 600), draw.integers(0, 60, 600)
        honest = detection(real[chosen[0]], generated[chosen[1]], *chosen)
        assert honest < 0.75
        assert detection(real[chosen[0]], generated[chosen[1]], np.arange(600), np.arange(600)) > 0.9

    def test_too_few_rows_tell_nothing(self) -> None:
        assert detection(np.ones((1, 2)), np.zeros((1, 2)), np.array([0]), np.array([0])) == 0.5
