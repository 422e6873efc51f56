"""`table://PATH`, a CSV or Parquet file as it is; and `sklearn://breast-cancer`, `iris` and `wine`, scikit-learn's own tables as CSV."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from functools import partial

from gan_core.errors import DataError
from tasks.addresses import SKLEARN_TABLES, TABLE_SUFFIXES
from tasks.params import DataParams
from tasks.sources.raw import Kind, safe_path
from tasks.sources.source import SourceFile, expand_path, made, open_file, state_of
from tasks.validation.tables import read_table
from tasks.workspace import Workspace


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
            raise DataError(f"{self._source}: {shown} ends with neither {' nor '.join(TABLE_SUFFIXES)}, the forms of table that are read")
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

    def check(self) -> int:
        with open_file(self._path.resolve()) as file:
            return len(read_table(file.read(), safe_path(self._path.name)).rows)


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

    def check(self) -> int:
        return self._count
