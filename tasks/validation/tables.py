"""What the rows and columns of a table hold. What a column is, is told by its cells (`tasks.validation.columns`) or `data.columns`."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.kinds.schema import GAP, Column, Invented, Schema
from gan_core.metrics.rows import spread
from gan_core.rules import Rule
from tasks.params import DataParams
from tasks.sources.raw import safe_path
from tasks.validation.column_kinds import Asked
from tasks.validation.columns import MOST_CATEGORIES, Reading, is_whole, read_column
from tasks.validation.columns_shown import FoundColumn, block_of, remark_on, table_of
from tasks.validation.table_files import Cells
from tasks.validation.table_rules import as_lines, broken, counted_columns, misfits, notes_on, resolved, suggested

LONGEST_CELL = 1_000
"""Characters of a cell; rows with longer ones go to quarantine."""
MOST_CLASSES = 100

_EXACT = 2**53  # from here on, whole numbers are not told apart
_LARGEST = 1e100  # squares of numbers beyond it may overflow


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the source."""

    sha256: str
    """Of its cells."""
    label: str | None = None
    reason: str | None = None
    number: int | None = None
    """Of a good row, where it stands in `TableRows.values`."""
    repeat: int = 0
    """Of a good row so common that it may well be there again by chance: how many equal ones stand before it."""


@dataclass(frozen=True)
class TableRows:
    """The good rows of a table."""

    values: NDArray[np.float64]
    """(N, D): numbers as they are, NaN where one is missing, categories as index."""
    schema: Schema
    """Not yet fitted."""
    notes: tuple[str, ...] = ()
    """How the file was read, where that is not plain."""
    found: tuple[FoundColumn, ...] = ()
    """Every column of the file, used or not, in its order."""
    missing_texts: tuple[str, ...] = ()
    """Those that stand for missing cells in it."""
    suggested: tuple[Rule, ...] = ()
    """What holds in every row, and is no rule of the entry."""

    def read_as(self, name: str) -> Iterator[str]:
        """How the file of that name was read, and what each column is: a note each, some of several lines."""
        yield from self.notes
        yield f"the columns of {name}:\n{table_of(self.found, self.missing_texts)}"

    def said(self, name: str, below: str = "data") -> Iterator[str]:
        """All that people should know of it: how it was read, and what the entry could say below this key."""
        yield from self.read_as(name)
        if block := block_of(self.found):
            yield f"to hold them to that, to have others invented, or to change it, in params.yaml below {below}:\n{block}"
        if self.suggested:
            listed = "\n".join(f"    {line}" for line in as_lines(self.suggested))
            yield f"this holds in every row; to have it hold in every generated one, in params.yaml below data:\n  rules:\n{listed}"

    def with_key(self, name: str, remark: str | None = None) -> Self:
        """The same with a column as key, and what there is to say of it."""
        keyed = [replace(one, is_key=True, remark=remark or one.remark) if one.name == name else one for one in self.found]
        return replace(self, found=tuple(keyed))


def inspect_table(cells: Cells, data: DataParams, path: str) -> tuple[list[TableRow], tuple[str, ...] | None, TableRows]:
    """Look at every row: what it is, and whether it can be used.

    Returns:
        A row each, in the order of the source; the names of the classes, sorted as labels count; and the good rows.

    Raises:
        DataError: the entry names a column that is not there or cannot be used, or of which there is nothing to draw, or no other is left.
    """
    missing = frozenset(data.missing)
    readings, left_out = _read_columns(cells, data, path, missing)
    invented = {name: reading for name, reading in readings.items() if reading.invented is not None}
    readings = {name: reading for name, reading in readings.items() if name not in invented}
    names = [name for name in cells.names if name in readings]
    if not set(names) - {*data.label_columns}:
        raise DataError(f"data: {path} has no column left beside the label: {_reasons(left_out)}")
    kept = [i for i, name in enumerate(cells.names) if name in readings]
    rows = [row if isinstance(row, str) else tuple(cell_of(row[i]) for i in kept) for row in cells.rows]
    known = [readings[name] for name in names]
    reasons = [row if isinstance(row, str) else _fault(row, names, known, missing, data.label_columns) for row in rows]
    if rules := data.table_rules:
        rest = [k for k, reason in enumerate(reasons) if reason is None]
        present = [tuple(None if is_missing(cell, missing) else cell for cell in rows[k]) for k in rest]
        for k, why in broken(rules, names, present, known).items():
            reasons[rest[k]] = why
    good = [row for row, reason in zip(rows, reasons, strict=True) if reason is None and not isinstance(row, str)]
    packed = [
        _column(name, [None if is_missing(row[k], missing) else row[k] for row in good], reading)
        for k, (name, reading) in enumerate(zip(names, known, strict=True))
    ]
    if problems := list(_too_many(packed, len(good), path)):
        raise DataError("\n".join(problems))
    columns, values = [column for column, _ in packed], [numbers for _, numbers in packed]
    try:
        rules = resolved(rules, columns, values)
    except ValueError as error:
        raise DataError(f"{error}; leave the rule out") from None
    asked = [names.index(name) for name in data.label_columns]
    targets, told = [k for k in asked if known[k].is_measured], [k for k in asked if not known[k].is_measured]
    for k in targets if good else ():
        _check_target(columns[k], values[k], path)
    labels = _Labels.of([columns[k] for k in told], [values[k] for k in told], path) if told and good else _Labels()
    used = {name: (*one, reading) for name, one, reading in zip(names, packed, known, strict=True)}
    beside = [k for k in range(len(names)) if k not in told]
    table = TableRows(
        np.stack([values[k] for k in beside], axis=1) if beside else np.empty((0, 0)),
        Schema(
            tuple(columns[k] for k in beside),
            ", ".join(names[k] for k in told) or None,
            columns[told[0]].dtype if len(told) == 1 else "string",
            rules=rules,
            invented=_places(cells.names, invented, {names[k] for k in beside}),
            labels=labels.columns,
            combinations=labels.combinations,
            targets=tuple(names[k] for k in targets),
            mark=cells.mark,
        ),
        (*cells.notes, *notes_on(rules, columns, values)),
        tuple(_found(name, used.get(name), invented.get(name) or left_out.get(name), data) for name in cells.names),
        tuple(sorted({cell for row in good for cell in row if isinstance(cell, str) and cell in missing})),
        suggested([columns[k] for k in beside], [values[k] for k in beside], rules),
    )
    return numbered(list(_rows(rows, reasons, labels.of_rows)), _common(values)), labels.classes, table


