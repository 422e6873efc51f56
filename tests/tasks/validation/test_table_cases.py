"""Tables as people have them: what each column is read as, what is left out, and that both are said."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_sets import entry, write_table

from gan_core.data.dataset import SPLITS, Dataset
from gan_core.errors import DataError
from gan_core.generator import Samples
from gan_core.kinds.schema import Column
from gan_core.written import NumberForm
from tasks.params import DataParams
from tasks.sample_files import write_samples
from tasks.samples import table_frame
from tasks.validate import validate
from tasks.validation.table_files import read_table
from tasks.validation.tables import TableRow, TableRows, inspect_table
from tasks.workspace import Workspace

DRAW = np.random.default_rng(0)
NOISE = DRAW.normal(size=400).round(4)


def csv(columns: dict[str, Sequence[Any]], mark: str = ",", header: bool = True) -> bytes:
    return pd.DataFrame(columns).to_csv(index=False, sep=mark, header=header).encode()


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def read(data: bytes, suffix: str = ".csv", **keys: Any) -> tuple[list[TableRow], TableRows, dict[str, Column]]:
    rows, _, table = inspect_table(read_table(data, f"t{suffix}"), DataParams(source=f"table:///t{suffix}", **keys), f"t{suffix}")
    return rows, table, {column.name: column for column in table.schema.columns}


def remarks(table: TableRows) -> dict[str, str]:
    """By column, what is said of it."""
    return {one.name: one.remark for one in table.found}


def drawn(table: TableRows, count: int = 60) -> Samples:
    """The first rows, as if a generator had drawn them."""
    known = table.schema.fitted(table.values, None, 0)
    return Samples(table.values[:count], None, "table", known)


def test_columns_that_are_not_the_data_s_own_are_left_out_and_named() -> None:
    columns = {
        "x": NOISE, "empty": [None] * 400, "id": DRAW.permutation(10**6)[:400], "number": np.arange(400),
        "code": [f"A-{i:x}" for i in range(400)], "text": [f"it was {value} then" for value in NOISE + np.arange(400)],
        "mail": [f"{name}@example.org" for name in DRAW.choice(["ann", "bob", "cy"], 400)],
        "call": [f"+47 22 {i:02} {i + 3:02} 17" for i in DRAW.integers(0, 50, 400)],
    }  # fmt: skip
    rows, table, found = read(csv(columns))
    assert list(found) == ["x"]
    assert not any(row.reason for row in rows)
    assert {one.name for one in table.found if one.kind.kind == "drop"} == {*columns} - {"x"}
    for name, why in {
        "empty": "it is empty in every row", "id": "it numbers the rows", "number": "it numbers the rows",
        "code": "it holds an id, another one in most rows (400 different ones in 400); id draws",
        "text": "it holds a text of its own in most rows",
        "mail": "it holds e-mail addresses", "call": "it holds telephone numbers",
    }.items():  # fmt: skip
        assert remarks(table)[name].startswith(why)


def test_different_whole_numbers_that_mean_something_are_learnt() -> None:
    _, table, found = read(csv({"income": DRAW.permutation(10**6)[:400], "x": NOISE}))
    assert (found["income"].kind, found["income"].dtype, table.notes) == ("number", "int64", ())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_pandas_index_is_left_out(suffix: str) -> None:
    frame = pd.DataFrame({"x": NOISE, "c": ["a", "b"] * 200})
    frame = frame[frame["x"] > 0]
    file = io.BytesIO()
    data = frame.to_csv().encode()
    if suffix == ".parquet":
        frame.to_parquet(file)
        data = file.getvalue()
        assert "__index_level_0__" in pq.read_schema(io.BytesIO(data)).names
    _, table, found = read(data, suffix)
    assert list(found) == ["x", "c"]
    assert sum("pandas' index" in remark for remark in remarks(table).values()) == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.date32(), [date(2020, 1, 1), date(1960, 5, 7)]),
        (pa.decimal128(6, 2), [Decimal("1.50"), Decimal("-2.25")]),
        (pa.timestamp("ns"), [datetime(2020, 1, 1, 3, tzinfo=UTC).replace(tzinfo=None)] * 2),
        (pa.time64("us"), [1, 2]),
        (pa.list_(pa.int64()), [[1, 2], [3]]),
        (pa.binary(), [b"1", b"2"]),
    ],
)
def test_drop_works_for_every_type(kind: pa.DataType, values: Sequence[Any]) -> None:
    data = parquet(pa.table({"when": pa.array(list(values) * 100, kind), "x": NOISE[:200]}))
    _, _, found = read(data, ".parquet", drop=["when"])
    assert list(found) == ["x"]


class TestDates:
    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_days_are_read_and_drawn_as_days(self, tmp_path: Path, suffix: str) -> None:
        days = [date(1950, 1, 1) + pd.Timedelta(days=int(value)) for value in DRAW.integers(0, 40_000, 400)]
        data = csv({"day": days, "x": NOISE}) if suffix == ".csv" else parquet(pa.table({"day": pa.array(days, pa.date32()), "x": NOISE}))
        _, table, found = read(data, suffix)
        assert (found["day"].kind, found["day"].dtype) == ("number", "date")
        samples = drawn(table)
        assert table_frame(samples, None)["day"].tolist() == (list(map(str, days[:60])) if suffix == ".csv" else days[:60])
        write_samples(samples, tmp_path / "out.parquet")
        assert pq.read_schema(tmp_path / "out.parquet").field("day").type in (pa.date32(), pa.large_string(), pa.string())

    @pytest.mark.parametrize(
        "form", ["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S.%f"]
    )
    def test_texts_come_back_in_their_own_form(self, form: str) -> None:
        moments = pd.Series(pd.to_datetime(DRAW.integers(-(10**9), 2 * 10**9, 400), unit="s"))
        texts = moments.dt.strftime(form)
        _, table, found = read(csv({"t": texts, "x": NOISE}))
        assert found["t"].format == form
        assert remarks(table)["t"].endswith(f"; {texts[0]!r} is {form}")
        assert table_frame(drawn(table), None)["t"].tolist() == texts[:60].tolist()

    def test_moments_of_parquet_are_utc(self) -> None:
        moments = pa.array([datetime(2020, 1, 1, 2, i % 60, i % 7, i, tzinfo=UTC) for i in range(200)], pa.timestamp("us", "Europe/Oslo"))
        _, table, found = read(parquet(pa.table({"t": moments, "x": NOISE[:200]})), ".parquet")
        assert found["t"].dtype == "datetime"
        assert "as UTC" in remarks(table)["t"]
        assert table_frame(drawn(table), None)["t"][3] == pd.Timestamp("2020-01-01 02:03:03.000003")

    def test_gaps_and_a_wrong_one(self) -> None:
        days = ["2020-01-31"] * 50 + ["?"] * 10 + ["2020-02-30"] + [f"2021-03-{i % 28 + 1:02}" for i in range(60)]
        rows, table, found = read(csv({"day": days, "x": NOISE[:121]}))
        assert [(number, row.reason) for number, row in enumerate(rows) if row.reason] == [
            (60, "day: '2020-02-30' is no date, as other values are")
        ]
        assert found["day"].missing == pytest.approx(10 / 120)
        assert table_frame(drawn(table), None)["day"].tolist() == days[:50] + [None] * 10


class TestNumbersAsPeopleWriteThem:
    @pytest.mark.parametrize(
        ("write", "example"),
        [
            (lambda n: f"{n:,.0f}", "1,234.5"),
            (lambda n: f"${n:,.2f}", "$1,234.50"),
            (lambda n: f"{n:,.2f}".translate(str.maketrans(",.", ".,")), "1.234,50"),
            (lambda n: f"{n:.2f} €".replace(".", ","), "1234,50 €"),
            (lambda n: f"{n:.0f},00 €", "1234,50 €"),
            (lambda n: f"{n:,.1f}".replace(",", "'"), "1'234.5"),
            (lambda n: f"{n:,.2f}".replace(",", "\u202f").replace(".", ","), "1 234,50"),
            (lambda n: f"EUR {n:.2f}", "EUR 1234.50"),
            (lambda n: f"{n / 100:.1f}%", "1234.5%"),
        ],
    )
    def test_are_read_said_and_written_again(self, write: Callable[[float], str], example: str) -> None:
        numbers = np.abs(DRAW.normal(4_000, 3_000, 400)).round(2) + 1_000
        texts = [write(number) for number in numbers]
        _, table, found = read(csv({"price": texts, "x": NOISE}))
        assert (found["price"].kind, found["price"].format) == ("number", example)
        assert f"; {texts[0]!r} is " in remarks(table)["price"]
        expected = [text.replace("\u202f", " ") for text in texts[:60]]
        again = table_frame(drawn(table), None)["price"].tolist()
        assert again == expected

    def test_a_mark_that_may_be_either_is_said_and_a_key_decides(self) -> None:
        texts = [f"{i % 9 + 1},{i:03}" for i in range(400)]
        _, table, _ = read(csv({"pop": texts, "x": NOISE}))
        assert table.values[3, 0] == 4_003
        assert remarks(table)["pop"].endswith('if the comma stands before decimals, set data.decimal: ","')
        _, table, _ = read(csv({"pop": texts, "x": NOISE}), decimal=",")
        assert table.values[3, 0] == 4.003

    @pytest.mark.parametrize("mark", [";", "\t", "|"])
    def test_other_marks_part_columns_and_do_so_again(self, tmp_path: Path, mark: str) -> None:
        _, table, found = read(csv({"x": [str(value).replace(".", ",") for value in NOISE], "c": ["a", "b"] * 200}, mark))
        assert (found["x"].kind, found["x"].format, found["c"].categories) == ("number", "1234,5#", ("a", "b"))
        np.testing.assert_array_equal(table.values[:, 0], NOISE)
        assert table.notes[0].startswith("its columns are parted by ")
        write_samples(drawn(table), tmp_path / "rows.csv")
        assert (tmp_path / "rows.csv").read_text().splitlines()[:2] == [f"x{mark}c", f"{str(NOISE[0]).replace('.', ',')}{mark}a"]

    @pytest.mark.parametrize(
        "texts",
        [
            ["5 %", "5,5 %", "12,25 %"],
            ["7 %", "8 %"],
            ["0,5 %", "1,5 %"],
            ["5,00 %", "5,50 %"],
            ["$5.00", "$5.50", "$1,234.00"],
            ["1.50 EUR", "1.55 EUR"],
        ],
    )
    def test_trailing_zeros_are_written_where_the_data_have_them(self, texts: list[str]) -> None:
        _, table, _ = read(csv({"rate": [texts[i % len(texts)] for i in range(400)], "x": NOISE}), columns={"rate": "number"})
        assert table_frame(drawn(table), None)["rate"].tolist()[: len(texts)] == texts

    @pytest.mark.parametrize(
        "texts", [["A12", "A7", "A9"], ["P001", "P002", "P010"], ["01", "02", "10"], ["1-2", "3-4", "5-6"], ["v1.2", "v1.3", "v2.0"]]
    )
    def test_codes_are_no_numbers(self, texts: list[str]) -> None:
        _, _, found = read(csv({"code": texts * 100, "x": NOISE[:300]}))
        assert found["code"].categories == tuple(sorted(texts))

    @given(
        st.integers(-(10**12), 10**12),
        st.integers(0, 4),
        st.sampled_from(["1,234.5", "$1,234.5", "1.234,5 €", "1 234,500", "1234,5", "1'234.50%", "1.234,5# %"]),
    )
    def test_what_is_written_is_read_again(self, number: int, decimals: int, example: str) -> None:
        form = NumberForm.of_example(example)
        assert form.example == example
        assert form.read(form.write(number / 10**decimals, decimals)) == pytest.approx(number / 10**decimals, abs=1e-9)


class TestGaps:
    def test_in_every_kind_of_column(self, tmp_path: Path) -> None:
        columns = {
            "n": pd.array([None if i % 5 == 0 else i * i for i in range(400)], "Int64"),
            "c": [["a", "?", "b", "NA"][i % 4] for i in range(400)],
            "b": [[True, None][i % 2] for i in range(400)], "k": pd.array([1, 2, None, 3] * 100, "Int64"), "x": NOISE,
        }  # fmt: skip
        rows, table, found = read(csv(columns))
        assert not any(row.reason for row in rows)
        assert found["n"].missing == 0.2
        assert (found["c"].categories, found["b"].categories) == (("a", "b", ""), ("True", ""))
        assert [one.missing for one in table.found] == [0.2, 0.5, 0.5, 0.25, 0]
        assert "  read as missing, and drawn as often: an empty cell, '?', 'NA' (data.missing)" in "\n".join(table.said("t.csv"))
        frame = table_frame(drawn(table), None)
        assert frame["n"].dtype == "Int64"
        assert frame.isna().mean().tolist() == [0.2, 0.5, 0.5, 0.25, 0.0]
        write_samples(drawn(table), tmp_path / "rows.csv")
        assert (tmp_path / "rows.csv").read_text().splitlines()[1:3] == [f",a,True,1,{NOISE[0]}", f"1,,,2,{NOISE[1]}"]

    def test_which_texts_count_is_a_key(self) -> None:
        cells = {"c": ["none", "?", "b", "-9"] * 100, "x": NOISE}
        assert read(csv(cells))[2]["c"].categories == ("-9", "b", "none", "")
        assert read(csv(cells), missing=["-9"])[2]["c"].categories == ("?", "b", "none", "")

    def test_a_number_with_question_marks_stays_a_number(self) -> None:
        _, _, found = read(csv({"age": ["?" if i % 7 == 0 else 20 + i % 50 for i in range(400)], "x": NOISE}))
        assert (found["age"].kind, found["age"].dtype, round(found["age"].missing, 3)) == ("number", "int64", 0.145)


@pytest.mark.parametrize(
    "text", ["0.1257,1.4547,blue\n0.64,1.8,green\n", "red,yes\nblue,no\nred,yes\nblue,yes\n", "1,red\n2,blue\n3,red\n4,red\n"]
)
def test_a_first_row_of_values_is_noticed(text: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv: its first row holds values \(.*\); a table begins with a row of columns' names"):
        read_table(text.encode(), "t.csv")


def test_years_are_names() -> None:
    assert read_table(b"country,2019,2020\nno,1,2\nse,2,3\n", "t.csv").names == ("country", "2019", "2020")


@pytest.mark.parametrize("label", [True, False])
def test_categories_of_many_digits_stay_text(label: bool) -> None:
    """Beyond what an int64 holds, as numbers of Parquet or texts of CSV."""
    codes = [99_999_999_999_999_999_999, 18_446_744_073_709_551_615]
    _, table, found = read(csv({"code": codes * 200, "x": NOISE}), label="code" if label else None)
    assert table.schema.label_dtype == "string"
    _, _, found = read(parquet(pa.table({"u": pa.array([codes[1], codes[1] - 1] * 200, pa.uint64()), "x": NOISE})), ".parquet")
    assert (found["u"].dtype, found["u"].categories) == ("string", (str(codes[1] - 1), str(codes[1])))


def test_a_label_of_numbers_is_drawn_with_the_rest_of_its_row() -> None:
    _, table, _ = read(csv({"x": NOISE, "y": [*NOISE[:-3], *NOISE[:3]]}), label="y")
    assert (table.schema.targets, table.schema.label) == (("y",), None)
    assert [column.name for column in table.schema.columns] == ["x", "y"]


class TestSplit:
    def run(self, place: Workspace, data: bytes, **keys: Any) -> Dataset:
        write_table(place.raw("t"), data)
        validate(place, "t", entry({"source": "table:///rows.csv", **keys}))
        return Dataset.open(place.ready("t"))

    @pytest.mark.parametrize("seed", [0, 1])
    def test_repeats_by_chance_are_no_copies_and_the_asked_share_is_held_out(self, tmp_path: Path, seed: int) -> None:
        data = csv({"city": DRAW.choice(["Oslo", "Bergen", "Tromso"], 400), "paid": DRAW.choice(["yes", "no"], 400)})
        dataset = self.run(Workspace(tmp_path), data, holdout=0.2, seed=seed)
        assert 80 - 4 * 8 < dataset.spec.counts["holdout"] < 80 + 4 * 8  # four deviations of a binomial
        assert all(len(np.unique(dataset.samples[split], axis=0)) == 6 for split in SPLITS)

    @pytest.mark.parametrize("seed", range(4))
    def test_a_rare_label_is_held_out_too(self, tmp_path: Path, seed: int) -> None:
        data = csv({"x": NOISE, "fraud": ["yes" if i in (3, 90, 222, 301) else "no" for i in range(400)]})
        dataset = self.run(Workspace(tmp_path), data, label="fraud", seed=seed)
        assert all((dataset.labels[split] == 1).any() for split in SPLITS)

    def test_one_row_of_a_label_is_said_before_training(self, tmp_path: Path) -> None:
        data = csv({"x": [*NOISE[:398], 7.0, 7.0], "fraud": ["no"] * 398 + ["yes"] * 2})
        with pytest.raises(DataError, match=r"no held-out row of yes, so a classifier cannot be tested on it; .*or equal ones alone"):
            self.run(Workspace(tmp_path), data, label="fraud")

    def test_what_was_read_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.run(Workspace(tmp_path), csv({"x": NOISE, "empty": [None] * 400, "d": ["2020-01-31", "2020-02-13"] * 200}))
        said = capsys.readouterr().out
        assert "note: the columns of rows.csv:\n  column  kind    missing  what it holds\n" in said
        assert "\n  empty   drop             it is empty in every row\n" in said
        assert "\n  d       date             2020-01-31 to 2020-02-13; '2020-01-31' is %Y-%m-%d\n" in said
        assert said.count('  columns:\n    x: number\n    empty: drop\n    d: "date %Y-%m-%d"\n') == 1
