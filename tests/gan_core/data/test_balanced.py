"""Rows of rare classes that are shown more often: how often, in which order, and what a generator learns of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gan_core.data.dataset import Dataset
from gan_core.data.shuffle import Balanced, Shuffle
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.params import TabularParams
from gan_core.training import identity, train

LABELS = np.repeat([0, 1, 2], [900, 90, 9])


@pytest.mark.parametrize(("balance", "times"), [(0.0, (1, 1, 1)), (0.5, (1, 3, 10)), (1.0, (1, 10, 100))])
def test_an_epoch_shows_each_sample_as_often_as_its_class_is_rare(balance: float, times: tuple[int, int, int]) -> None:
    order = Balanced(LABELS, balance, seed=3)
    length = int(np.dot(times, [900, 90, 9]))
    shown = np.bincount(order.indices(0, length), minlength=999)
    np.testing.assert_array_equal(shown, np.array(times)[LABELS])
    np.testing.assert_array_equal(np.bincount(order.indices(length, length), minlength=999), shown)
    assert order.count == 999


def test_the_order_is_a_function_of_the_seed_and_of_what_was_seen() -> None:
    whole = Balanced(LABELS, 0.5, seed=3).indices(0, 3_000)
    pieces = Balanced(LABELS, 0.5, seed=3)
    np.testing.assert_array_equal(np.concatenate([pieces.indices(start, 300) for start in range(0, 3_000, 300)]), whole)
    assert not np.array_equal(Balanced(LABELS, 0.5, seed=4).indices(0, 3_000), whole)
    np.testing.assert_array_equal(Balanced(LABELS, 0.0, seed=3).indices(0, 3_000), Shuffle(999, 3).indices(0, 3_000))


def pack(folder: Path, labelled: bool = True) -> Dataset:
    """One row of 200 is of a class that lies where none of the others is."""
    draw = np.random.default_rng(0)
    labels = (np.arange(4_000) % 200 == 0).astype(np.int64)
    x = np.where(labels == 1, 120 + 8 * draw.normal(size=4_000), np.exp(draw.normal(3.0, 0.6, 4_000)))
    rows = np.stack([x.round(2), draw.normal(size=4_000)], axis=1)
    folder.mkdir(parents=True)
    schema = Schema((Column("x", "number", "float64"), Column("y", "number", "float64")), "fraud" if labelled else None)
    parts = {"train": slice(3_000), "holdout": slice(3_000, None)}
    known = ({split: labels[part].tolist() for split, part in parts.items()}, ("no", "yes")) if labelled else (None, None)
    Table.pack(folder, {split: rows[part] for split, part in parts.items()}, schema, *known)
    return Dataset.open(folder)


def test_a_rare_class_is_drawn_where_it_lies(tmp_path: Path) -> None:
    dataset = pack(tmp_path / "ready")
    small = {"images": 4_000, "batch": 50, "threads": 1, "optimizer": {"learning_rate": 4e-3}, "generator": {"widths": [32]}}
    means = []
    for balance in (0.0, 1.0):
        params = TabularParams.model_validate({**small, "discriminator": {"widths": [32]}, "balance": balance})
        train(params, dataset, tmp_path / str(balance))
        generator = Generator.load(tmp_path / str(balance) / "generator")
        means.append(generator.sample(500, label="yes").samples[:, 0].mean())
        assert (generator.sample(2_000).labels == 1).mean() < 0.02  # one in 200, however often they were shown
    assert means[0] < 80 < 105 < means[1] < 135


def test_a_training_without_it_is_the_one_that_it_was(tmp_path: Path) -> None:
    dataset = pack(tmp_path / "ready")
    assert "balance" not in identity(TabularParams(images=200), dataset)["train"]
    assert identity(TabularParams(images=200, balance=0.5), dataset)["train"]["balance"] == 0.5


def test_without_classes_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.balance: .* has no label of classes; leave it out"):
        train(TabularParams(images=200, balance=0.5), pack(tmp_path / "ready", labelled=False), tmp_path / "out")