def _read_columns(cells: Cells, data: DataParams, path: str, missing: Collection[str]) -> tuple[dict[str, Reading], dict[str, Reading]]:
    """What each column is that is used, in the order of the file; and of each other one that the entry does not drop, why not.

    Raises:
        DataError: naming all that the entry says of columns and that is not so.
    """
    asked = data.asked_columns
    if problems := [*_wrong_names(cells, data, path), *_wrong_types(cells, asked, path)]:
        raise DataError("\n".join(problems))
    left_out = {name: Reading("drop", note=why) for name, why in cells.left_out.items() if name not in asked}
    whole = [row for row in cells.rows if not isinstance(row, str)]
    counted = counted_columns(data.table_rules)
    readings: dict[str, Reading] = {}
    for i, name in enumerate(cells.names):
        if asked.get(name) == Asked("drop") or name in left_out:
            continue
        if not whole:
            readings[name] = Reading("category")
            continue
        present = [None if is_missing(cell, missing) else cell for cell in (cell_of(row[i]) for row in whole)]
        try:
            reading = (
                _read_label(name, present, data)
                if name in data.label_columns
                else read_column(name, present, data.decimal, asked.get(name))
            )
            if name in counted and reading.kind == "category" and reading.dtype == "int64" and name not in asked:
                reading = read_column(name, present, data.decimal, Asked("number"))
        except ValueError as error:
            problems.append(f"{data.key_of(name)}: {safe_path(name)} of {path} is said to be {error}")
            continue
        if reading.kind != "drop":
            readings[name] = reading
        elif name in asked:
            problems.append(
                f"{data.key_of(name)}: column {safe_path(name)} of {path} cannot be used: {reading.note}; take it out of the entry"
            )
        else:
            left_out[name] = reading
    learned = {name: reading for name, reading in readings.items() if reading.invented is None}
    problems += misfits(data.table_rules, cells.names, learned, path) if whole else ()
    if problems:
        raise DataError("\n".join(problems))
    return readings, left_out


def _read_label(name: str, cells: Sequence[Any], data: DataParams) -> Reading:
    """Of a label, categories unless the entry says that it holds numbers, or it holds more of them than classes can be asked for."""
    if name not in data.columns and len({cell for cell in cells if cell is not None}) > MOST_CLASSES:
        found = read_column(name, cells, data.decimal)
        if found.kind == "number":
            return found
    return read_column(name, cells, data.decimal, data.asked_columns[name])


def _too_many(packed: Sequence[tuple[Column, NDArray[np.float64]]], rows: int, path: str) -> Iterator[str]:
    """What is wrong with categories of more values than are learned."""
    for column, _ in packed:
        count = len({*(column.categories or ())} - {GAP})
        if count > MOST_CATEGORIES:
            yield (
                f"{path}: column {safe_path(column.name)} has {count:,} different values in {rows:,} rows, which is no category; "
                "leave it out by data.drop"
            )


