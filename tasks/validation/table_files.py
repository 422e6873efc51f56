"""Tables as files: CSV, TSV, Parquet, Feather, ORC and Excel, read as names and rows of cells.

CSV is read as RFC 4180 has it: UTF-8, a first row of names, columns parted by commas, or by semicolons, tabs or bars where the first row
has no comma; by tabs in a .tsv. A row is counted from 1 below that one.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gan_core.errors import DataError
from tasks.addresses import EXCEL_SUFFIXES, table_suffix
from tasks.sources.raw import safe_path
from tasks.validation.columns import is_plain_number, is_whole

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CELLS = 100_000_000
"""Rows times columns of a file in which equal ones take next to no place."""

_MOST_UNPACKED = 2_000_000_000  # bytes of a workbook of Excel, which is a zip file
_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Cells:
    """A table as it was read."""

    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...] | str]
    """The cells of each row, text, numbers, days, moments or None; or the reason why a row cannot be used."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that are none of the data's own, and why."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Columns of a type that is not read, and the type: their cells are None."""
    notes: tuple[str, ...] = ()
    """How the file was read, where that is not plain."""
    mark: str = ""
    """What parts the columns of a CSV, where it is no comma."""


def read_table(data: bytes, path: str) -> Cells:
    """The cells of a table's file.

    Args:
        data: its bytes.
        path: its name, which ends with one of `TABLE_SUFFIXES` of `tasks.addresses`; messages begin with it.

    Raises:
        DataError: it is no such file, is not UTF-8, or its columns have no names or one name twice.
    """
    suffix = table_suffix(path) or ".csv"
    if suffix in EXCEL_SUFFIXES:
        cells = _read_excel(data, path)
    elif suffix in _COLUMNAR:
        cells = _read_columnar(data, path, suffix)
    else:
        cells = _read_csv(data, path, "\t" if suffix == ".tsv" else None)
    twice = [name for name, count in Counter(cells.names).items() if count > 1]
    if twice:
        raise DataError(f"{path}: {len(twice)} columns' names occur more than once: {_listed(twice)}; give each column a name of its own")
    empty = [str(i) for i, name in enumerate(cells.names, start=1) if not name.strip() and name not in cells.left_out]
    if empty:
        raise DataError(f"{path}: column {', '.join(empty)} has no name; name every column in the first row")
    return cells


def _read_csv(data: bytes, path: str, mark: str | None = None) -> Cells:
    """Of a CSV; None for `mark` is a comma, or another one where the first row has none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: not UTF-8 text (byte {error.start:,}, line {line:,}); save it as UTF-8") from None
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))

    def parted(by: str) -> Any:
        return csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=by)

    reader = parted(mark or ",")
    try:
        names = next((row for row in reader if row), None)
        if names is None:
            raise DataError(f"{path}: is empty; a table begins with a row of columns' names")
        notes, found = [], ""
        if mark is None and len(names) == 1 and (other := next((other for other in _MARKS if other in names[0]), None)):
            notes.append(f"its columns are parted by {_MARKS[other]}")
            reader = parted(found := other)
            names = next(row for row in reader if row)
        rows = [_shaped(row, len(names)) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}: no readable CSV at line {reader.line_num:,} ({error}); look for a quote that is never closed") from None
    finally:
        csv.field_size_limit(limit)
    names = [name.strip() for name in names]
    whole = [row for row in rows if not isinstance(row, str)]
    _check_header(names, whole, path)
    left_out = {}
    if names[0] == "" and len({row[0] for row in whole}) == len(whole) and all(is_whole(row[0].strip()) for row in whole):
        left_out[""] = "the first one, without a name, numbers the rows, as pandas' index does"
    return Cells(tuple(names), rows, left_out, notes=tuple(notes), mark=found)


def _check_header(names: Sequence[str], rows: Sequence[tuple[str, ...]], path: str) -> None:
    """Refuse a first row that holds values.

    Names may be numbers, such as years, but no number with decimals is one; and where each is a number or stands below itself, none is.
    """
    found = ", ".join(safe_path(name[:80]) for name in names[:5])
    wanted = f"its first row holds values ({found}); a table begins with a row of columns' names"
    if all(map(is_plain_number, names)) or any(is_plain_number(name) and not is_whole(name) for name in names):
        raise DataError(f"{path}: {wanted}")
    values = [{row[i].strip() for row in rows} for i in range(len(names))]
    if rows and all(name in below or is_plain_number(name) for name, below in zip(names, values, strict=True)):
        raise DataError(f"{path}: {wanted}")


