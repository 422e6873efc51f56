"""A small table whose columns, classes and relations are known: two modes, whole numbers, a constant, and categories by class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset, write_spec
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table

CLASSES = ("no", "yes")
COLUMNS = (
    Column("height", "number", "float64"),
    Column("age", "number", "int64"),
    Column("always", "number", "int64"),
    Column("colour", "category", "string", ("blue", "green", "red")),
    Column("rooms", "category", "int64", ("1", "2", "4")),
)


def rows(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows (count, 5) and labels (count,): a third is `yes`, tall and red."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(count) < 1 / 3).astype(np.int64)
    height = np.round(np.where(labels == 1, 10.0, -10.0) + draw.normal(size=count), 2)
    age = np.round(50 + 2 * (height - np.where(labels == 1, 10.0, -10.0)) + draw.normal(size=count)).clip(18, 90)
    colour = np.where(labels == 1, draw.choice(3, count, p=[0.1, 0.1, 0.8]), draw.choice(3, count, p=[0.6, 0.3, 0.1]))
    rooms = draw.choice(3, count, p=[0.5, 0.3, 0.2])
    return np.stack([height, age, np.full(count, 7.0), colour, rooms], axis=1), labels


def schema(values: NDArray[np.float64], labels: NDArray[np.int64] | None) -> Schema:
    return Schema(COLUMNS, None if labels is None else "bought").fitted(values, labels, 2 if labels is not None else 0)


def pack(folder: Path, count: int = 300, holdout: int = 100, labelled: bool = True) -> Dataset:
    """The table as a packed data set."""
    folder.mkdir(parents=True)
    values, labels = rows(count + holdout)
    for split, part in {"train": slice(count), "holdout": slice(count, None)}.items():
        np.save(folder / f"{split}.npy", values[part])
        if labelled:
            np.save(folder / f"{split}_labels.npy", labels[part])
    known = schema(values[:count], labels[:count] if labelled else None)
    write_spec(folder, Table((5,), {"train": count, "holdout": holdout}, CLASSES if labelled else None, schema=known))
    return Dataset.open(folder)
