"""Tables from file to packed data set: what each column is, and what is refused or set aside, and how that is said."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import planted_table
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_sets import entry, write_table

from gan_core.data.dataset import SPLITS, Dataset
from gan_core.errors import DataError
from tasks.params import DataParams
from tasks.sources import open_source
from tasks.sources.raw import RawReader
from tasks.validate import validate
from tasks.validation.table_files import read_table
from tasks.validation.tables import inspect_table
from tasks.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def planted_frame(count: int = 200) -> pd.DataFrame:
    values, labels = planted_table.rows(count)
    columns: dict[str, Any] = {}
    for column, numbers in zip(planted_table.COLUMNS, values.T, strict=True):
        if column.categories is not None:
            columns[column.name] = [column.categories[int(number)] for number in numbers]
        else:
            columns[column.name] = numbers.astype(column.dtype)
    columns["rooms"] = [int(text) for text in columns["rooms"]]
    return pd.DataFrame({**columns, "bought": [planted_table.CLASSES[label] for label in labels]})


def as_csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def run(place: Workspace, data: bytes, suffix: str = ".csv", limits: Mapping[str, Any] | None = None, **keys: Any) -> Dataset:
    write_table(place.raw("t"), data, suffix)
    validate(place, "t", entry({"source": f"table:///rows{suffix}", **keys}, {"min_samples": 4, **(limits or {})}))
    return Dataset.open(place.ready("t"))


def reasons(data: bytes, suffix: str = ".csv", **keys: Any) -> dict[int, str]:
    """By number, from 1, the reason of each row that is set aside."""
    found, _, _ = inspect_table(read_table(data, f"t{suffix}"), DataParams(source="table:///t", **keys), f"t{suffix}")
    return {number: row.reason for number, row in enumerate(found, start=1) if row.reason is not None}


class TestGoodTables:
    @pytest.mark.parametrize(("to_bytes", "suffix"), [(as_csv, ".csv"), (as_parquet, ".parquet")])
    def test_columns_and_rows_are_those_of_the_file(self, place: Workspace, to_bytes: Any, suffix: str) -> None:
        frame = planted_frame()
        dataset = run(place, to_bytes(frame), suffix, label="bought", holdout=0.25)
        known = dataset.spec.schema
        assert known is not None
        found = [(column.name, column.kind, column.dtype, column.categories) for column in known.columns]
        assert found == [(column.name, column.kind, column.dtype, column.categories) for column in _with_constant(planted_table.COLUMNS)]
        assert (known.label, dataset.spec.classes, dataset.spec.shape) == ("bought", ("no", "yes"), (5,))
        manifest = pd.read_parquet(place.ready("t") / "manifest.parquet")
        for split in SPLITS:
            part = manifest[manifest["split"] == split]
            numbers = part["path"].str.removeprefix(f"table{suffix}#").astype(int) - 1
            np.testing.assert_array_equal(dataset.samples[split][:, 0], frame["height"].iloc[numbers])
            np.testing.assert_array_equal(dataset.samples[split][:, 1], frame["age"].iloc[numbers])
            assert [planted_table.CLASSES[label] for label in dataset.labels[split]] == frame["bought"].iloc[numbers].tolist()
            assert list(part["label"]) == frame["bought"].iloc[numbers].tolist()
        assert known.shares == pytest.approx([1 - dataset.labels["train"].mean(), dataset.labels["train"].mean()])

    def test_the_same_table_gives_the_same_bytes(self, tmp_path: Path) -> None:
        data = as_csv(planted_frame())
        digests = [run(Workspace(tmp_path / name), data, label="bought").spec.digest for name in ("one", "two")]
        assert digests[0] == digests[1]

    def test_without_a_label_it_is_a_column_like_any_other(self, place: Workspace) -> None:
        dataset = run(place, as_csv(planted_frame()))
        assert dataset.spec.classes is None
        assert dataset.spec.schema is not None
        assert (dataset.spec.schema.columns[-1].name, dataset.spec.schema.columns[-1].categories) == ("bought", ("no", "yes"))

    def test_named_columns_are_categories_or_left_out(self, place: Workspace) -> None:
        dataset = run(place, as_csv(planted_frame(400)), categorical=["age"], drop=["height", "always"])
        assert dataset.spec.schema is not None
        age, *rest = dataset.spec.schema.columns
        assert age.kind == "category"
        assert age.dtype == "int64"
        assert list(age.categories or ()) == sorted(age.categories or (), key=int)  # as numbers, not as texts
        assert [column.name for column in rest] == ["colour", "rooms", "bought"]

    def test_as_many_modes_as_the_entry_allows(self, tmp_path: Path) -> None:
        """Heights lie around -10 and 10."""
        for modes, expected in ((1, 1), (2, 2)):
            dataset = run(Workspace(tmp_path / str(modes)), as_csv(planted_frame()), label="bought", modes=modes)
            assert dataset.spec.schema is not None
            assert len(dataset.spec.schema.columns[0].modes or ()) == expected

    def test_marks_of_a_spreadsheet_are_read(self) -> None:
        """A byte order mark, line ends of Windows, quotes, a comma and a line break in a cell, blank lines."""
        cells = read_table('\ufeffname,"a, b"\r\n"x ""y""",1.5\r\n\r\n"two\r\nlines",2\r\n'.encode(), "t.csv")
        assert cells.names == ("name", "a, b")
        assert cells.rows == [('x "y"', "1.5"), ("two\r\nlines", "2")]

    def test_postcodes_are_texts_and_counts_of_few_values_categories(self) -> None:
        text = "postcode,stars,size\n" + "".join(f"0{i % 7}123,{i % 5},{3 * i}\n" for i in range(40))
        _, _, table = inspect_table(read_table(text.encode(), "t.csv"), DataParams(source="table:///t"), "t.csv")
        assert [(column.kind, column.dtype) for column in table.schema.columns] == [
            ("category", "string"), ("category", "int64"), ("number", "int64"),
        ]  # fmt: skip
        assert (table.schema.columns[0].categories or ())[0] == "00123"

    def test_booleans_of_parquet_stay_booleans(self) -> None:
        frame = pd.DataFrame({"flag": [True, False] * 10, "x": np.arange(20) / 2})
        _, _, table = inspect_table(read_table(as_parquet(frame), "t.parquet"), DataParams(source="table:///t"), "t.parquet")
        assert (table.schema.columns[0].dtype, table.schema.columns[0].categories) == ("bool", ("False", "True"))

    def test_equal_cells_stay_on_one_side_of_the_split(self, place: Workspace) -> None:
        frame = planted_frame(100)
        dataset = run(place, as_csv(pd.concat([frame, frame])), label="bought", holdout=0.3)
        rows = {split: {tuple(row) for row in dataset.samples[split].tolist()} for split in SPLITS}
        assert not rows["train"] & rows["holdout"]
        assert dataset.spec.counts["train"] % 2 == dataset.spec.counts["holdout"] % 2 == 0


