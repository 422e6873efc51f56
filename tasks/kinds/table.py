"""Rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.kinds.kind import DataKind

if TYPE_CHECKING:
    from gan_core.kinds.table import Table
    from tasks.params import DataParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow, Row


class TableKind(DataKind):
    """Rows (D,): numbers as they are, categories as their index."""

    makes = "rows of a table"
    scores = "tasks.scoring.table:TableScoring"
    deciding = ("detection",)
    beside = ("utility",)

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.inspection import Inspection, Row, each_told
        from tasks.validation.tables import inspect_table, read_table

        (member,) = raw.members
        found, classes, table = inspect_table(read_table(raw.read(member), member.path), data, data.file_name)
        rows = (
            Row(f"{member.path}#{number}", row.sha256, row.label, row.reason, row.number, repeat=row.repeat)
            for number, row in enumerate(found, start=1)
        )
        return Inspection(each_told(rows, len(found), on_row), classes, table, notes=[*table.said(data.file_name)])

    def pack(self, folder: Path, inspection: Inspection, packed: Mapping[str, Sequence[Row]], data: DataParams, raw: RawReader) -> Table:
        import numpy as np

        from gan_core.kinds.table import Table
        from tasks.validation.packing import labels_of, numbers_of

        table, classes = inspection.samples, inspection.classes
        rows = {split: np.ascontiguousarray(table.values[numbers]) for split, numbers in numbers_of(packed).items()}
        return Table.pack(folder, rows, table.schema, labels_of(packed, classes), classes, data.modes)
