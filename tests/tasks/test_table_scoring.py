"""Two generators of rows compared: which faults the deciding rule of tables sees, and what it says of equals."""

from __future__ import annotations

import numpy as np
import pytest
from planted_children import planted

from benchmarks.table_ladder import FAULTS, Fault, evidence_of, flipped, mixed, numbers, outcome, shuffled
from gan_core.metrics.bootstrap import Draws
from tasks import kinds
from tasks.promotion.comparison import compare
from tasks.scoring.table import Said, TableEvidence

RULE = ("detection", *kinds.of("table").beside)


@pytest.mark.parametrize(
    "fault",
    ["all rows shuffled within their class", "30 % of the rows repeat 20 rows", "all columns independent of each other and the class"],
)
def test_real_rows_are_promoted_over_rows_with_a_fault_and_not_the_other_way(fault: str) -> None:
    real, spoiled = evidence_of(mixed(), [], 0, 0), evidence_of(mixed(), [FAULTS[fault]], 0, 1)
    assert outcome(real, spoiled, RULE, 200) == "promoted"
    assert outcome(spoiled, real, RULE, 200) == "kept: worse"


def test_shuffled_columns_that_utility_takes_for_real_are_seen() -> None:
    """What a classifier learns of each column by itself is as good as ever: the rows are not."""
    fault: Fault = shuffled(1.0, only=1)
    real, spoiled = evidence_of(mixed(), [], 1, 0), evidence_of(mixed(), [fault], 1, 1)
    assert spoiled.scores()["utility"] > real.scores()["utility"] - 0.03
    assert outcome(real, spoiled, RULE, 200) == "promoted"


def test_of_two_that_are_easily_detected_the_one_with_wrong_labels_too_is_worse() -> None:
    """Trees tell both from real rows at a glance, and nearly as well the one as the other: relations between columns still differ."""
    shuffled_rows, wrong = (evidence_of(numbers(), [shuffled(1.0), *more], 0, rung) for rung, more in enumerate(([], [flipped(0.2)])))
    assert outcome(shuffled_rows, wrong, ("detection", "utility"), 300) == "kept: inconclusive"
    assert outcome(shuffled_rows, wrong, RULE, 300) == "promoted"
    assert outcome(wrong, shuffled_rows, RULE, 300) == "kept: worse"


def test_two_that_draw_real_rows_are_equal() -> None:
    one, other = (evidence_of(mixed(), [], 0, rung) for rung in (0, 1))
    assert outcome(one, other, RULE, 200) == "kept: inconclusive"


@pytest.mark.parametrize("metric", ["detection", "utility", "column_distance", "correlation_distance"])
def test_replicates_lie_around_the_difference(metric: str) -> None:
    one, other = evidence_of(mixed(), [], 0, 0), evidence_of(mixed(), [shuffled(1.0)], 0, 1)
    assert_around_the_difference(one, other, metric)


@pytest.mark.parametrize("metric", ["children_distance", "relation_distance"])
def test_so_they_do_of_two_tables(metric: str) -> None:
    schema, rows, _, _ = planted()
    train, real, sound = rows[:150], rows[150:250], rows[250:]
    strangers = np.column_stack([np.roll(sound[:, 0], 1), sound[:, 1:]])  # the children of others
    fewer = np.resize(strangers[strangers[:, 1] < 3], strangers.shape)
    one, other = (TableEvidence(schema, real, generated, None, None, train, None) for generated in (sound, fewer))
    assert_around_the_difference(one, other, metric)


def assert_around_the_difference(one: TableEvidence, other: TableEvidence, metric: str) -> None:
    found = compare(one, other, metric, 100, 0.9, 0)
    assert found.difference == pytest.approx(one.scores()[metric] - other.scores()[metric], rel=1e-5)
    low, high = found.interval
    assert low < found.difference < high
    assert np.isfinite([low, high, found.deviation]).all()


class TestSaid:
    """Trees fitted on three tables, of which each weighs 200 held-out rows partly in a way of its own; the truth is 0.9."""

    def drawn(self, seed: int, of_fit: float) -> Said:
        random = np.random.default_rng(seed)
        weights = random.normal(size=200) + random.normal(size=(3, 200))
        areas = 0.9 + weights.mean(axis=1) + random.normal(0, of_fit, 3)
        return Said(areas, weights - weights.mean(axis=1, keepdims=True), np.zeros((3, 200)))

    def missed(self, of_fit: float) -> float:
        """How often the middle 95 % of the differences of two that are equal lie on one side."""
        draws, found = Draws(200, 400, 0), []
        for seed in range(0, 600, 2):
            one, other = (self.drawn(number, of_fit).replicates(draws, draws) for number in (seed, seed + 1))
            found.append(abs(np.mean(one > other) - 0.5) > 0.475)
        return float(np.mean(found))

    @pytest.mark.parametrize("of_fit", [0.0, 0.1, 0.5])
    def test_equals_are_told_apart_as_seldom_as_is_said(self, of_fit: float) -> None:
        assert 0.005 < self.missed(of_fit) < 0.085

    def test_as_they_are_not_where_the_fit_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Said, "deviation_of_fit", 0.0)
        assert self.missed(0.5) > 0.25

    def test_one_table_tells_nothing_of_the_fit(self) -> None:
        assert Said(np.array([0.7]), np.zeros((1, 5)), np.zeros((1, 9))).deviation_of_fit == 0
