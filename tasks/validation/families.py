"""Two tables by their key: each row of the first with its children, the rows of the second that belong to it.

Each table is looked at by itself (`tasks.validation.tables`). A row of the first is a sample, and can be used where it can be and all its
children can; a child that belongs to none goes to quarantine by itself.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.kinds.children import Children
from gan_core.kinds.schema import GAP, Column
from gan_core.rules import Rule
from tasks.params import DataParams
from tasks.sources.raw import safe_path
from tasks.validation.table_files import Cells
from tasks.validation.tables import TableRow, TableRows, cell_of, inspect_table, is_missing, numbered, rarity

_SHOWN = 5  # keys that a message names


@dataclass(frozen=True)
class Families:
    """What two tables hold."""

    parents: Sequence[TableRow]
    """Each row of the first, in its order."""
    orphans: Mapping[int, TableRow]
    """Rows of the second that belong to none of the first, by their number from 1."""
    classes: tuple[str, ...] | None
    table: TableRows
    """The good rows of the first, each with its children."""
    second: TableRows
    """What the second is by itself."""


@dataclass(frozen=True)
class _Side:
    """One of the two tables."""

    cells: Cells
    key: str
    named_by: str
    """Of params.yaml, what names the key."""
    path: str
    """What messages call the file."""

    def keys(self, missing: Collection[str]) -> list[str | None]:
        """What each row holds as its key, as text; None where it is missing, or the row cannot be read."""
        if self.key not in self.cells.names:
            near = difflib.get_close_matches(self.key, self.cells.names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(map(safe_path, self.cells.names[:_SHOWN]))}"
            raise DataError(f"{self.named_by}: {self.path} has no column {self.key!r}; {hint}")
        at = self.cells.names.index(self.key)
        return [None if isinstance(row, str) else as_text(cell_of(row[at]), missing) for row in self.cells.rows]


def inspect_families(first: Cells, second: Cells, data: DataParams) -> Families:
    """Look at every row of two tables.

    Raises:
        DataError: as `inspect_table` of either; or one has no such key, a key names several rows, no row has children, or one too many.
    """
    asked, of_first, of_second = data.children, data.of_parents, data.of_children
    assert asked is not None, "only where there are children"  # noqa: S101
    assert data.key is not None, "children have a key"  # noqa: S101
    missing = frozenset(data.missing)
    parents = _Side(first, data.key, "data.key", of_first.file_name)
    children = _Side(second, asked.key, "data.children.key", of_second.file_name)
    keys, foreign = parents.keys(missing), children.keys(missing)
    places = _places(keys, parents)
    if not places.keys() & {*foreign}:
        raise DataError(
            f"{children.named_by}: no row of {children.path} belongs to one of {parents.path}: {safe_path(children.key)} is "
            f"{_listed(foreign)}, and {safe_path(parents.key)} {_listed(keys)}; name the columns that hold the same"
        )
    name = data.children_name
    if name in (*first.names, of_first.table_name):
        raise DataError(f"data.children: {name} is a column of {parents.path}, or its name; call the children otherwise by children.name")

    rows, classes, table = inspect_table(first, of_first, parents.path)
    try:
        below, _, beside = inspect_table(second, of_second, children.path)
    except DataError as error:
        raise DataError(re.sub(r"\bdata\.(columns|categorical|drop)\b", r"data.children.\1", str(error))) from None
    reasons = [row.reason or (f"{safe_path(parents.key)}: missing" if key is None else None) for row, key in zip(rows, keys, strict=True)]
    related = _Related.of(data, table.schema.columns, beside.schema.columns)
    mine, orphans = _assigned(below, foreign, places, parents, children, reasons)
    related.check(reasons, rows, mine, table.values, beside.values, children.path)
    if (most := max(map(len, mine))) > asked.most:
        key = keys[[len(one) for one in mine].index(most)]
        raise DataError(
            f"data.children.most: {most:,} rows of {children.path} belong to {safe_path(str(key)[:80])} of {parents.path}, and at most "
            f"{asked.most} are learned; raise it (to 100 at most), or leave some out at the source"
        )
    good = [k for k, reason in enumerate(reasons) if reason is None]
    children_of = [related.in_order([child.number for child in mine[k] if child.number is not None], beside.values) for k in good]
    used = beside.values[[number for each in children_of for number in each]]
    schema = Children(
        name,
        of_first.table_name,
        parents.key,
        children.key,
        sum(1 for one in beside.found[: second.names.index(children.key)] if one.kind.kind != "drop"),
        tuple(map(_with_gaps, beside.schema.columns, used.T)),
        asked.most,
        beside.schema.invented,
    )
    owner_of = np.repeat(np.arange(len(good)), [len(each) for each in children_of])
    packed = schema.packed(owner_of, used, len(good))
    own = table.values[[reason is None for row, reason in zip(rows, reasons, strict=True) if row.reason is None]]
    values = np.column_stack([own, packed])
    families = [
        replace(row, sha256=_digest([row, *mine[k]]), reason=reasons[k], label=row.label if reasons[k] is None else None)
        for k, row in enumerate(rows)
    ]
    columns = *table.schema.columns, *schema.described(packed)
    return Families(
        numbered(families, _common(own, packed, schema)),
        orphans,
        classes,
        replace(
            table,
            values=values,
            schema=replace(table.schema, columns=columns, children=schema, rules=(*table.schema.rules, *related.rules(schema))),
        ).with_key(parents.key),
        beside.with_key(children.key, f"{safe_path(parents.key)} of {parents.path}, which a row belongs to"),
    )


def _assigned(
    below: Sequence[TableRow],
    foreign: Sequence[str | None],
    places: Mapping[str, int],
    parents: _Side,
    children: _Side,
    reasons: list[str | None],  # of each parent; said of those that have a damaged child
) -> tuple[list[list[TableRow]], dict[int, TableRow]]:
    """The good children of each parent, and those that belong to nobody, by their number from 1."""
    mine: list[list[TableRow]] = [[] for _ in reasons]
    orphans: dict[int, TableRow] = {}
    for number, (row, key) in enumerate(zip(below, foreign, strict=True), start=1):
        owner = None if key is None else places.get(key)
        if owner is None:
            what = "missing" if key is None else f"{safe_path(key[:80])!r} is no {safe_path(parents.key)} of {parents.path}"
            unread = row.reason if isinstance(children.cells.rows[number - 1], str) else None
            orphans[number] = replace(row, reason=unread or f"{safe_path(children.key)}: {what}", number=None)
        elif row.reason is not None:
            reasons[owner] = reasons[owner] or f"row {number:,} of {children.path}: {row.reason}"
        else:
            mine[owner].append(row)
    return mine, orphans


@dataclass(frozen=True)
class _Related:
    """What holds between the columns of both tables: orders of two of them, and in which order children are."""

    pairs: Sequence[tuple[Rule, tuple[bool, int], tuple[bool, int]]]
    """A rule, and of its lower and of its higher column, whether it is the children's, and which of theirs it is."""
    own: Sequence[Column]
    below: Sequence[Column]
    order: int | None
    """Which of the children's columns they are in the order of."""

    @classmethod
    def of(cls, data: DataParams, own: Sequence[Column], below: Sequence[Column]) -> _Related:
        """Read what an entry says of these columns.

        Raises:
            DataError: naming what does not fit them.
        """
        assert data.children is not None, "only where there are children"  # noqa: S101
        order, prefix = data.children.order, f"{data.children_name}."
        known = {
            **{column.name: (False, k) for k, column in enumerate(own)},
            **{prefix + column.name: (True, k) for k, column in enumerate(below)},
        }

        def found(name: str, key: str) -> tuple[bool, int]:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise DataError(f"{key}: {name} is no column that is learned" + (f"; did you mean {near[0]}?" if near else ""))
            column = (below if known[name][0] else own)[known[name][1]]
            if column.kind != "number":
                raise DataError(f"{key}: {name} holds categories, and this is for numbers and dates; say so of it in `columns`")
            return known[name]

        pairs = []
        for rule in data.rules_of_both:
            key = f"data.rules: {rule}"
            if rule.kind != "order":
                raise DataError(f"{key}: of columns of two tables only an order is held, such as since <= {prefix}day")
            first, second = (found(name, key) for name in rule.columns)
            dated = [
                {"date": "a day", "datetime": "a moment"}.get((below if of_both else own)[k].dtype, "a number")
                for of_both, k in (first, second)
            ]
            if dated[0] != dated[1]:
                raise DataError(f"{key}: one is {dated[0]} and the other {dated[1]}; they cannot be compared")
            pairs.append((rule, first, second))
        return cls(pairs, own, below, None if order is None else found(prefix + order, "data.children.order")[1])

    def check(
        self,
        reasons: list[str | None],
        rows: Sequence[TableRow],
        children: Sequence[Sequence[TableRow]],
        own: NDArray[np.float64],
        below: NDArray[np.float64],
        path: str,
    ) -> None:
        """Say of good rows that a rule is broken, or a child has nothing that it can be put in order by."""
        for k, row in enumerate(rows):
            if reasons[k] is not None or row.number is None:
                continue
            numbers = [child.number for child in children[k] if child.number is not None]
            if self.order is not None and np.isnan(below[numbers, self.order]).any():
                reasons[k] = f"{safe_path(self.below[self.order].name)}: missing in a row of {path}, which are in its order"
            for rule, *sides in self.pairs:
                low, high = (below[numbers, at] if is_below else own[row.number, at] for is_below, at in sides)
                if (low >= high if rule.strict else low > high).any():
                    reasons[k] = f"{rule}: broken by a row of {path} (data.rules)"

    def in_order(self, numbers: list[int], below: NDArray[np.float64]) -> list[int]:
        """The children of a row in their order."""
        return numbers if self.order is None else sorted(numbers, key=lambda number: float(below[number, self.order]))

    def rules(self, children: Children) -> list[Rule]:
        """The same of the columns of packed rows."""
        name, places = children.name, range(1, children.most + 1)

        def column(side: tuple[bool, int], place: int) -> str:
            is_below, at = side
            return f"{name}[{place}].{self.below[at].name}" if is_below else self.own[at].name

        held = [replace(rule, columns=(column(low, k), column(high, k))) for rule, low, high in self.pairs for k in places]
        if self.order is not None:
            day = True, self.order
            held += [Rule("order", (column(day, k), column(day, k + 1))) for k in places[:-1]]
        return held


