"""Rows of a second table that belong to those of a first one by a key, as orders belong to a customer.

A packed row of the first holds its children behind its own columns, in the order of their file:

    its own columns | how many there are | columns of the first child | columns of the second | ...

with places for `most` of them; where no child is, there are gaps. So a row and all that belongs to it are one sample, which is drawn,
held out and compared as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.schema import GAP, Column, Invented

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Children:
    """The second table."""

    name: str
    """Of the table, and of the column that says how many children a row has."""
    parent: str
    """Name of the first table."""
    key: str
    """The column of the first table that names a row: one of its invented ones."""
    foreign: str
    """The column of the second that holds it."""
    place: int
    """How many columns of the second table stand before that one, as it is written."""
    columns: tuple[Column, ...]
    """Of the second table, without that one; missing cells are only those of children that are there."""
    most: int
    """Children that a row has at most."""
    invented: tuple[Invented, ...] = ()
    """Columns of the second table that are invented."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        columns, invented = tuple(map(Column.from_json, fields["columns"])), tuple(map(Invented.from_json, fields["invented"]))
        return cls(**{**fields, "columns": columns, "invented": invented})

    @property
    def cells(self) -> int:
        """Columns of a packed row that hold children."""
        return self.most * len(self.columns)

    def count_at(self, width: int) -> int:
        """Which of a packed row's columns, `width` in all, says how many children there are; those of the children follow it."""
        return width - self.cells - 1

    @property
    def named(self) -> tuple[Column, ...]:
        """Its columns, each by the table's name and its own."""
        return tuple(replace(column, name=f"{self.name}.{column.name}") for column in self.columns)

    @property
    def gaps(self) -> Rows:
        """What each column holds in a place without a child: (C,)."""
        return np.array([len({*column.categories} - {GAP}) if column.categories is not None else np.nan for column in self.columns])

    def packed(self, parents: NDArray[np.int64], children: Rows, count: int) -> Rows:
        """How many children each of `count` rows has, and these, as they are packed: (count, 1 + cells).

        Args:
            parents: (M,) the row that each child belongs to.
            children: (M, C) in the order of their file; none has more than `most`.
        """
        order = np.argsort(parents, kind="stable")
        owners, counts = parents[order], np.bincount(parents, minlength=count)
        places = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
        cells = np.tile(self.gaps, (count, self.most, 1))
        cells[owners, places] = children[order]
        return np.column_stack([counts, cells.reshape(count, self.cells)])

    def pooled(self, rows: Rows) -> tuple[Rows, NDArray[np.int64]]:
        """The children of packed rows (N, D), one behind the other, (M, C); and which row each belongs to, (M,)."""
        at = self.count_at(rows.shape[1])
        cells = rows[:, at + 1 :].reshape(len(rows), self.most, len(self.columns))
        is_there = np.arange(self.most) < rows[:, at, None]
        return cells[is_there], np.nonzero(is_there)[0]

    def described(self, packed: Rows) -> tuple[Column, ...]:
        """The columns of `packed`, not yet fitted."""
        missing = np.isnan(packed[:, 1:]).mean(axis=0) if len(packed) else np.zeros(self.cells)
        there = [
            replace(
                column,
                name=f"{self.name}[{place + 1}].{column.name}",
                categories=None if column.categories is None else (*(text for text in column.categories if text != GAP), GAP),
            )
            for place in range(self.most)
            for column in self.columns
        ]
        of_cells = [replace(column, missing=float(share)) for column, share in zip(there, missing, strict=True)]
        return Column(self.name, "number", "int64"), *of_cells

    def live(self, columns: Sequence[Column]) -> int:
        """How many of a packed row's columns, fitted, can hold anything: not the places for more children than any row has."""
        most = int(columns[self.count_at(len(columns))].high or 0)
        return len(columns) - (self.most - most) * len(self.columns)
