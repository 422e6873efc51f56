"""`table://PATH`, a table in a file as it is, or one on the network; and `sklearn://breast-cancer`, `iris` and `wine`, scikit-learn's
own tables as CSV.

A table is looked at as a whole before it replaces the one that was fetched last, since what a server sends under its name may be another
thing: a login page, an error in JSON, a notice that it is down.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from gan_core.errors import DataError
from tasks.addresses import EXCEL_SUFFIXES, SKLEARN_TABLES, TABLE_SUFFIXES, table_suffix
from tasks.params import DataParams
from tasks.sources.content import what_came
from tasks.sources.raw import Kind, RawReader, safe_path
from tasks.sources.remote import LocalCopy
from tasks.sources.source import SourceFile, expand_path, made, open_file, state_of
from tasks.validation.table_files import Cells, read_table
from tasks.workspace import Workspace

_SIGNATURES: Mapping[str, tuple[bytes, ...]] = {
    ".parquet": (b"PAR1",),
    **dict.fromkeys(EXCEL_SUFFIXES, (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")),
}
"""How files begin that would otherwise be taken for another thing."""
_PACKED = "it is packed; unpack it and name the file in it"
_SAVE = 'read it with pandas, and save it with to_parquet("rows.parquet")'
_FROM_THERE = "save it as CSV or Parquet from the program that wrote it"
_ADVICE = {
    ".txt": "name it .csv where its columns are parted by commas, semicolons, tabs or bars",
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst", ".7z"), _PACKED),
    **dict.fromkeys((".json", ".jsonl", ".ndjson", ".xml", ".html", ".sav", ".dta", ".sas7bdat", ".xpt"), _SAVE),
    **dict.fromkeys(
        (".h5", ".hdf5", ".pkl", ".pickle", ".rds", ".rdata", ".db", ".sqlite", ".duckdb", ".arrow", ".avro", ".numbers"), _FROM_THERE
    ),
}
"""What to do with a file that is no table here, by how its name ends."""
_SHOWN = 5
"""Columns that a message names, at most."""


class TableSource:
    """A table in a file."""

    kind: Kind = "table"
    fingerprint = None
    truth = None
    notes: Sequence[str] = ()

    def __init__(self, workspace: Workspace, data: DataParams) -> None:
        self._source = data.source
        self._path = expand_path(data.location, workspace, "data.source")
        self.identity = f"table://{safe_path(str(self._path))}"

    def look(self) -> Sequence[SourceFile]:
        shown = safe_path(str(self._path))
        suffix = self._path.suffix.lower()
        if suffix not in TABLE_SUFFIXES:
            advice = _ADVICE.get(suffix, f"the forms of table that are read are {', '.join(TABLE_SUFFIXES)}")
            raise DataError(f"{self._source}: {shown} is no table that is read here: {advice}")
        now = time.time_ns()
        try:
            path = self._path.resolve(strict=True)
            facts = path.stat()
        except FileNotFoundError:
            raise DataError(f"{self._source}: {shown} is not there; put it there or correct data.source") from None
        except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
            raise DataError(f"{self._source}: {shown} cannot be read ({getattr(error, 'strerror', None) or error})") from None
        if not path.is_file():
            raise DataError(f"{self._source}: {shown} is no ordinary file; name a table")
        return [SourceFile(f"table{suffix}", facts.st_size, state_of(facts, now), partial(open_file, os.fspath(path)))]

    def check(self, before: RawReader | None = None) -> int:
        with open_file(self._path.resolve()) as file:
            return _rows_of(file.read(), safe_path(self._path.name), before, self._source)


class RemoteTable:
    """A table on the network.

    Args:
        copy: its copy on this machine.
        identity: as `Source.identity`.
        source: as params.yaml says it.
    """

    kind: Kind = "table"
    truth = None
    fingerprint = None

    def __init__(self, copy: LocalCopy, identity: str, source: str) -> None:
        self._copy = copy
        self._source = source
        self._suffix = PurePosixPath(copy.where).suffix.lower()
        self.identity = identity

    @property
    def notes(self) -> Sequence[str]:
        return self._copy.notes

    def look(self) -> Sequence[SourceFile]:
        size, state = self._copy.facts.size, self._copy.facts.state
        if size is None:
            size = self._copy.file.seek(0, os.SEEK_END)
        return [SourceFile(f"table{self._suffix}", size, state, self._copy.opened)]

    def check(self, before: RawReader | None = None) -> int:
        with self._copy.opened() as file:
            return _rows_of(file.read(), self._copy.where, before, self._source)


class SklearnTableSource:
    """A table that comes with scikit-learn; its target is the last column, by the names of its classes."""

    kind: Kind = "table"
    fingerprint = None
    truth = None
    notes: Sequence[str] = ()

    def __init__(self, name: str) -> None:
        self._name = name
        self.identity = f"sklearn://{name}"
        self._count = 0

    def look(self) -> Sequence[SourceFile]:
        from sklearn import datasets

        bunch = getattr(datasets, SKLEARN_TABLES[self._name])(as_frame=True)
        names = dict(enumerate(bunch.target_names.tolist()))
        frame = bunch.frame.assign(target=bunch.frame["target"].map(names))
        self._count = len(frame)
        file = io.StringIO()
        frame.to_csv(file, index=False, lineterminator="\n")
        return [made("table.csv", file.getvalue().encode())]

    def check(self, before: RawReader | None = None) -> int:
        return self._count


def _rows_of(data: bytes, where: str, before: RawReader | None, source: str) -> int:
    """How many rows a table has, which must be one that may take the place of the last.

    Args:
        data: its bytes.
        where: what messages call it; ends as its name does.
        before: what was fetched last.
        source: as params.yaml says it.

    Raises:
        DataError: it is no table, has no rows, or shares no column with the last one of the same source.
    """
    if came := what_came(data, right=_SIGNATURES.get(table_suffix(where) or "", ())):
        raise DataError(f"{where}: is {came}, not a table; correct data.source, or try again when the server is well")
    cells = read_rows(data, where)
    if before is not None and before.kind == "table" and before.about.source == source:
        last = _columns_of(before)
        if last and not last & {*cells.names}:
            raise DataError(
                f"{where}: has none of the columns of the table that was fetched last ({_named(sorted(last))}), but {_named(cells.names)}; "
                f"if it is meant to replace that, remove {before.folder} and fetch again"
            )
    return len(cells.rows)


def read_rows(data: bytes, where: str) -> Cells:
    """A table's cells, of one row or more.

    Args:
        data: its bytes.
        where: what messages call it; ends as its name does.

    Raises:
        DataError: it is no table, or has no rows.
    """
    cells = read_table(data, where)
    if not cells.rows:
        raise DataError(f"{where}: has no rows below its first line, which names {_named(cells.names)}")
    return cells


def _columns_of(raw: RawReader) -> set[str]:
    """The columns of a fetched table, with children of the first one; none where it cannot be read."""
    try:
        member = next(member for member in raw.members if member.path.startswith("table."))
        return {*read_table(raw.read(member), member.path).names}
    except (DataError, ValueError, StopIteration):
        return set()


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(safe_path(name[:40]) for name in names[:_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")