def _places(keys: Sequence[str | None], side: _Side) -> dict[str, int]:
    """Which row each key names.

    Raises:
        DataError: several.
    """
    places: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key is not None and places.setdefault(key, number) != number:
            raise DataError(
                f"{side.named_by}: {safe_path(side.key)} of {side.path} is {safe_path(key[:80])!r} in row {places[key] + 1:,} and in row "
                f"{number + 1:,}; name the column in which no two rows are equal, or leave one of them out at the source"
            )
    return places


def _with_gaps(column: Column, values: NDArray[np.float64]) -> Column:
    """A column with gaps only where these of its values have some."""
    if column.categories is None:
        return replace(column, missing=float(np.isnan(values).mean()) if len(values) else 0.0)
    has_gaps = bool((values == column.gap).any())
    return column if has_gaps else replace(column, categories=tuple(text for text in column.categories if text != GAP))


def as_text(cell: Any, missing: Collection[str]) -> str | None:
    """A key as both tables have it, however they are kept: 7 and 7.0 are 7."""
    if is_missing(cell, missing):
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _listed(keys: Sequence[str | None]) -> str:
    some = [safe_path(key[:40]) for key in dict.fromkeys(keys) if key is not None]
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN:,} more" if len(some) > _SHOWN else "") or "always missing"


def _digest(rows: Sequence[TableRow]) -> str:
    return hashlib.sha256("".join(row.sha256 for row in rows).encode()).hexdigest()


def _common(own: NDArray[np.float64], packed: NDArray[np.float64], children: Children) -> NDArray[np.bool_]:
    """Of each row with its children, whether one like it may be expected again, as `tasks.validation.tables` says it of rows: (N,)."""
    expected = np.full(len(own), math.log(max(len(own), 1)))
    for column in (*own.T, packed[:, 0]):
        expected += rarity(column)
    place = np.arange(children.cells) // len(children.columns)
    for at, column in zip(place, packed[:, 1:].T, strict=True):
        is_there = packed[:, 0] > at
        expected[is_there] += rarity(column[is_there])
    return np.asarray(expected >= 0)