def _with_constant(columns: tuple[Any, ...]) -> list[Any]:
    """A whole number that never changes is a category of one value."""
    return [
        column if column.name != "always" else type(column)("always", "category", "int64", ("7",))
        for column in columns
    ]  # fmt: skip


class TestRowsSetAside:
    def test_each_with_its_number_and_reason(self, place: Workspace) -> None:
        lines = as_csv(planted_frame(60)).decode().splitlines()
        header, good = lines[0], lines[1:]
        assert header == "height,age,always,colour,rooms,bought"
        bad = {
            1: ("inf,30,7,red,1,yes", "height: not finite (inf)"),
            2: ("1.5,30,7,red,1,NA", "bought: missing"),
            3: ("tall,30,7,red,1,yes", "height: 'tall' is no number, as other values are"),
            4: (",NA,?,,nan,", "bought: missing"),
            5: ("1.5,30,7,red,1", "has 5 cells, and the table 6 columns"),
            6: ("1.5,30,7,red,1,yes,extra", "has 7 cells, and the table 6 columns"),
            7: ("1.5,30,7,red,1,", "bought: missing"),
            8: ("-inf,30,7,red,1,yes", "height: not finite (-inf)"),
            9: ("1.5,abc,7,red,1,yes", "age: 'abc' is no number, as other values are"),
            10: (f"1.5,30,7,{'x' * 10_000_000},1,yes", "colour: a cell of 10,000,000 characters, more than 1,000"),
            11: ("1.5,9007199254740993,7,red,1,yes", "age: 9007199254740993 is beyond what is kept exactly (below 2**53)"),
            12: ("1e308,30,7,red,1,yes", "height: 1e308 is beyond what can be computed with (1e100)"),
            13: ("1.5,30,7,r\0d,1,yes", "colour: holds a zero byte"),
        }
        text = "\n".join([header, *(line for line, _ in bad.values()), *good * 3]) + "\n"
        assert reasons(text.encode(), label="bought") == {number: reason for number, (_, reason) in bad.items()}
        dataset = run(place, text.encode(), label="bought", limits={"max_quarantined": 0.1})
        assert sum(dataset.spec.counts.values()) == 180
        with (place.ready("t") / "quarantine.csv").open(newline="", encoding="utf-8") as file:
            listed = {row["path"]: row["reason"] for row in csv.DictReader(file)}
        assert listed == {f"table.csv#{number}": reason for number, (_, reason) in bad.items()}

    def test_of_parquet(self) -> None:
        frame = pd.DataFrame({"x": [1.5, None, np.inf, None] + [2.5] * 20, "text": ["a", "b", "a", None] + ["b"] * 20})
        assert reasons(as_parquet(frame), ".parquet") == {3: "x: not finite (inf)", 4: "every cell is missing"}

    def test_too_many_stop_the_run(self, place: Workspace) -> None:
        lines = as_csv(planted_frame(60)).decode().splitlines()
        with pytest.raises(DataError, match=r"in quarantine \(validate\.max_quarantined\).*\n.*table\.csv#1: has 1 cell, and"):
            run(place, "\n".join([lines[0], "oops", "oops", *lines[1:]]).encode(), label="bought")