def _places(names: Sequence[str], told: Mapping[str, Reading], learned: Collection[str]) -> tuple[Invented, ...]:
    """The columns that are invented, each with its place among those that rows are written with, the label's apart."""
    written = [name for name in names if name in told or name in learned]
    return tuple(
        replace(found, place=written.index(name)) for name in written if name in told and (found := told[name].invented) is not None
    )


def _found(name: str, used: tuple[Column, NDArray[np.float64], Reading] | None, other: Reading | None, data: DataParams) -> FoundColumn:
    """A column of the file; `other` is what is known of one that is not learned, None of one that the entry drops."""
    is_asked = name in data.asked_columns
    if used is not None:
        column, values, reading = used
        count, remark = len({*(column.categories or ())} - {GAP}), remark_on(column, values, reading.note)
        return FoundColumn(name, reading.asked, _gaps(column, values), remark, is_asked, count, name in data.label_columns)
    if other is None:
        return FoundColumn(name, Asked("drop"), 0.0, "left out, as the entry says", is_asked)
    suggested = None if other.suggested is None else Asked(other.suggested)
    missing = 0.0 if other.invented is None else other.invented.missing
    return FoundColumn(name, other.asked, missing, other.note or "", is_asked, suggested=suggested)


def _gaps(column: Column, values: NDArray[np.float64]) -> float:
    """The share of cells that are missing."""
    if not len(values) or column.categories is None:
        return column.missing
    return float((values == column.categories.index(GAP)).mean()) if GAP in column.categories else 0.0


