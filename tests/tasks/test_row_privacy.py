"""What generated rows tell of those that were trained on: memorised rows are vetoed, and real rows that nobody was trained on pass."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.table_ladder import mixed
from gan_core.data.dataset import Dataset
from gan_core.kinds.schema import Schema
from gan_core.kinds.table import Table
from gan_core.metrics.rows import area
from tasks.params import EvaluateParams, RegisterParams
from tasks.promotion.gate import Measured, Record, decide
from tasks.scoring.copies import find_copies
from tasks.scoring.privacy import Advantage, Privacy, area_interval, find_privacy, in_words
from tasks.scoring.table import TableEvidence, TableScoring, deviations

COLUMNS, DRAW = mixed()
CLASSES = ("common", "other", "rare")


def rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return DRAW(count, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("mixed")
    folder.joinpath("ready").mkdir()
    parts = {"train": rows(900, 0), "holdout": rows(600, 1)}
    samples, labels = ({split: part[i] for split, part in parts.items()} for i in (0, 1))
    Table.pack(folder / "ready", samples, Schema(COLUMNS, "label"), labels, CLASSES)
    return Dataset.open(folder / "ready")


def told(dataset: Dataset, generated: np.ndarray, labels: np.ndarray) -> Privacy:
    train, held_out = (np.array(dataset.samples[split]) for split in ("train", "holdout"))
    evidence = TableEvidence(
        Schema(COLUMNS, "label"), held_out, generated, dataset.labels["holdout"], labels, train, dataset.labels["train"]
    )
    found = TableScoring().privacy(evidence, dataset, EvaluateParams())
    assert found is not None
    return found


def outcome(found: Privacy) -> str:
    """The gate's, of a generator whose rows are faultless otherwise."""
    record = json.loads(json.dumps(found.as_record()))
    return decide(Record(Measured.of({"detection": 0.5, **found.scores()}, record)), RegisterParams(), "table").outcome


def test_rows_of_other_people_tell_nothing(dataset: Dataset) -> None:
    found = told(dataset, *rows(1_800, 2))
    low, high = found.membership.interval
    assert low < 0 < high
    assert set(found.of_classes) == set(CLASSES)
    assert abs(found.closer.value) < 0.1
    assert outcome(found) == "first"


def test_held_out_rows_pass_in_the_place_of_generated_ones(dataset: Dataset) -> None:
    held_out, labels = np.array(dataset.samples["holdout"]), np.array(dataset.labels["holdout"])
    every = np.arange(len(held_out)) % 2 == 0
    found = find_privacy(
        *(deviations(dataset.samples["train"], COLUMNS)(part) for part in (held_out[every], dataset.samples["train"], held_out[~every])),
        CLASSES, dataset.labels["train"], labels[~every],
    )  # fmt: skip
    assert found is not None
    assert outcome(found) == "first"


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_training_rows_are_vetoed(dataset: Dataset, share: float) -> None:
    generated, labels = rows(1_800, 3)
    copied = np.random.default_rng(0).integers(0, 900, int(share * len(generated)))
    generated[: len(copied)], labels[: len(copied)] = dataset.samples["train"][copied], dataset.labels["train"][copied]
    assert outcome(told(dataset, generated, labels)).startswith("vetoed: membership 0.")


def test_rows_memorised_less_exactly_are_vetoed_where_no_copy_is_near(dataset: Dataset) -> None:
    train, labels = np.array(dataset.samples["train"]), np.array(dataset.labels["train"])
    chosen = np.random.default_rng(0).integers(0, 900, 1_800)
    generated, numbers = train[chosen], [column.categories is None for column in COLUMNS]
    generated[:, numbers] += 0.4 * generated[:, numbers].std(axis=0) * np.random.default_rng(1).normal(size=(1_800, sum(numbers)))
    copies = find_copies(generated[:600], np.array(dataset.samples["holdout"]), train, (deviations(train, COLUMNS),))
    found = told(dataset, generated, labels[chosen])
    assert copies.share < 0.3 * found.membership.value
    assert outcome(found).startswith("vetoed: membership 0.")


def test_a_memorised_rare_class_shows_by_itself(dataset: Dataset) -> None:
    generated, labels = rows(1_800, 4)
    rare = np.flatnonzero(dataset.labels["train"] == 2)
    at = np.flatnonzero(labels == 2)
    generated[at] = dataset.samples["train"][rare[np.arange(len(at)) % len(rare)]]
    found = told(dataset, generated, labels)
    assert found.worst == "rare"
    assert found.scores()["membership"] < 0.1 < found.scores()["class_membership"]
    assert outcome(found).startswith("vetoed: class_membership ")


def test_the_interval_holds_what_it_says() -> None:
    """Of two deviates that differ by 0.5, the area is 0.638; few samples, and none that are told apart, have intervals, too."""
    random, truth = np.random.default_rng(0), 0.6382
    held = []
    for _ in range(400):
        low, high = area_interval(area(random.normal(size=60) + 0.5, random.normal(size=25))[0], 60, 25, 0.95)
        held.append(low <= truth <= high)
    assert 0.92 <= np.mean(held) <= 0.985
    low, high = area_interval(1.0, 20, 2, 0.95)
    assert (low < 0.6, high) == (True, 1.0)
    assert Advantage.of(np.zeros(5), np.zeros(5)).value == 0


def test_few_different_rows_are_not_looked_at() -> None:
    few = np.repeat(np.eye(4), 20, axis=0)
    assert find_privacy(few, few, few) is None
    assert in_words({}) == []


def test_it_is_said_in_words(dataset: Dataset) -> None:
    said = in_words(told(dataset, *rows(1_800, 2)).as_record())
    assert len(said) == 3
    assert said[0].startswith(
        "Who guesses from the generated rows which of 900 training and 600 held-out rows were trained on has an advantage"
    )
    assert "closest training row" in said[2]
