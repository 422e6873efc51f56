"""Tables as they are fetched, a CSV or a Parquet file, and what their rows and columns hold.

CSV is read as RFC 4180 has it: UTF-8, commas, a first row of names. A row is counted from 1 below that one. What a column is, is told
by its values:

    number      most of its values are numbers; written with a leading zero, such as postcodes, they are not
    category    anything else, and whole numbers of at most 10 different values
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.data.schema import Column, DType, Schema
from gan_core.errors import DataError
from tasks.params import DataParams
from tasks.sources.raw import safe_path

LONGEST_CELL = 1_000
"""Characters of a cell; rows with longer ones go to quarantine."""
MOST_CELLS = 100_000_000
"""Rows times columns of a Parquet file."""
MOST_CATEGORIES = 1_000
MOST_CLASSES = 100
FEW_VALUES = 10
"""Whole numbers of at most so many different values are a category."""

_MOST_NUMBERS = 0.9  # share of a column's values that have to be numbers for the rest to be wrong
_EXACT = 2**53  # from here on, whole numbers are not told apart
_LARGEST = 1e100  # squares of numbers beyond it may overflow
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NOT_FINITE = {"nan", "inf", "infinity", "+inf", "-inf", "+infinity", "-infinity"}
_MISSING = {"", "na", "n/a", "null", "none"}


@dataclass(frozen=True)
class Cells:
    """A table as it was read."""

    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...] | str]
    """The cells of each row, text or numbers or None; or the reason why a row cannot be used."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the source."""

    sha256: str
    """Of its cells."""
    label: str | None = None
    reason: str | None = None
    number: int | None = None
    """Of a good row, where it stands in `TableRows.values`."""


@dataclass(frozen=True)
class TableRows:
    """The good rows of a table."""

    values: NDArray[np.float64]
    """(N, D): numbers as they are, categories as index."""
    schema: Schema
    """Not yet fitted."""


def read_table(data: bytes, path: str) -> Cells:
    """The cells of a CSV or Parquet file.

    Args:
        data: its bytes.
        path: its name, which ends with one of `TABLE_SUFFIXES` of `tasks.addresses`; messages begin with it.

    Raises:
        DataError: it is no such file, is not UTF-8, or its columns have no names or one name twice.
    """
    cells = _read_parquet(data, path) if path.endswith(".parquet") else _read_csv(data, path)
    twice = [name for name, count in Counter(cells.names).items() if count > 1]
    if twice:
        raise DataError(f"{path}: {len(twice)} columns' names occur more than once: {_named(twice)}; give each column a name of its own")
    empty = [str(i) for i, name in enumerate(cells.names, start=1) if not name.strip()]
    if empty:
        raise DataError(f"{path}: column {', '.join(empty)} has no name; name every column in the first row")
    return cells


def _read_csv(data: bytes, path: str) -> Cells:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: not UTF-8 text (byte {error.start:,}, line {line:,}); save it as UTF-8") from None
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next((row for row in reader if row), None)
        if names is None:
            raise DataError(f"{path}: is empty; a table begins with a row of columns' names")
        if all(_NUMBER.fullmatch(name.strip()) for name in names):
            raise DataError(f"{path}: its first row holds numbers; a table begins with a row of columns' names")
        if len(names) == 1 and (mark := next((mark for mark in ";\t|" if mark in names[0]), None)):
            raise DataError(f"{path}: its columns are parted by {mark!r}; save it with commas")
        rows = [_shaped(row, len(names)) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}: no readable CSV at line {reader.line_num:,} ({error}); look for a quote that is never closed") from None
    finally:
        csv.field_size_limit(limit)
    return Cells(tuple(name.strip() for name in names), rows)


def _shaped(row: list[str], columns: int) -> tuple[str, ...] | str:
    if len(row) != columns:
        return f"has {len(row)} {'cell' if len(row) == 1 else 'cells'}, and the table {columns} columns"
    return tuple(row)


def _read_parquet(data: bytes, path: str) -> Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells > MOST_CELLS:  # equal rows take next to no place in a file
            raise DataError(f"{path}: has {cells:,} cells, and at most {MOST_CELLS:,} are read; write fewer rows or columns")
        table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: no readable Parquet file ({str(error).splitlines()[0]})") from None
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        readable = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
        if not any(is_kind(kind) for is_kind in (*readable, pa.types.is_null)):
            raise DataError(
                f"{path}: column {safe_path(field.name)} holds {field.type}; tables hold numbers, texts and booleans: "
                "convert it, or name it in data.drop and write the file without it"
            )
        columns.append(column.to_pylist())
    return Cells(tuple(table.schema.names), list(zip(*columns, strict=True)) if columns else [])


def inspect_table(cells: Cells, data: DataParams, path: str) -> tuple[list[TableRow], tuple[str, ...] | None, TableRows]:
    """Look at every row: what it is, and whether it can be used.

    Returns:
        A row each, in the order of the source; the names of the classes, sorted as labels count; and the good rows.

    Raises:
        DataError: the entry names a column that is not there, or a column is no number and no category either.
    """
    _check_names(cells, data, path)
    kept = [i for i, name in enumerate(cells.names) if name not in data.drop]
    names = [cells.names[i] for i in kept]
    rows = [row if isinstance(row, str) else tuple(_cell(row[i]) for i in kept) for row in cells.rows]
    whole = [row for row in rows if not isinstance(row, str)]
    forced = {*data.categorical, *([data.label] if data.label else [])}
    numeric = [name not in forced and _is_number([row[k] for row in whole]) for k, name in enumerate(names)]
    reasons = [row if isinstance(row, str) else _fault(row, names, numeric) for row in rows]
    good = [row for row, reason in zip(rows, reasons, strict=True) if reason is None and not isinstance(row, str)]
    columns, values = [], []
    for k, name in enumerate(names):
        column, numbers = _column(name, [row[k] for row in good], numeric[k], path)
        columns.append(column)
        values.append(numbers)
    label = names.index(data.label) if data.label else None
    classes = None if label is None or not good else _classes(columns[label], values[label], path)
    texts = None if label is None else _texts(columns[label], values[label])
    table = TableRows(
        np.stack([values[k] for k in range(len(names)) if k != label], axis=1) if len(names) > (label is not None) else np.empty((0, 0)),
        Schema(
            tuple(column for k, column in enumerate(columns) if k != label),
            data.label,
            "string" if label is None else columns[label].dtype,
        ),
    )
    return list(_rows(rows, reasons, texts)), classes, table