def _common(values: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Of each row, whether one like it may be expected again in as many rows, were the columns independent: (N,).

    Such rows say nothing of an individual, and stand on both sides of the split; other equal rows are copies, and stay on one side.
    """
    expected = np.full(len(values[0]), math.log(max(len(values[0]), 1)))
    for column in values:
        expected += rarity(column)
    return np.asarray(expected >= 0)


def rarity(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the share of rows that have the same value, of each (N,): 0 where all have."""
    _, index, counts = np.unique(column, return_inverse=True, return_counts=True)
    return np.asarray(np.log(counts[index] / max(len(column), 1)))


def _wrong_names(cells: Cells, data: DataParams, path: str) -> Iterator[str]:
    """What the entry names and the table has not, or leaves nothing of."""
    for name in dict.fromkeys([*data.label_columns, *data.asked_columns]):
        if name not in cells.names:
            near = difflib.get_close_matches(name, cells.names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {_named(cells.names)}"
            yield f"{data.key_of(name)}: {path} has no column {name!r}; {hint}"
    if not {name for name in cells.names if data.asked_columns.get(name) != Asked("drop")} - {*data.label_columns}:
        yield f"data: {path} has no column left beside the label; shorten data.drop, or name another table"


def _wrong_types(cells: Cells, asked: Mapping[str, Asked], path: str) -> Iterator[str]:
    for name, kind in cells.unreadable.items():
        if asked.get(name) != Asked("drop"):
            yield (
                f"{path}: column {safe_path(name)} holds {kind}; tables hold numbers, texts, booleans, days and moments: "
                "convert it, or name it in data.drop"
            )


def cell_of(value: Any) -> Any:
    """A cell without blanks around it; None where it is missing in any column."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def _rows(rows: Sequence[tuple[Any, ...] | str], reasons: Sequence[str | None], labels: Sequence[str] | None) -> Iterator[TableRow]:
    number = 0
    for row, reason in zip(rows, reasons, strict=True):
        sha256 = hashlib.sha256(json.dumps(row, default=str).encode()).hexdigest()
        yield TableRow(sha256, None if labels is None or reason is not None else labels[number], reason)
        number += reason is None


def numbered(rows: Sequence[TableRow], common: NDArray[np.bool_]) -> list[TableRow]:
    """The rows, the good ones numbered, and counted where they are as common as `common` (N,) says of each good one."""
    number, before, found = 0, Counter[str](), []
    for row in rows:
        if row.reason is not None:
            found.append(replace(row, number=None))
            continue
        found.append(replace(row, number=number, repeat=before[row.sha256] if common[number] else 0))
        before[row.sha256] += 1
        number += 1
    return found


def is_missing(cell: Any, missing: Collection[str]) -> bool:
    """Whether a cell holds nothing, or one of the texts that stand for nothing."""
    return cell is None or (isinstance(cell, str) and cell in missing) or (isinstance(cell, float) and math.isnan(cell))


def _fault(
    row: Sequence[Any], names: Sequence[str], readings: Sequence[Reading], missing: Collection[str], labels: Collection[str]
) -> str | None:
    """Why a row cannot be used, in words that name the column."""
    empty = True
    for value, name, reading in zip(row, names, readings, strict=True):
        if is_missing(value, missing):
            if name in labels:
                return f"{safe_path(name)}: missing"
            continue
        empty = False
        shown = safe_path(name)
        if isinstance(value, str) and len(value) > LONGEST_CELL:
            return f"{shown}: a cell of {len(value):,} characters, more than {LONGEST_CELL:,}"
        if isinstance(value, str) and "\0" in value:
            return f"{shown}: holds a zero byte"
        number = reading.parse(value) if reading.is_measured else value if isinstance(value, float) else 0.0
        if number is None:
            what = "date" if reading.dtype in ("date", "datetime") else "number"
            return f"{shown}: {safe_path(str(value)[:80])!r} is no {what}, as other values are"
        if not math.isfinite(number):
            return f"{shown}: not finite ({value})"
        if abs(number) > _LARGEST:
            return f"{shown}: {value} is beyond what can be computed with (1e100)"
        if reading.is_measured and number.is_integer() and abs(number) >= _EXACT and is_whole(value):
            return f"{shown}: {value} is beyond what is kept exactly (below 2**53)"
    return "every cell is missing" if empty else None


def _column(name: str, values: Sequence[Any], reading: Reading) -> tuple[Column, NDArray[np.float64]]:
    """What a column of good values is, and its values as they are packed; None where one is missing."""
    if reading.is_measured:
        numbers = np.array([math.nan if value is None else reading.parse(value) for value in values], dtype=np.float64)
        missing = float(np.isnan(numbers).mean()) if len(numbers) else 0.0
        return Column(name, "number", reading.dtype, missing=missing, format=reading.format), numbers
    whole = reading.dtype == "int64"
    texts = [GAP if value is None else str(int(value)) if whole else str(value) for value in values]
    present = sorted({*texts} - {GAP}, key=int if whole else None)
    categories = (*present, *([GAP] if GAP in texts else []))
    index = {category: float(i) for i, category in enumerate(categories)}
    return Column(name, "category", reading.dtype, categories), np.array([index[text] for text in texts], dtype=np.float64)


@dataclass(frozen=True)
class _Labels:
    """What rows are drawn by: the values of one column, or the combinations of several that occur."""

    classes: tuple[str, ...] | None = None
    of_rows: Sequence[str] | None = None
    """The class of each row."""
    columns: tuple[Column, ...] = ()
    """Of several, each."""
    combinations: tuple[tuple[int, ...], ...] = ()
    """Of each class then, the index of its value in each of them."""

    @classmethod
    def of(cls, columns: Sequence[Column], values: Sequence[NDArray[np.float64]], path: str) -> _Labels:
        """Of these columns, whose cells are `values`, (N,) each.

        Raises:
            DataError: one of them is the same in every row, or there are too many values or combinations to ask for.
        """
        categories = [_checked_classes(column, path) for column in columns]
        if len(columns) == 1:
            return cls(categories[0], [categories[0][int(value)] for value in values[0]])
        cells = np.stack(values, axis=1).astype(np.int64)
        found, index = np.unique(cells, axis=0, return_inverse=True)
        names = [column.name for column in columns]
        if len(found) > MOST_CLASSES:
            raise DataError(
                f"data.label: columns {_named(names)} of {path} have {len(found):,} different combinations, and at most {MOST_CLASSES} can "
                "be asked for; name fewer of them, and the others are columns like any other"
            )
        combinations: list[tuple[int, ...]] = [tuple(one) for one in found.tolist()]
        classes = tuple(
            ", ".join(f"{name}={texts[k]}" for name, texts, k in zip(names, categories, one, strict=True)) for one in combinations
        )
        if len({*classes}) < len(classes):
            raise DataError(
                f"data.label: values of columns {_named(names)} of {path} hold commas so that two combinations read alike; name one"
            )
        return cls(classes, [classes[k] for k in index.ravel()], tuple(columns), tuple(combinations))


def _checked_classes(label: Column, path: str) -> tuple[str, ...]:
    classes = label.categories or ()
    if len(classes) == 1:
        raise _constant(label, repr(classes[0]), path)
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"data.label: column {safe_path(label.name)} of {path} has {len(classes):,} different values, and at most {MOST_CLASSES} "
            "classes can be asked for; leave the label out, and it is a column like any other"
        )
    return classes


def _check_target(label: Column, values: NDArray[np.float64], path: str) -> None:
    if not spread(values):
        raise _constant(label, f"{values[0]:.12g}", path)


def _constant(label: Column, value: str, path: str) -> DataError:
    return DataError(f"data.label: column {safe_path(label.name)} of {path} is {value} in every row; leave the label out")


def _reasons(left_out: Mapping[str, Reading]) -> str:
    return _listed([f"{safe_path(name[:80])} ({one.note})" if name else one.note or "" for name, one in left_out.items()], 20)


def _listed(parts: Sequence[str], most: int) -> str:
    return ", ".join(parts[:most]) + (f" and {len(parts) - most:,} more" if len(parts) > most else "")


def _named(names: Sequence[str], most: int = 10) -> str:
    return _listed([safe_path(name[:80]) for name in names], most)