REFUSED: list[tuple[bytes, dict[str, Any], str]] = [
    (b"", {}, r"table\.csv: is empty; a table begins with a row of columns' names"),
    (b"\n\n", {}, r"table\.csv: is empty"),
    (b"a,b\n", {}, r"holds no samples"),
    ("größe,b\n1,2\n".encode("latin-1"), {}, r"table\.csv: not UTF-8 text \(byte 2, line 1\); save it as UTF-8"),
    ("a,b\n1,2\nä,3\n".encode("utf-16"), {}, r"table\.csv: not UTF-8 text \(byte 0, line 1\)"),
    (b"a,b,a,b,c\n1,2,3,4,5\n", {}, r"2 columns' names occur more than once: a, b; give each column a name of its own"),
    (b"a,,b\n1,2,3\n", {}, r"column 2 has no name"),
    (b"1,2\n3,4\n", {}, r"its first row holds values \(1, 2\); a table begins with a row of columns' names"),
    (b'a,b\n1,"2\n3,4\n', {}, r"no readable CSV at line 3 .*a quote that is never closed"),
    (b"colour,b\nred,2.5\n", {"label": "color"}, r"data\.label: rows\.csv has no column 'color'; did you mean colour\?"),
    (b"a,b\nred,2.5\n", {"categorical": ["price"]}, r"data\.categorical: rows\.csv has no column 'price'; it has a, b"),
    (b"a,b\nred,2.5\n", {"label": "a", "drop": ["b"]}, r"has no column left beside the label"),
    (b"a,b\n" + b"red,2.5\n" * 20, {"label": "a"}, r"data\.label: column a of rows\.csv is 'red' in every row; leave the label out"),
    (b"a,b\n" + b"".join(b"x%d,2.5\n" % i for i in range(300)) * 3, {"label": "a"}, r"has 300 different values, and at most 100 classes"),
    (
        b"a,b\n" + b"".join(b"row %d,2.5\n" % i for i in range(30)),
        {"drop": ["b"]},
        r"no column left beside the label: a \(it holds a text of its own in most rows \(30 different ones in 30\)\)",
    ),
    (b"a,b\n" + b"x,2.5\n" * 30, {}, r"no column of the table ever changes, so there is nothing to learn"),
    (b"a,b\n" + b"".join(b"%d,\n" % (i * i) for i in range(30)), {"label": "b"}, r"column b of rows\.csv cannot be used: it is empty in"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "keys", "message"), REFUSED)