def _check_names(cells: Cells, data: DataParams, path: str) -> None:
    asked = [("label", data.label)] if data.label else []
    asked += [("categorical", name) for name in data.categorical] + [("drop", name) for name in data.drop]
    for key, name in asked:
        if name not in cells.names:
            near = difflib.get_close_matches(name, cells.names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {_named(cells.names)}"
            raise DataError(f"data.{key}: {path} has no column {name!r}; {hint}")
    if not set(cells.names) - {*data.drop, data.label}:
        raise DataError(f"data: {path} has no column left beside the label; shorten data.drop, or name another table")


def _cell(value: Any) -> Any:
    """A cell without blanks around it; None where it is missing in any column."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def _rows(rows: Sequence[tuple[Any, ...] | str], reasons: Sequence[str | None], labels: Sequence[str] | None) -> Iterator[TableRow]:
    number = 0
    for row, reason in zip(rows, reasons, strict=True):
        sha256 = hashlib.sha256(json.dumps(row).encode()).hexdigest()
        if reason is not None:
            yield TableRow(sha256, reason=reason)
        else:
            yield TableRow(sha256, None if labels is None else labels[number], None, number)
            number += 1


def _is_number(values: Sequence[Any]) -> bool:
    """Whether a column holds numbers, and not a few whole ones that are names of something."""
    present = [value for value in values if not _is_missing(value)]
    if any(isinstance(value, str) and re.match(r"[+-]?0\d", value) for value in present):
        return False
    numbers = [value for value in present if _number(value) is not None]
    if not numbers or len(numbers) < _MOST_NUMBERS * len(present):
        return False
    return not all(map(_is_whole, numbers)) or len({_number(value) for value in numbers}) > FEW_VALUES


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.lower() in _MISSING)


def _is_whole(value: Any) -> bool:
    return bool(_WHOLE.fullmatch(value)) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    """A cell as a number, finite or not; None where it is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(value) if _NUMBER.fullmatch(value) or value.lower() in _NOT_FINITE else None


def _fault(row: Sequence[Any], names: Sequence[str], numeric: Sequence[bool]) -> str | None:
    """Why a row cannot be used, in words that name the column."""
    for value, name, is_number in zip(row, names, numeric, strict=True):
        shown = safe_path(name)
        if isinstance(value, str) and len(value) > LONGEST_CELL:
            return f"{shown}: a cell of {len(value):,} characters, more than {LONGEST_CELL:,}"
        if value is None or (is_number and _is_missing(value)):
            return f"{shown}: missing"
        if isinstance(value, str) and "\0" in value:
            return f"{shown}: holds a zero byte"
        number = _number(value) if is_number else value if isinstance(value, float) else 0.0
        if number is None:
            return f"{shown}: {safe_path(str(value)[:80])!r} is no number, as other values are"
        if not math.isfinite(number):
            return f"{shown}: not finite ({value})"
        if abs(number) > _LARGEST:
            return f"{shown}: {value} is beyond what can be computed with (1e100)"
        if is_number and _is_whole(value) and abs(number) >= _EXACT:
            return f"{shown}: {value} is beyond what is kept exactly (below 2**53)"
    return None


def _column(name: str, values: Sequence[Any], is_number: bool, path: str) -> tuple[Column, NDArray[np.float64]]:
    """What a column of good values is, and its values as they are packed."""
    whole = all(map(_is_whole, values))
    if is_number:
        numbers = np.array([_number(value) for value in values], dtype=np.float64)
        return Column(name, "number", "int64" if whole else "float64"), numbers
    texts = [str(int(value)) if whole else str(value) for value in values]
    dtype: DType = "int64" if whole else "bool" if all(isinstance(value, bool) for value in values) else "string"
    categories = tuple(sorted(set(texts), key=int if whole else None))
    if len(categories) > MOST_CATEGORIES or (len(categories) > FEW_VALUES and 2 * len(categories) > len(texts)):
        raise DataError(
            f"{path}: column {safe_path(name)} has {len(categories):,} different values in {len(texts):,} rows, which is no category; "
            "leave it out by data.drop"
        )
    index = {category: float(i) for i, category in enumerate(categories)}
    return Column(name, "category", dtype, categories), np.array([index[text] for text in texts], dtype=np.float64)


def _texts(label: Column, values: NDArray[np.float64]) -> list[str]:
    assert label.categories is not None  # noqa: S101
    return [label.categories[int(value)] for value in values]


def _classes(label: Column, values: NDArray[np.float64], path: str) -> tuple[str, ...]:
    classes = label.categories or ()
    if len(classes) == 1:
        raise DataError(f"data.label: column {safe_path(label.name)} of {path} is {classes[0]!r} in every row; leave the label out")
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"data.label: column {safe_path(label.name)} of {path} has {len(classes):,} different values, and at most {MOST_CLASSES} "
            "classes can be asked for; leave the label out, and it is a column like any other"
        )
    return classes


def _named(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(safe_path(name[:80]) for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")
