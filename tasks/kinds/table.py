"""Rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gan_core.errors import DataError
from tasks.kinds.kind import MOST_FEATURES, DataKind, Written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.schema import Column
    from gan_core.kinds.table import Table
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow
    from tasks.validation.packing import Good


_SERVED: Mapping[str, str] = {"float64": "double", "int64": "long", "bool": "boolean", "date": "datetime", "datetime": "datetime"}
"""MLflow's name of a column's type; of all others it is `string`."""
_GAP = "(missing)"


class TableKind(DataKind):
    """Rows (D,): numbers as they are, categories as their index."""

    keys = frozenset({"label", "columns", "rules", "categorical", "drop", "missing", "decimal", "modes", "key", "children"})
    family = "tables"
    makes = "rows of a table"
    shown_as = ".csv"
    kept_as: ClassVar[Mapping[str, str]] = {"csv": "CSV"}
    called = "rows of a table"
    is_read = True
    keeps_one_core = True
    scores = "tasks.scoring.table:TableScoring"
    deciding = ("detection",)
    beside = ("correlation_distance", "utility")
    fewest_of_each = 1

    def is_in(self, data: DataParams) -> bool:
        return data.has_rows

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.inspection import Inspection, Row, each_told
        from tasks.validation.table_files import read_table
        from tasks.validation.tables import inspect_table

        if data.children is not None:
            return self._families(raw, data, on_row)
        (member,) = raw.members
        found, classes, table = inspect_table(read_table(raw.read(member), member.path), data, data.file_name)
        rows = (
            Row(f"{member.path}#{number}", row.sha256, row.label, row.reason, row.number, repeat=row.repeat)
            for number, row in enumerate(found, start=1)
        )
        return Inspection(each_told(rows, len(found), on_row), classes, table, notes=[*table.said(data.file_name)])

    def _families(self, raw: RawReader, data: DataParams, on_row: OnRow) -> Inspection:
        """Rows with their children; those that belong to none stand behind them."""
        from tasks.sources.keyed import CHILDREN, PARENTS
        from tasks.validation.families import inspect_families
        from tasks.validation.inspection import Inspection, Row, each_told
        from tasks.validation.table_files import read_table

        by_name = {member.path.partition(".")[0]: member for member in raw.members}
        first, second = by_name[PARENTS], by_name[CHILDREN]
        found = inspect_families(read_table(raw.read(first), first.path), read_table(raw.read(second), second.path), data)
        each = [(f"{first.path}#{number}", row) for number, row in enumerate(found.parents, start=1)]
        each += [(f"{second.path}#{number}", row) for number, row in found.orphans.items()]
        rows = (Row(path, row.sha256, row.label, row.reason, row.number, repeat=row.repeat) for path, row in each)
        notes = *found.table.said(data.file_name), *found.second.said(data.of_children.file_name, "data.children")
        return Inspection(each_told(rows, len(each), on_row), found.classes, found.table, notes=notes)

    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> Table:
        import numpy as np

        from gan_core.kinds.table import Table

        table = good.samples
        rows = {split: np.ascontiguousarray(table.values[numbers]) for split, numbers in good.numbers().items()}
        return Table.pack(folder, rows, table.schema, good.labels, good.classes, data.modes)

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        import numpy as np

        from gan_core.kinds.table import Table
        from gan_core.metrics.rows import spread
        from tasks.scoring.scoring import chosen

        self._check_counts({"rows": dataset.spec.counts["holdout"]})
        spec = Table.of(dataset.spec)
        if not spec.encoding.width:
            raise DataError("no column of the table ever changes, so there is nothing to learn; name another table, or drop less")
        if labels := spec.schema.label_columns(spec.classes):
            cells = spec.schema.label_cells(np.array(dataset.labels["holdout"]))
            missing = [
                f"{column.name}={name}" if len(labels) > 1 else name
                for column, held_out in zip(labels, cells.T, strict=True)
                for k, name in enumerate(column.categories or ())
                if k not in held_out
            ]
            if missing:
                raise DataError(
                    f"no held-out row of {', '.join(missing)}, so a classifier cannot be tested on it; a larger data.holdout holds out "
                    "more, and where there is one row, or equal ones alone, add others or leave them out at the source"
                )
        tested = dataset.samples["holdout"][chosen(dataset, "holdout", params.samples, params.seed)]
        for column, held_out in zip(spec.schema.columns, tested.T, strict=True):
            if column.name in spec.schema.targets and not spread(held_out):
                raise DataError(
                    f"the label {column.name} is {held_out[0]:.12g} in every held-out row, so nothing that tells it can be tested; "
                    "a larger data.holdout holds out more, or leave the label out"
                )

    def drift_of(self, samples: NDArray[np.float64], spec: Table) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        """A gap stands at the centre of its column, in the features."""
        import numpy as np

        columns = spec.schema.columns
        filled = np.where(np.isnan(samples), np.array([column.centre for column in columns]), samples)
        numbers = {column.name: values for column, values in zip(columns, samples.T, strict=True) if column.kind == "number"}
        return numbers, filled[:, :MOST_FEATURES]

    def drift_categories(self, dataset: Dataset) -> Mapping[str, Mapping[str, int]]:
        """With the gaps of each number that has any."""
        import numpy as np

        from gan_core.kinds.table import Table

        found = {}
        for column, values in zip(Table.of(dataset.spec).schema.columns, dataset.samples["train"].T, strict=True):
            if column.categories is not None:
                counts = np.bincount(values.astype(np.int64), minlength=len(column.categories))
                found[column.name] = {name or _GAP: int(count) for name, count in zip(column.categories, counts, strict=True)}
            elif column.missing:
                gaps = int(np.isnan(values).sum())
                found[column.name] = {_GAP: gaps, "(present)": len(values) - gaps}
        return found

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        """In a folder, rows with children are two tables with a key; in one file, a row's children stand in it as a list in JSON."""
        import numpy as np

        from tasks.samples import children_frame, table_frame, whole_frame

        names = np.array([column.name for column in samples.schema.columns] if samples.schema is not None else [])

        def as_text(frame: DataFrame, path: Path) -> None:
            mark = "" if samples.schema is None else samples.schema.mark
            frame.to_csv(path, sep=mark or ",", index=False, lineterminator="\n")

        def csv(path: Path) -> None:
            as_text(whole_frame(samples, classes), path)

        def parquet(path: Path) -> None:
            whole_frame(samples, classes).to_parquet(path, index=False)

        def each(folder: Path) -> None:
            if samples.schema is None or (children := samples.schema.children) is None:
                return csv(folder / "rows.csv")
            parents = table_frame(samples, classes)
            as_text(parents, folder / f"{children.parent}.csv")
            as_text(children_frame(samples, parents), folder / f"{children.name}.csv")

        return Written({"rows": samples.samples, "columns": names}, {".csv": csv, ".parquet": parquet}, each)

    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        from tasks.samples import whole_frame

        frame = whole_frame(samples, classes)
        gaps = frame.isna()
        # JSON has no other word for a gap, and MLflow cannot write pandas' own.
        for column in gaps.columns[gaps.any()]:
            frame[column] = frame[column].astype(object).where(~gaps[column], None)
        return frame

    def holds(self, spec: Table) -> Mapping[str, str]:
        samples = "numbers as they are, days or seconds since 1970, NaN for a gap, the index of a category"
        return {"samples": samples, "values": "rows as the network encodes them"}

    def facts(self, spec: Table) -> Mapping[str, Any]:
        schema = spec.schema
        found: dict[str, Any] = {
            "columns": _described(schema.columns),
            "label_column": {"name": schema.label, "dtype": schema.label_dtype},
            "label_shares": schema.shares,
        }
        if schema.labels:
            found |= {"label_columns": _described(schema.labels), "label_combinations": schema.combinations}
        return found

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        schema = config.schema
        assert schema is not None, "rows have columns"  # noqa: S101
        columns = [("string" if column.format else column.dtype, column.name) for column in schema.own]
        for one in schema.invented:
            columns.insert(one.place, (one.dtype, one.name))
        columns += [(column.dtype, column.name) for column in schema.label_columns(config.classes)]
        columns += [] if schema.children is None else [("string", schema.children.name)]
        return [(_SERVED.get(dtype, "string"), name) for dtype, name in columns]


def _described(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [{key: getattr(column, key) for key in ("name", "dtype", "categories", "format")} for column in columns]