def test_a_table_that_cannot_be_used_is_refused_and_says_why(place: Workspace, data: bytes, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(place, data, **keys)
    assert not (place.ready("t") / "dataset.json").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1,2\n", r"table\.parquet: no readable Parquet file"),
        (
            as_parquet(pd.DataFrame({"a": ["x1y2z"] * 5})).replace(b"x1y2z", b"x\xff\xfez!"),
            r"table\.parquet: no readable Parquet file \(.*UTF8",
        ),
        (
            as_parquet(pd.DataFrame({"when": [time(20, 1, 1)] * 5})),
            r"column when holds time64.*; tables hold numbers, texts, booleans, days and moments: convert it, or name it in data\.drop",
        ),
    ],
)
def test_a_parquet_file_that_cannot_be_used(place: Workspace, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(place, data, ".parquet")


def test_a_small_file_of_endless_rows_is_not_read(place: Workspace) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": pa.nulls(60_000_000), "b": pa.nulls(60_000_000)}), file)
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(DataError, match=r"table\.parquet: has 120,000,000 cells, and at most 100,000,000 are read; write fewer"):
        run(place, file.getvalue(), ".parquet")


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_damaged_parquet_file_never_ends_in_anything_but_words(compression: str) -> None:
    file = io.BytesIO()
    pd.DataFrame({"x": [1.5, 2.5, None] * 20, "text": ["ab", "cd", "ef"] * 20}).to_parquet(file, compression=compression)
    draw = random.Random(compression)  # noqa: S311  nothing secret
    refused = 0
    for _ in range(300):
        data = bytearray(file.getvalue())
        for _ in range(draw.choice((1, 3, 20))):
            data[draw.randrange(len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
        try:
            read_table(bytes(data), "table.parquet")
        except DataError:
            refused += 1
    assert 100 < refused < 300


class TestSources:
    def test_a_file_is_kept_as_it_is(self, place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = as_csv(planted_frame())
        (tmp_path / "some rows.CSV").write_bytes(data)
        monkeypatch.setenv("TABLES", str(tmp_path))
        source = open_source(place, DataParams(source="table://$TABLES/some rows.CSV"))
        (file,) = source.look()
        with file.open() as stream:
            assert (file.path, stream.read(), file.size) == ("table.csv", data, len(data))
        assert source.check() == 200

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("none.csv", r"none\.csv is not there; put it there or correct data\.source"),
            ("rows.txt", r"rows\.txt is no table that is read here: name it \.csv"),
            ("folder.csv", r"folder\.csv is no ordinary file"),
        ],
    )
    def test_what_is_no_table_is_refused(self, place: Workspace, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / "rows.txt").touch()
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(DataError, match=message):
            open_source(place, DataParams(source=f"table://{tmp_path}/{name}")).look()

    @pytest.mark.parametrize(
        ("name", "rows", "columns", "classes"),
        [
            ("breast-cancer", 569, 30, {"malignant": 212, "benign": 357}),
            ("wine", 178, 13, {"class_0": 59, "class_1": 71, "class_2": 48}),
            ("iris", 150, 4, {"setosa": 50, "versicolor": 50, "virginica": 50}),
        ],
    )
    def test_tables_of_scikit_learn(self, place: Workspace, name: str, rows: int, columns: int, classes: dict[str, int]) -> None:
        source = open_source(place, DataParams(source=f"sklearn://{name}"))
        (file,) = source.look()
        with file.open() as stream:
            frame = pd.read_csv(stream)
        assert (source.kind, source.check(), frame.shape) == ("table", rows, (rows, columns + 1))
        assert frame["target"].value_counts().to_dict() == classes
        from sklearn import datasets

        loaded = getattr(datasets, f"load_{name.replace('-', '_')}")()
        np.testing.assert_array_equal(frame.iloc[:, :-1].to_numpy(), loaded.data)


def test_raw_holds_the_table_under_its_kind(place: Workspace) -> None:
    write_table(place.raw("t"), as_csv(planted_frame()))
    with RawReader.open(place.raw("t")) as raw:
        assert (raw.kind, [member.path for member in raw.members]) == ("table", ["table.csv"])
