"""Distances and classifiers on tables whose answers are known, and against scipy and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted_table
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from gan_core.kinds.schema import Column
from gan_core.metrics.rows import (
    Forest,
    area,
    class_areas,
    column_distances,
    correlation_distance,
    correlation_influences,
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

    def test_what_a_row_moves_it_by_against_the_jackknife(self) -> None:
        """Without a row, the distance is less by about what the row moves it by, over the number of rows."""
        columns = (*NUMBERS, COLOUR)
        random = np.random.default_rng(0)
        real, generated = (np.column_stack([normal(80, r, seed=s), random.integers(0, 3, 80)]) for r, s in ((0.8, 1), (-0.2, 2)))
        found, of_real, of_generated = correlation_influences(real, generated, columns)
        without = [
            [
                correlation_distance(np.delete(real, i, 0), generated, columns),
                correlation_distance(real, np.delete(generated, i, 0), columns),
            ]
            for i in range(80)
        ]
        moved = 79 * (found - np.array(without))
        for each, expected in zip((of_real, of_generated), moved.T, strict=True):
            assert each.mean() == pytest.approx(0, abs=1e-12)
            assert np.corrcoef(each, expected)[0, 1] > 0.95
            assert each.std() == pytest.approx(expected.std(), rel=0.15)

    def test_a_single_column_has_none(self) -> None:
        assert correlation_distance(normal(10)[:, :1], normal(10)[:, :1], NUMBERS[:1]) == 0


class TestTrees:
    def test_tell_classes_apart_and_name_none_that_they_have_not_seen(self) -> None:
        values, labels = planted_table.rows(300)
        found = Forest(values[:200], labels[:200], planted_table.COLUMNS).probabilities(values[200:], 3)
        assert found.shape == (100, 3)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert (found.argmax(axis=1) == labels[200:]).mean() > 0.97
        assert (found[:, 2] == 0).all()

    def test_rows_of_one_class_teach_nothing(self) -> None:
        found = Forest(np.zeros((90, 2)), np.full(90, 2), NUMBERS).probabilities(np.zeros((5, 2)), 3)
        np.testing.assert_array_equal(found, [[0, 0, 1]] * 5)

    def test_a_category_is_no_number(self) -> None:
        """Every other of twenty categories: no order of theirs tells the classes apart in a split or two."""
        column = Column("place", "category", "string", tuple(map(str, range(20))))
        values = np.random.default_rng(0).integers(0, 20, (400, 1)).astype(np.float64)
        labels = (values[:, 0] % 2).astype(np.int64)
        told = Forest(values[:300], labels[:300], (column,)).probabilities(values[300:], 2).argmax(axis=1)
        assert (told == labels[300:]).all()

    def test_a_column_that_held_nothing_but_gaps_is_not_asked_for(self) -> None:
        values = np.random.default_rng(0).normal(size=(200, 2))
        labels = (values[:, 0] > 0).astype(np.int64)
        gaps = np.column_stack([values[:, 0], np.full(200, np.nan)])
        found = [Forest(rows, labels, NUMBERS).probabilities(values, 2) for rows in (gaps, values * [1, 0])]
        np.testing.assert_array_equal(*found)

    def test_gaps_are_taken_as_such(self) -> None:
        values = np.where(np.arange(400)[:, None] % 2, np.nan, normal(400)[:, :1])
        told = Forest(values, np.arange(400) % 2, NUMBERS[:1]).probabilities(values, 2).argmax(axis=1)
        np.testing.assert_array_equal(told, np.arange(400) % 2)


class TestAreas:
    def test_against_scikit_learn(self) -> None:
        draw = np.random.default_rng(0)
        above, below = np.round(draw.normal(0.7, 1, 60), 1), np.round(draw.normal(0, 1, 90), 1)  # with ties
        found, of_above, of_below = area(above, below)
        assert found == pytest.approx(roc_auc_score(np.repeat([1, 0], [60, 90]), np.concatenate([above, below])))
        assert (of_above.mean(), of_below.mean()) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))

    def test_a_weight_is_the_derivative_by_a_samples_share(self) -> None:
        draw = np.random.default_rng(0)
        above, below = np.round(draw.normal(0.7, 1, 20), 1), np.round(draw.normal(0, 1, 30), 1)
        found, of_above, of_below = area(above, below)
        truth, values = np.repeat([1, 0], [20, 30]), np.concatenate([above, below])
        for sample in (0, 7, 33):
            weights = np.repeat([1 / 20, 1 / 30], [20, 30]) * (1 - 1e-4 * np.repeat([sample < 20, sample >= 20], [20, 30]))
            weights[sample] += 1e-4
            moved = roc_auc_score(truth, values, sample_weight=weights)
            assert np.concatenate([of_above, of_below])[sample] == pytest.approx((moved - found) / 1e-4, abs=1e-3)

    def test_its_spread_is_that_of_newly_drawn_samples(self) -> None:
        draw = np.random.default_rng(0)
        anew = [area(draw.normal(0.5, 1, 60), draw.normal(0, 1, 80))[0] for _ in range(500)]
        told = []
        for _ in range(20):
            _, of_above, of_below = area(draw.normal(0.5, 1, 60), draw.normal(0, 1, 80))
            told.append(np.hypot(of_above.std() / np.sqrt(60), of_below.std() / np.sqrt(80)))
        assert np.mean(told) == pytest.approx(np.std(anew), rel=0.12)

    def test_of_classes_against_scikit_learn(self) -> None:
        draw = np.random.default_rng(0)
        probabilities, labels = draw.dirichlet(np.ones(3), 200), draw.choice(3, 200, p=[0.8, 0.15, 0.05])
        found, weights = class_areas(probabilities, labels)
        assert found == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
        assert weights.mean() == pytest.approx(0, abs=1e-12)
        assert class_areas(probabilities, np.zeros(200, dtype=np.int64))[0] == 0.5