def _shaped(row: list[str], columns: int) -> tuple[str, ...] | str:
    if len(row) != columns:
        return f"has {len(row)} {'cell' if len(row) == 1 else 'cells'}, and the table {columns} columns"
    return tuple(row)


def _read_columnar(data: bytes, path: str, suffix: str) -> Cells:
    import pyarrow as pa

    what, read = _COLUMNAR[suffix]
    unreadable: dict[str, str] = {}
    try:
        table = read(data, path)
        table.validate(full=True)
        columns = [_values(one, column, unreadable) for one, column in zip(table.schema, table.columns, strict=True)]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: no readable {what} file ({str(error).splitlines()[0]})") from None
    left_out = {name: "it is pandas' index" for name in table.schema.names if _PANDAS_INDEX.fullmatch(name)}
    return Cells(tuple(table.schema.names), list(zip(*columns, strict=True)) if columns else [], left_out, unreadable)


def _values(field: pa.Field, column: pa.ChunkedArray, unreadable: dict[str, str]) -> list[Any]:
    """The cells of a column; None in each, and its type in `unreadable`, where that is not read."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    readable = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string, pa.types.is_null,
        pa.types.is_decimal, pa.types.is_date, pa.types.is_timestamp,
    )  # fmt: skip
    if not any(is_kind(kind) for is_kind in readable):
        unreadable[field.name] = str(field.type)
        return [None] * len(column)
    # Nanoseconds have no type in Python.
    moments = pa.types.is_timestamp(kind) and kind.unit == "ns"
    cells: list[Any] = (column.cast(pa.timestamp("us", kind.tz), safe=False) if moments else column).to_pylist()
    return cells


def _parquet(data: bytes, path: str) -> pa.Table:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    _check_cells(file.metadata.num_rows, file.metadata.num_columns, path)
    return file.read()


def _feather(data: bytes, path: str) -> pa.Table:
    import pyarrow as pa

    with pa.ipc.open_file(pa.BufferReader(data)) as file:
        batches = []
        for index in range(file.num_record_batches):  # one by one, since only each itself says how long it is
            batches.append(file.get_batch(index))
            _check_cells(sum(map(len, batches)), len(file.schema), path)
        return pa.Table.from_batches(batches, file.schema)


def _orc(data: bytes, path: str) -> pa.Table:
    from pyarrow import orc

    file = orc.ORCFile(io.BytesIO(data))
    _check_cells(file.nrows, len(file.schema), path)
    return file.read()


_COLUMNAR: Mapping[str, tuple[str, Callable[[bytes, str], pa.Table]]] = {
    ".parquet": ("Parquet", _parquet),
    ".feather": ("Feather", _feather),
    ".orc": ("ORC", _orc),
}


def _check_cells(rows: int, columns: int, path: str) -> None:
    if rows * columns > MOST_CELLS:  # equal rows take next to no place in a file
        raise DataError(f"{path}: has {rows * columns:,} cells, and at most {MOST_CELLS:,} are read; write fewer rows or columns")


def _read_excel(data: bytes, path: str) -> Cells:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise DataError(
            f"{path}: a file of Excel is read with the package python-calamine; install gantry-gan[excel], or save it as CSV"
        ) from None
    try:
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                unpacked = sum(one.file_size for one in packed.infolist())
            if unpacked > _MOST_UNPACKED:
                raise DataError(f"{path}: holds more than {_MOST_UNPACKED:,} bytes unpacked; save it as CSV")
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        names = workbook.sheet_names
        sheet = workbook.get_sheet_by_index(0).to_python() if names else []
    except (CalamineError, zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise DataError(f"{path}: no readable file of Excel ({str(error).splitlines()[0]}); save it as CSV") from None
    rows = [row for row in sheet if any(cell != "" for cell in row)]
    if not rows:
        raise DataError(f"{path}: is empty; a table begins with a row of columns' names")
    header = [str(_of_excel(cell) or "").strip() for cell in rows[0]]
    cells = [tuple(map(_of_excel, row)) for row in rows[1:]]
    _check_header(header, [tuple("" if cell is None else str(cell) for cell in row) for row in cells], path)
    notes = [f"{len(names)} sheets; the first one, {safe_path(names[0])}, is read"] if len(names) > 1 else []
    return Cells(tuple(header), cells, notes=tuple(notes))


def _of_excel(cell: Any) -> Any:
    """A cell of Excel, which knows no whole numbers."""
    if isinstance(cell, float) and cell.is_integer() and math.fabs(cell) < 2**53:
        return int(cell)
    return None if cell == "" else cell


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = [safe_path(name[:80]) for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most:,} more" if len(shown) > most else "")
